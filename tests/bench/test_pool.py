"""Laws of running on several devices at once, and of leaving times out, with real processes."""

import csv
import io
import re
from multiprocessing import forkserver
from pathlib import Path

import pytest

from bench.cli.selection import Selection, plan_selection
from bench.executors.devices import Device
from bench.executors.local import Job, LocalExecutor
from bench.executors.pool import Pool
from bench.machine import num_cores
from reports.table import render
from results.store import Store
from tests.bench.test_run import TASK, run

GPUS = tuple(Device(name="cpu", kind="Fake GPU", visible_as=name) for name in ("5", "7"))
"""Processors in the clothes of GPUs."""


class Watcher:
    """Notes what it is told, and calls `then` with each trial that starts."""

    def __init__(self, then=lambda trial: None) -> None:
        self.running: list[int] = []
        self._then = then

    def started(self, trial) -> None:
        self.running.append(trial.identity.seed)
        self._then(trial)

    def step(self, trial, progress) -> None:
        assert trial.identity.seed in self.running


def planned(*methods: str, devices=GPUS, **selected):
    selection = Selection(methods=methods, task=(TASK,), controls=False, **selected)
    return plan_selection(selection, None, devices).trials


@pytest.fixture
def pool():
    with Pool(Job(command="test", threads=1), GPUS) as pool:
        yield pool


def test_each_trial_sees_the_one_gpu_that_it_has(pool):
    trials = planned("tests.fakes.telling_methods:SEES", seeds=(0, 1, 2, 3))
    records = list(pool.records(trials, Watcher()))
    assert sorted(r.identity.seed for r in records) == [0, 1, 2, 3]
    assert {r.identity.device for r in records} == {"Fake GPU"}
    assert {word for r in records for word in re.findall(r"sees (\w+)", r.reason)} == {"5", "7"}
    assert all(len(set(re.findall(r"sees (\w+)", r.reason))) == 1 for r in records)


def test_devices_of_two_kinds_have_trials_each():
    trials = planned("no-mixing", devices=(Device(), *GPUS))
    assert [t.identity.device for t in trials] == ["cpu", "Fake GPU"]


def test_after_a_stop_nothing_starts_and_what_runs_leaves_no_record(pool):
    trials = planned("tests.fakes.bad_methods:HANGS", seeds=(0, 1, 2))
    watcher = Watcher(lambda trial: pool.stop() if trial.identity.seed == 1 else None)
    assert list(pool.records(trials, watcher)) == []
    assert watcher.running == [0, 1]


def test_trials_that_share_the_processor_share_its_threads():
    pool = Pool(Job(command="test"), (Device(),), shares=2)
    (timed,) = planned("no-mixing", devices=(Device(),))
    (untimed,) = planned("no-mixing", devices=(Device(),), timing=False)
    assert pool._job_of(timed).threads is None
    assert pool._job_of(untimed).threads == max(1, num_cores() // 2)


@pytest.fixture(scope="module")
def untimed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("untimed")
    words = ("--methods", "no-mixing", "constant", "--set", "steps=5", "--device", "cpu")
    return folder, words, run(folder, *words, "--no-timing", "--jobs", "2")


def prices(folder: Path) -> set[str]:
    """The quantities that a table gives a value for."""
    table = csv.DictReader(io.StringIO(render(Store(folder).read().records, "csv")))
    return {row["quantity"] for row in table if row["value"]}


def test_without_timing_a_record_has_its_scores_and_says_that_times_are_left_out(untimed):
    folder, _, done = untimed
    assert done.returncode == 0, done.stderr
    for record in Store(folder).read().records:
        assert record.untimed
        assert record.metrics
        assert record.cost.parameters > 0
        assert record.cost.step_seconds == []
        assert record.cost.peak_memory_bytes is None


def test_a_table_shows_left_out_times_as_a_gap(untimed):
    folder, _, _ = untimed
    assert not prices(folder) & {"step_seconds", "tokens_per_second", "peak_memory_bytes"}
    assert "parameters" in prices(folder)


def test_a_record_without_times_is_done_only_where_none_are_asked_for(untimed, tmp_path: Path):
    folder, words, _ = untimed
    again = run(folder, *words, "--no-timing")
    assert "2 of 2 trials were on record" in again.stdout
    timed = run(folder, *words)
    assert "were on record" not in timed.stdout
    assert all(r.cost.step_seconds and not r.untimed for r in Store(folder).read().records)
    assert {"step_seconds", "tokens_per_second", "peak_memory_bytes"} <= prices(folder)
    assert "2 of 2 trials were on record" in run(folder, *words, "--no-timing").stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--jobs", "0"], "--jobs and --cpus take numbers from 1"),
        (["--cpus", "2"], "are for --executor ray"),
        (["--executor", "ray", "--device", "cuda:1"], "Ray chooses the GPU"),
        (["--executor", "slurm"], "slurm"),
        (
            ["--memory-limit", "nan"],
            "--memory-limit takes a number above 0, at most 1e+06",
        ),
        (["--memory-limit", "inf"], "not inf"),
        (["--time-limit", "0"], "--time-limit takes a number above 0"),
        (["--grace", "-1"], "--grace takes a number from 0"),
    ],
)
def test_a_wish_that_cannot_be_met_is_answered_in_one_sentence(tmp_path, words, sentence):
    done = run(tmp_path, "--methods", "no-mixing", *words)
    assert done.returncode == 2, done.stdout
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fork_server_that_takes_a_moment_to_end_is_begun_anew(monkeypatch):
    refusals = [ConnectionRefusedError(), ConnectionRefusedError()]
    connect = forkserver.connect_to_new_process

    def refuse(fds):
        if refusals:
            raise refusals.pop()
        return connect(fds)

    monkeypatch.setattr(forkserver, "connect_to_new_process", refuse)
    (trial,) = planned("no-mixing")
    with LocalExecutor(Job(command="", threads=1)) as executor:
        assert executor.run(trial, lambda _: None).status == "completed"
    assert not refusals
