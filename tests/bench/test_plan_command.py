"""Laws of `bench plan`: everything planned is counted, and times come from records at hand."""

import dataclasses
import json

import pytest

from bench.cli.plan import done_in, sentence
from bench.cli.run import run_all
from bench.cli.selection import Selection, plan_selection
from bench.executors.devices import Device
from bench.executors.local import Job
from bench.executors.pool import Pool
from bench.plan import Plan
from results.estimates import Total
from results.record import Head, Record, Status
from results.store import Store
from tests.bench.test_run import TASK
from tests.processes import bench
from tests.results.records import fake_record

WORDS = ("--methods", "performer", "linformer", "--task", TASK, "--no-controls", "--device", "cpu")


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Two methods with three seeds each."""
    chosen = Selection(
        methods=("performer", "linformer"), task=(TASK,), controls=False, device="cpu",
        seeds=(0, 1, 2),
    )  # fmt: skip
    return plan_selection(chosen, None)


def taking(plan: Plan, place: int, seconds: float) -> Record:
    """A record of the plan's trial at this place."""
    record = fake_record(plan.trials[place].identity)
    how = record.provenance.model_copy(update={"seconds": seconds})
    return record.model_copy(update={"provenance": how})


def shown(folder, *words: str) -> str:
    done = bench("plan", *WORDS, "--results", str(folder), *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_plan_says_how_long_the_rest_takes_and_by_which_records(plan, tmp_path):
    Store(tmp_path).write(taking(plan, 0, 1800.0))
    text = shown(tmp_path, "--seeds", "0-2")
    assert "6 trials: 5 to run, 1 on record, 0 that cannot run here." in text
    assert (
        "5 trials would take 2.5 device-hours on cpu: 2 by other seeds of the same method,"
        " 3 by other methods on the task." in text
    )


def test_a_plan_without_records_says_that_its_time_is_unknown(tmp_path):
    assert "How long it takes on cpu is unknown: no record tells." in shown(
        tmp_path, "--seeds", "0"
    )


def test_what_is_unknown_is_counted_and_left_out():
    total = Total(device="Some GPU", seconds=3600.0, unknown=2)
    total.known["seed"] += 3
    assert sentence(total) == (
        "3 trials would take 1 device-hours on Some GPU: 3 by other seeds of the same method;"
        " 2 trials are unknown and left out."
    )


def test_json_has_a_line_for_each_trial_with_its_expected_seconds(plan, tmp_path):
    Store(tmp_path).write(taking(plan, 0, 1800.0))
    text = shown(tmp_path, "--seeds", "0-2", "--json")
    rows = json.loads(text)
    assert len(text.splitlines()) == len(rows) + 2 == 8
    found = [
        (r["method"], r["seed"], r["state"], r["expected_seconds"], r["expected_by"]) for r in rows
    ]
    assert found[:3] == [
        ("performer", 0, "on record", None, None),
        ("linformer", 0, "to run", 1800.0, "task"),
        ("performer", 1, "to run", 1800.0, "seed"),
    ]
    # The part of a job that has nothing to do is an empty list.
    assert (
        json.loads(shown(tmp_path, "--seeds", "0", "--shards", "3", "--shard", "2", "--json")) == []
    )


def test_a_long_plan_is_counted_and_shown_whole_when_asked(plan, tmp_path):
    Store(tmp_path).write(taking(plan, 0, 1.0))
    text = shown(tmp_path, "--seeds", "0-39")
    rows = [line.split() for line in text.splitlines() if "fake/majority" in line]
    assert [(row[0], row[4], " ".join(row[5:])) for row in rows] == [
        ("performer", "1", "on record"),
        ("linformer", "40", "to run"),
        ("performer", "39", "to run"),
    ]
    assert "--all shows each trial." in text
    whole = shown(tmp_path, "--seeds", "0-39", "--all")
    assert sum("fake/majority" in line for line in whole.splitlines()) == 80


@pytest.mark.parametrize(
    ("status", "untimed", "stands_untimed", "stands_timed"),
    [
        ("completed", False, True, True),
        ("completed", True, True, False),
        ("crashed", False, True, True),
        ("unavailable", False, False, False),
        ("unsupported", False, False, False),
    ],
)
def test_what_stands_on_record_is_not_done_again(
    plan, status: Status, untimed, stands_untimed, stands_timed
):
    trial = plan.trials[0]
    heads = {trial.digest: Head(trial.identity, status, untimed, seconds=1.0)}
    free = dataclasses.replace(trial, timing=False)
    assert (done_in(Plan(trials=(free,)), heads) == {trial.digest}) == stands_untimed
    assert (done_in(Plan(trials=(trial,)), heads) == {trial.digest}) == stands_timed


class OtherRun:
    """An executor beside which another run finishes the first trial before any begins."""

    devices = ()

    def __init__(self, store: Store) -> None:
        self._store, self.begun = store, []

    def records(self, trials, watcher, elsewhere):
        self._store.write(fake_record(trials[0].identity, accuracy=0.9))
        for trial in trials:
            if (theirs := elsewhere(trial)) is not None:
                yield theirs
                continue
            self.begun.append(trial.digest)
            yield fake_record(trial.identity, accuracy=0.1)


@pytest.mark.parametrize("rerun", [False, True])
def test_what_another_run_has_finished_meanwhile_is_not_run_again(plan, tmp_path, rerun):
    todo = list(plan.trials[:3])
    store = Store(tmp_path)
    executor = OtherRun(store)
    assert run_all(todo, store, executor, rerun=rerun)
    assert executor.begun == [trial.digest for trial in todo[0 if rerun else 1 :]]
    found = store.find(todo[0].identity)
    assert (found == fake_record(todo[0].identity, accuracy=0.9)) is not rerun
    assert len(store.read().records) == 3


def test_a_pool_asks_before_each_trial_whether_another_run_has_done_it(plan):
    class Silent:
        def started(self, trial) -> None: ...

        def step(self, trial, progress) -> None: ...

    with Pool(Job(command="test"), (Device(),)) as pool:
        found = list(pool.records(plan.trials, Silent(), lambda t: fake_record(t.identity)))
    assert {r.identity.digest() for r in found} == {t.digest for t in plan.trials}
    assert all(r.machine.system == "FakeOS 1" for r in found)
