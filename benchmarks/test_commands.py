"""How long the tool's own work takes: help, planning, resuming, comparing, starting a trial.

Run with `python -m pytest benchmarks/test_commands.py`.
"""

import itertools
import json
import resource
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
def half_a_grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Fifty thousand records, and the words that plan them and as many trials again."""
    folder = tmp_path_factory.mktemp("grid")
    methods = [f"performer:num_features={number}" for number in range(1, 17)]
    half = Selection(methods=tuple(methods), task=("lra",), seeds=tuple(range(500)), device="cpu")
    plan = plan_selection(half, None)
    assert len(plan.trials) == 50_000
    like = json.loads(fake_record(points=100).model_dump_json())
    for trial in plan.trials:
        # Not through a store, which waits for the disk after each record.
        text = json.dumps({**like, "identity": trial.identity.model_dump()})
        (folder / trial.identity.file_name()).write_text(text)
    return folder, ["--methods", *methods, "--task", "lra", "--device", "cpu"]


def test_planning_a_hundred_thousand_trials(benchmark, half_a_grid) -> None:  # type: ignore[no-untyped-def]
    """A whole process: start, plan, the records of half of them, estimates, counts."""
    folder, words = half_a_grid
    plan = ("plan", *words, "--seeds", "0-999", "--results", str(folder))
    benchmark.pedantic(command, args=plan, rounds=3)
    print(f"\npeak memory: {peak_of_children() / 2**20:.0f} MiB")


def test_resuming_a_grid_of_fifty_thousand_records(benchmark, half_a_grid) -> None:  # type: ignore[no-untyped-def]
    """A whole process, in which nothing is left to run: all records read, and their table."""
    folder, words = half_a_grid
    run = ("run", *words, "--seeds", "0-499", "--results", str(folder))
    benchmark.pedantic(command, args=run, rounds=3)
    print(f"\npeak memory: {peak_of_children() / 2**20:.0f} MiB")


def peak_of_children() -> int:
    """Bytes of the largest process that was waited for."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


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
