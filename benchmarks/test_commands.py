"""How long the tool's own work takes: help, planning, comparing, starting a trial.

Run with `python -m pytest benchmarks/test_commands.py`.
"""

import itertools
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.cli.selection import Selection, plan_selection
from bench.executors.local import Job, LocalExecutor
from bench.plan import ChosenMethod, Plan, Request, Surroundings, make_plan
from bench.registry import load_registry
from results.store import Store
from tests.results.records import fake_identity, fake_record

ROOT = Path(__file__).parents[1]
NUM_RECORDS = NUM_TRIALS = 10_000


def command(*words: str) -> None:
    """`python -m bench WORDS...`, in a process of its own."""
    subprocess.run(
        [sys.executable, "-m", "bench", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )


def test_help(benchmark) -> None:  # type: ignore[no-untyped-def]
    """A whole process, from the shell's view."""
    benchmark.pedantic(command, args=("--help",), rounds=9, warmup_rounds=1)


def test_planning_ten_thousand_trials(benchmark) -> None:  # type: ignore[no-untyped-def]
    """Registry at hand: eight methods, five tasks, 250 seeds."""
    registry = load_registry()
    request = Request(
        methods=tuple(
            ChosenMethod(entry=e, options={o.name: o.default for o in e.value.options.values()})
            for e in registry.methods.values()
        ),
        tasks=tuple(registry.tasks_named("lra")),
        seeds=tuple(range(NUM_TRIALS // 5 // len(registry.methods))),
    )
    here = Surroundings(is_installed=lambda _: True, source_problem=lambda *_: None)
    plan: Plan = benchmark.pedantic(make_plan, args=(request, here), rounds=5, warmup_rounds=1)
    assert len(plan.trials) == NUM_TRIALS


@pytest.fixture(scope="module")
def many_records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten thousand records of realistic size: five tasks, twenty methods, a hundred seeds."""
    folder = tmp_path_factory.mktemp("records")
    store = Store(folder)
    tasks = ("listops", "text", "retrieval", "image", "pathfinder")
    grid = itertools.product(tasks, range(20), range(NUM_RECORDS // 100))
    for task, method, seed in grid:
        identity = fake_identity(f"fake-{method}", f"lra/{task}", seed=seed)
        store.write(fake_record(identity, points=100))
    return folder


def test_comparing_ten_thousand_records(benchmark, many_records: Path) -> None:  # type: ignore[no-untyped-def]
    """A whole process: start, reading, statistics, table."""
    benchmark.pedantic(
        command, args=("compare", "--results", str(many_records)), rounds=3, warmup_rounds=1
    )


def test_starting_a_trial(benchmark) -> None:  # type: ignore[no-untyped-def]
    """From the driver's wish to the trial's first word, in a process that has torch already."""
    selection = Selection(
        methods=("no-mixing",), task=("tests/fakes/tiny_task.py",), controls=False, set=("steps=1",)
    )
    (trial,) = plan_selection(selection, None).trials
    waits: list[float] = []

    def one(executor: LocalExecutor) -> None:
        start = time.perf_counter()
        first: list[float] = []
        executor.run(trial, lambda _: first.append(time.perf_counter() - start))
        waits.append(first[0])

    with LocalExecutor(Job(command="benchmark", threads=1)) as executor:
        one(executor)
        waits.clear()
        benchmark.pedantic(one, args=(executor,), rounds=9)
    waits.sort()
    benchmark.extra_info["first_word_seconds"] = waits
    median = waits[len(waits) // 2]
    print(f"\nfirst word of a trial after: median {median:.3f} s, most {waits[-1]:.3f} s")
