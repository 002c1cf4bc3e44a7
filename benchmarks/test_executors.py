"""Trials a minute: a Ray of two workers against one trial at a time here, on the LRA quick suite.

Accuracy only, one thread a trial under both, so that two quiet cores are what the second one adds.
Each executor first runs a trial that is not counted: workers and fork servers are up by then.

Run with `python -m pytest benchmarks/test_executors.py -s -p no:cacheprovider`.
"""

import time
from collections.abc import Sequence

from bench.cli.selection import Selection, plan_selection
from bench.executors.devices import Device
from bench.executors.local import Job
from bench.executors.pool import Pool
from bench.executors.protocol import Executor
from bench.executors.ray import RayExecutor
from bench.plan import Trial
from bench.runners.train import Progress
from results.record import Record

JOB = Job(command="benchmark", threads=1)


class Silence:
    """Watches, and says nothing."""

    def started(self, trial: Trial) -> None:
        """Nothing."""

    def step(self, trial: Trial, progress: Progress) -> None:
        """Nothing."""


def lra(*methods: str, seeds: tuple[int, ...]) -> Sequence[Trial]:
    """The suite, without its controls and without timing."""
    chosen = Selection(
        methods=methods, task=("lra",), seeds=seeds, controls=False, timing=False, device="cpu"
    )
    return plan_selection(chosen, None).runnable


def measured(executor: Executor, trials: Sequence[Trial]) -> tuple[float, dict[str, Record]]:
    """Seconds for the trials, and their records by digest."""
    with executor:
        list(executor.records(lra("no-mixing", seeds=(7, 8))[:2], Silence()))
        begin = time.perf_counter()
        records = {r.identity.digest(): r for r in executor.records(trials, Silence())}
        return time.perf_counter() - begin, records


def test_a_ray_of_two_workers_against_one_trial_at_a_time() -> None:
    """The ratio of their throughputs, over the same trials with the same results."""
    trials = lra("performer", "linformer", seeds=(0,))
    alone, here = measured(Pool(JOB, (Device(),)), trials)
    ray = RayExecutor(JOB, "cpu", address=None, jobs=2, cpus=1)
    together, there = measured(ray, trials)
    assert {r.status for r in here.values()} == {"completed"}
    for digest, record in here.items():
        assert there[digest].training == record.training
        assert there[digest].metrics == record.metrics
    print(
        f"\nRay, two workers / one at a time: {alone / together:.2f} over {len(trials)} trials,"
        f" {together:.0f} s against {alone:.0f} s; the same scores and curves to the bit"
    )
