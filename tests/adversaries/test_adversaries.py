"""Every adversary is stopped, and its record says by which law."""

import importlib
import re

import pytest
import torch

from bench.originals import Originals
from bench.runners.audit import Auditor
from methods.core.testing import GATE_LAWS, LAWS
from tests.adversaries import offenders, shirkers
from tests.adversaries.page import PAGE, with_table
from tests.adversaries.patchers import PATCHES, source
from tests.adversaries.trials import timed, trained
from tests.processes import ROOT

GATED = {
    f"{module.__name__}:{one.method.name.removeprefix('adversary-')}": one
    for module in (shirkers, offenders)
    for one in module.AT_THE_GATE
}
TIMED = {one.method.name.removeprefix("adversary-"): one for one in shirkers.BY_THE_STOPWATCH}
NAMES = [law.name for law in LAWS]


@pytest.fixture
def put(monkeypatch):
    """Makes an adversary the METHOD of its module, and returns where it is found."""

    def put(one) -> str:
        module = (one.method.attention or one.method.mixer).__module__
        where = importlib.import_module(module)
        monkeypatch.setattr(where, "METHOD", one.method, raising=False)
        return f"{module}:METHOD"

    return put


@pytest.mark.parametrize("name", GATED)
def test_an_adversary_fails_the_gate_by_the_law_it_breaks(put, name):
    one = GATED[name]
    record = trained(put(one), **one.settings)
    assert record.status == "failed-gate", record.reason
    broken = {law for law in NAMES if re.search(rf"(^| ){law}: ", record.reason)}
    assert {one.law} <= broken <= {one.law, *one.also}, record.reason
    assert one.reads in record.reason
    assert record.metrics == []


@pytest.mark.parametrize("name", TIMED)
def test_an_adversary_passes_the_gate_and_fails_by_what_was_timed(put, monkeypatch, name):
    shirkers.rest()
    one = TIMED[name]
    record = timed(put(one), **one.settings)
    assert record.status == "failed-gate", record.reason
    assert record.reason.partition(": ")[0] in (one.law, *one.also), record.reason
    assert one.reads in record.reason
    assert record.curve is None


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMED)
def test_without_the_audit_it_would_pass(put, monkeypatch, name):
    shirkers.rest()
    monkeypatch.setattr(Auditor, "judge", lambda *_: None)
    monkeypatch.setattr(Originals, "verdict", lambda _: None)
    record = timed(put(TIMED[name]), **TIMED[name].settings)
    assert record.status == "completed", record.reason


@pytest.fixture
def repair(monkeypatch):
    """Undoes a patch when the test ends."""

    def repair(name: str) -> None:
        where, _, attribute = name.rpartition(".")
        place = torch.Tensor if where == "torch.Tensor" else importlib.import_module(where)
        value = getattr(place, attribute)
        monkeypatch.setattr(place, attribute, value)
        if hasattr(value, "__code__"):
            monkeypatch.setattr(value, "__code__", value.__code__)

    return repair


CALLED = ("time.perf_counter", "torch.allclose")


@pytest.mark.parametrize(
    ("name", "at_import"),
    [*((name, True) for name in PATCHES), *((name, False) for name in CALLED)],
)
def test_what_a_method_replaces_is_named(repair, tmp_path, name, at_import):
    repair(name)
    file = tmp_path / "patcher.py"
    file.write_text(source(PATCHES[name], at_import=at_import))
    record = trained(str(file))
    assert record.status == "failed-gate", record.reason
    assert record.reason.startswith("nothing-patched: ")
    assert name in record.reason


NEW_LAWS = (
    "output-is-plain-and-final",
    "nothing-kept-between-calls",
    "modes-agree",
    "global-random-state-not-used",
    "future-not-seen-at-length",
    "state-is-all-that-is-kept",
    "gradients-are-derivatives",
)


@pytest.mark.parametrize("law", NEW_LAWS)
def test_an_adversary_is_stopped_by_this_law_alone(law):
    """Without it the gate would let that adversary through."""
    assert law in GATE_LAWS
    assert any(one.law == law and not one.also for one in GATED.values())


def test_nothing_is_replaced_where_no_method_replaced_it():
    assert Originals().verdict() is None


def test_the_page_tells_of_every_adversary():
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    assert with_table(text) == text, "run `python -m tests.adversaries.page`"
