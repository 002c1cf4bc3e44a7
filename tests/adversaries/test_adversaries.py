"""Every adversary is stopped, and its record says by which law."""

import importlib
import re
import sys

import pytest
import torch

import bench.cli
from bench.originals import Originals, originals
from bench.runners.audit import Auditor
from methods.core.testing import GATE_LAWS, LAWS
from tasks.data import pathfinder_drawing
from tests.adversaries import late, offenders, shirkers
from tests.adversaries.page import PAGE, with_table
from tests.adversaries.patchers import PATCHES, SWITCHED, Deed, source
from tests.adversaries.trials import classified, modelled, timed, trained
from tests.processes import ROOT

GATED = {
    f"{module.__name__}:{one.method.name.removeprefix('adversary-')}": one
    for module in (shirkers, offenders, late)
    for one in module.AT_THE_GATE
}
TIMED = {
    one.method.name.removeprefix("adversary-"): one
    for one in (*shirkers.BY_THE_STOPWATCH, *late.BY_THE_STOPWATCH)
}
TRAINED = [
    *(pytest.param(one, modelled, id=one.method.name) for one in late.ON_TEXT),
    *(pytest.param(one, classified, id=one.method.name) for one in late.ON_EXAMPLES),
]
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


@pytest.mark.parametrize(("one", "trial"), TRAINED)
def test_an_adversary_passes_the_gate_and_fails_when_it_was_trained(put, one, trial):
    record = trial(put(one))
    assert record.status == "failed-gate", record.reason
    assert record.reason.startswith(f"{one.law}: ")
    assert one.reads in record.reason
    assert record.metrics == []


@pytest.mark.parametrize("trial", [modelled, classified])
def test_who_is_honest_keeps_the_laws_when_it_was_trained(trial):
    assert trial("methods.softmax:METHOD").status == "completed"


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMED)
def test_without_the_audit_it_would_pass(put, monkeypatch, name):
    shirkers.rest()
    monkeypatch.setattr(Auditor, "judge", lambda *_: None)
    monkeypatch.setattr(Auditor, "judge_claim", lambda *_: None)
    monkeypatch.setattr(Originals, "verdict", lambda _: None)
    record = timed(put(TIMED[name]), **TIMED[name].settings)
    assert record.status == "completed", record.reason


@pytest.fixture
def patched(tmp_path):
    """A trial of a method that patches, as from a file; what it did is undone at the end."""
    file = tmp_path / "patcher.py"

    def patched(deed, *, at_import):
        file.write_text(source(deed, at_import=at_import))
        return trained(str(file))

    yield patched
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == str(file):
            module.undo()
    # Whoever is judged next in this process begins from what stands now.
    originals().begin_trial()


CALLED = (
    "time.perf_counter",
    "torch.allclose",
    "bench.gate.GATE_LAWS",
    "bench.runners.audit.TOLERANCE",
    "methods.core.laws.require_close.__defaults__",
    "methods.softmax.softmax_attention.__code__",
)


@pytest.mark.parametrize(
    ("name", "at_import"),
    [*((name, True) for name in PATCHES), *((name, False) for name in CALLED)],
)
def test_what_a_method_replaces_is_named(patched, name, at_import):
    record = patched(PATCHES[name], at_import=at_import)
    assert record.status == "failed-gate", record.reason
    assert record.reason.startswith("nothing-patched: ")
    assert f"replaced {name}" in record.reason


@pytest.mark.parametrize(
    ("name", "at_import"),
    [*((name, True) for name in SWITCHED), ("torch.set_num_threads", False)],
)
def test_a_setting_of_torch_that_a_method_changes_is_named(patched, name, at_import):
    record = patched(SWITCHED[name], at_import=at_import)
    assert record.status == "failed-gate", record.reason
    assert record.reason.startswith("nothing-patched: ")
    assert f"changed {name} from " in record.reason


def test_what_a_method_changes_in_its_own_file_is_its_own_affair(patched):
    deed = Deed("globals()['CAN'] = None", "pass")
    record = patched(deed, at_import=False)
    assert record.status == "completed", record.reason


def test_each_trial_has_its_own_settings(patched, monkeypatch):
    """Those of the trial before, in the same process, are no measure for it."""
    assert patched(Deed("pass", "pass"), at_import=False).status == "completed"
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", not torch.backends.cudnn.benchmark)
    record = patched(Deed("pass", "pass"), at_import=False)
    assert record.status == "completed", record.reason


def test_a_module_that_is_called_as_a_builtin_is_may_be_imported_late(monkeypatch):
    monkeypatch.delitem(sys.modules, "bench.cli.list", raising=False)
    monkeypatch.delattr(bench.cli, "list", raising=False)
    untouched = Originals()
    importlib.import_module("bench.cli.list")
    assert untouched.verdict() is None


def test_what_torch_compile_replaces_is_no_method_s_doing():
    untouched = Originals()
    assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)) == 2
    assert untouched.verdict() is None


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
    untouched = Originals()
    untouched.begin_trial()
    assert untouched.verdict() is None


def test_a_memory_of_earlier_calls_that_fills_is_no_replacement():
    untouched = Originals()
    pathfinder_drawing.turn_table(0.7)
    assert untouched.verdict() is None


def test_the_page_tells_of_every_adversary():
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    assert with_table(text) == text, "run `python -m tests.adversaries.page`"
