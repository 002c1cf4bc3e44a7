"""Laws of planning: every pair has a trial, and every trial that cannot run says why."""

import dataclasses
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.plan import ChosenMethod, Request, Surroundings, make_plan
from bench.registry import Entry
from methods.api import KERNEL_ATTENTION, Capabilities, Method
from tests.fakes import tiny_task

HERE = Surroundings(is_installed=lambda package: False, source_problem=lambda *_: None)


def attend(q, k, v, *, causal=False, key_padding=None, width: int = 3):
    """Nothing."""
    return v


def chosen(name: str, can: Capabilities = KERNEL_ATTENTION, **options: object) -> ChosenMethod:
    method = Method(name=name, can=can, attention=attend)
    entry = Entry(value=method, locator=f"m:{name}", file=Path("m.py"), module=None)
    return ChosenMethod(entry=entry, options=options)


def request(*methods: ChosenMethod, **changes: object) -> Request:
    task = Entry(value=tiny_task.TASK, locator="t:TASK", file=Path("m.py"), module=None)
    return Request(methods=methods, tasks=(task,), **changes)


def problem(can: Capabilities, **changes: object):
    (trial,) = make_plan(request(chosen("m", can), **changes), HERE).trials
    return trial.problem


def test_every_method_task_and_seed_has_one_trial():
    plan = make_plan(request(chosen("a"), chosen("b"), seeds=(0, 1, 2)), HERE)
    assert [(t.identity.seed, t.identity.method) for t in plan.trials] == [
        (0, "a"), (0, "b"), (1, "a"), (1, "b"), (2, "a"), (2, "b"),
    ]  # fmt: skip


def test_the_same_trial_asked_for_twice_is_planned_once():
    assert len(make_plan(request(chosen("a"), chosen("a")), HERE).trials) == 1


def test_two_option_values_are_two_trials():
    assert len(make_plan(request(chosen("a", width=1), chosen("a", width=2)), HERE).trials) == 2


def test_settings_change_the_preset_and_the_identity():
    (plain,) = make_plan(request(chosen("a")), HERE).trials
    (changed,) = make_plan(request(chosen("a"), settings={"steps": "7"}), HERE).trials
    assert changed.preset.training.steps == 7
    assert changed.identity.settings == {"steps": 7}
    assert changed.identity.digest() != plain.identity.digest()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"stps": "7"}, "Did you mean 'steps'"), ({"steps": "many"}, "takes steps as int")],
)
def test_a_wrong_setting_is_answered_with_the_right_ones(settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        make_plan(request(chosen("a"), settings=settings), HERE)


def test_an_unknown_preset_is_answered_with_the_known():
    with pytest.raises(UsageError, match="Did you mean 'quick'"):
        make_plan(request(chosen("a"), preset="quik"), HERE)


@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [
        ({"packages": ("flash_attn",), "install": "pip install flash-attn"}, "unavailable",
         "pip install flash-attn"),
        ({"bidirectional": False}, "unsupported", "causal only"),
        ({"key_padding": False}, "unsupported", "cannot mask padding"),
        ({"devices": ("cuda",)}, "unsupported", "not on cpu"),
        ({"dtypes": ("bfloat16",)}, "unsupported", "not in float32"),
    ],
)  # fmt: skip
def test_what_a_method_cannot_do_is_a_sentence_in_the_plan(changes, status, word):
    found = problem(dataclasses.replace(KERNEL_ATTENTION, **changes))
    assert found.status == status
    assert word in found.reason


def test_a_source_that_the_task_lacks_is_a_sentence_in_the_plan():
    found = problem(KERNEL_ATTENTION, source="hub")
    assert found.status == "unavailable"
    assert "It has: generated" in found.reason


def test_a_source_that_is_missing_here_is_a_sentence_in_the_plan():
    surroundings = dataclasses.replace(HERE, source_problem=lambda *_: "Install it.")
    (trial,) = make_plan(request(chosen("a")), surroundings).trials
    assert trial.problem.reason == "Install it."
