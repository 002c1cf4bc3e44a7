"""Laws of what a run shows while several trials are running."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from bench.cli import display
from bench.cli.display import Bars, Lines
from bench.cli.selection import Selection, plan_selection
from bench.runners.train import Progress
from tests.bench.test_run import TASK
from tests.results.records import fake_record

TRIALS = plan_selection(
    Selection(methods=("no-mixing",), task=(TASK,), seeds=(3, 4), controls=False, device="cpu"),
    None,
).trials


def shown(make: type[Lines] | type[Bars], tell: Callable[[Lines | Bars], None]) -> str:
    console = Console(file=io.StringIO(), force_terminal=make is Bars, width=100)
    with make(console, 2) as one:
        tell(one)
    return console.file.getvalue()


def interleaved(one: Lines | Bars) -> None:
    for trial in TRIALS:
        one.started(trial)
    for step in (5, 10):
        for trial in TRIALS:
            one.step(trial, Progress("train", step, 100, 0.5))
    one.finished(fake_record(TRIALS[1].identity))
    one.step(TRIALS[0], Progress("test"))
    one.finished(fake_record(TRIALS[0].identity))


def test_lines_tell_of_each_of_two_trials_and_count_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(display, "LINE_EVERY", 0.0)
    lines = shown(Lines, interleaved).splitlines()
    assert [line for line in lines if "seed 3: step 10 of 100, loss 0.500" in line]
    assert [line for line in lines if "seed 4: step 10 of 100, loss 0.500" in line]
    assert [line[:5] for line in lines[-2:]] == ["[1/2]", "[2/2]"]
    assert "seed 4: accuracy" in lines[-2]
    assert "seed 3: accuracy" in lines[-1]


def test_bars_show_both_trials_and_take_each_away_when_it_ends():
    one = Bars(Console(file=io.StringIO(), force_terminal=True, width=100), 2)
    for trial in TRIALS:
        one.started(trial)
    one.step(TRIALS[1], Progress("train", 5, 100, 0.5))
    assert [bar.completed for bar in one._bars.tasks] == [0, 0, 5]
    one.finished(fake_record(TRIALS[0].identity))
    assert [bar.description.split()[-1] for bar in one._bars.tasks] == ["trials", "4"]


def test_a_trial_that_begins_again_begins_again_on_screen():
    for make in (Lines, Bars):

        def twice(one: Lines | Bars) -> None:
            one.started(TRIALS[0])
            one.step(TRIALS[0], Progress("train", 50, 100, 0.5))
            one.started(TRIALS[0])
            interleaved(one)

        assert shown(make, twice)


def test_a_trial_that_was_never_begun_can_be_finished():
    for make in (Lines, Bars):
        assert "no-mixing" in shown(make, lambda one: one.finished(fake_record(TRIALS[0].identity)))
