"""Laws of a cost trial, end to end: every cell asked for is there, measured or with a reason."""

import json

import pytest

from bench.errors import UsageError
from bench.plan import make_plan
from bench.registry import load_registry
from bench.runners.ceilings import higher, roofline
from bench.runners.refusals import Refusal, attempt
from methods.api import Capabilities
from results.curve import Ceilings, CostCell
from results.store import Store
from tasks.cost import TASK
from tests.bench.test_plan import HERE, chosen, request
from tests.processes import bench

FAKES = "tests.fakes.cost_methods"
QUICK = {"cell_seconds": 20, "total_seconds": 120, "num_heads": 2, "head_dim": 16, "max_samples": 7}


def run(folder, *words: str, settings: tuple[str, ...] = ()):
    """Of two values for one setting the later one counts."""
    sets = QUICK | dict(text.split("=", 1) for text in settings)
    return bench(
        "run", "--task", "cost", "--results", str(folder), "--threads", "1", *words,
        "--set", *(f"{key}={value}" for key, value in sets.items()),
    )  # fmt: skip


def curve(folder):
    (record,) = Store(folder).read().records
    return record, record.curve


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cost")
    words = ("--methods", "performer:num_features=8", "--json")
    return run(folder, *words, settings=("lengths=16,33",)), *curve(folder)


def test_every_cell_asked_for_is_measured_with_its_reference(measured):
    done, record, found = measured
    assert done.returncode == 0, done.stderr
    assert record.status == "completed"
    asked = {(c.mode, c.causal, c.length) for c in found.cells if not c.probe}
    assert asked == {
        (mode, causal, n)
        for mode, causal in (
            ("forward", True), ("forward", False), ("training", True), ("training", False),
            ("decode", True),
        )
        for n in (16, 33)
    }  # fmt: skip
    for cell in found.cells:
        assert cell.status == "completed", cell.reason
        assert len(cell.seconds) == len(cell.reference_seconds) == 7
        for number in (
            cell.allocated_bytes, cell.reference_allocated_bytes, cell.flops, cell.exps,
            cell.bytes_moved, cell.least_bytes, cell.limit_seconds,
        ):  # fmt: skip
            assert number > 0
        assert cell.kernels


def test_the_record_tells_sizes_ceilings_reference_and_crossovers(measured):
    _, record, found = measured
    assert (found.level, found.reference, found.batch, found.num_heads, found.head_dim) == (
        "kernel", "sdpa", 1, 2, 16,
    )  # fmt: skip
    assert found.ceilings.matrix_product > found.ceilings.memory_copy > 0
    assert found.memory_method
    assert len(found.crossovers) == 10
    assert record.settings_resolved["lengths"] == "16,33"


def test_only_decoding_keeps_a_state(measured):
    *_, found = measured
    for cell in found.cells:
        assert (cell.state_bytes is not None) == (cell.mode == "decode")
        assert (cell.reference_state_bytes is not None) == (cell.mode == "decode")


def test_json_goes_to_stdout_alone(measured):
    done, record, _ = measured
    assert json.loads(done.stdout)[0]["identity"]["method"] == record.identity.method


def test_what_is_on_record_is_not_measured_again(measured, tmp_path):
    _, record, _ = measured
    Store(tmp_path).write(record)
    words = ("--methods", "performer:num_features=8")
    done = run(tmp_path, *words, settings=("lengths=16,33",))
    assert "1 of 1 trials were on record" in done.stdout, done.stderr


def test_a_cell_that_would_take_too_long_is_not_begun(tmp_path):
    words = ("--methods", f"{FAKES}:SLEEPS")
    settings = ("lengths=8,32,2048", "modes=forward", "causal=false", "cell_seconds=4")
    assert run(tmp_path, *words, settings=settings).returncode == 0
    *measured, last = curve(tmp_path)[1].cells
    assert {c.status for c in measured} == {"completed"}
    assert last.status == "timed-out"
    assert "cell_seconds" in last.reason
    assert not last.seconds


def test_memory_that_runs_out_costs_the_longer_cells_alone(tmp_path):
    words = ("--methods", f"{FAKES}:DEVOURS")
    settings = ("lengths=16,700,708", "modes=forward,training", "causal=true")
    run(tmp_path, *words, settings=settings)
    for mode in ("forward", "training"):
        cells = [c for c in curve(tmp_path)[1].cells if c.mode == mode and not c.probe]
        assert [c.status for c in cells] == ["completed", "out-of-memory", "out-of-memory"]
        assert cells[2].reason.startswith("Not tried")


def test_lengths_that_a_method_refuses_or_breaks_at_are_cells_with_a_sentence(tmp_path):
    words = ("--methods", f"{FAKES}:REFUSES")
    settings = ("lengths=660,661,700,702", "modes=forward,decode", "causal=true")
    run(tmp_path, *words, settings=settings)
    cells = [c for c in curve(tmp_path)[1].cells if c.mode == "forward" and not c.probe]
    assert [c.status for c in cells] == ["completed", "unsupported", "crashed", "completed"]
    assert "661 came" in cells[1].reason
    assert cells[2].reason == "RuntimeError: boom"
    assert {c.status for c in curve(tmp_path)[1].cells if c.mode == "decode"} == {"unsupported"}


def test_a_method_that_can_do_nothing_asked_for_is_unsupported_as_a_whole(tmp_path):
    words = ("--methods", "linformer")
    run(tmp_path, *words, settings=("lengths=16", "causal=true", "modes=forward"))
    record, found = curve(tmp_path)
    assert record.status == "unsupported"
    assert "cannot be causal" in record.reason
    assert len(found.cells) == 1


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (("lengths=0",), "1 or more"),
        (("level=block",), "'kernel' | 'layer'"),
        (("against=sdpaa",), "Did you mean 'sdpa'"),
        (("head_dims=8",), "Did you mean 'head_dim'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, settings, word):
    done = run(tmp_path, "--methods", "performer", settings=settings)
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


ENTRY = load_registry(("TASK",)).tasks["cost"]


def plan(*methods, reference: str = "sdpa", **changes):
    here = type(HERE)(
        is_installed=HERE.is_installed,
        source_problem=HERE.source_problem,
        find_method=lambda text: chosen(text.split(":")[0]),
    )
    made = request(*methods, **changes)
    return make_plan(type(made)(methods=methods, tasks=(ENTRY,), **changes), here).trials


def test_controls_are_left_out_where_cost_is_measured():
    control = chosen("floor")
    control = type(control)(entry=control.entry, options={}, is_control=True)
    assert [t.identity.method for t in plan(chosen("a"), control)] == ["a"]


def test_a_trial_knows_its_reference():
    (trial,) = plan(chosen("a"), settings={"against": "b:x=1"})
    assert (trial.reference.name, trial.reference.locator) == ("b", "m:b")


def test_compiled_cost_and_a_source_are_refused_with_a_reason():
    (compiled,) = plan(chosen("a"), compile=True)
    assert "--compile" in compiled.problem.reason
    (sourced,) = plan(chosen("a"), source="hub")
    assert "--source" in sourced.problem.reason


def test_a_head_dimension_that_a_method_refuses_is_known_before_the_run():
    (trial,) = plan(chosen("a", Capabilities(causal=True, head_dim_multiple=8)),
                    settings={"head_dim": "33"})  # fmt: skip
    assert trial.problem.status == "unsupported"
    assert "33" in trial.problem.reason


def test_a_sweep_that_makes_no_sense_is_a_usage_error():
    with pytest.raises(UsageError, match="num_heads"):
        plan(chosen("a"), settings={"num_heads": "0"})


def test_the_preset_called_quick_is_there():
    assert TASK.preset("quick").sweep.total_seconds <= 60


def test_expected_failures_are_refusals_and_others_go_through():
    def raises(error: BaseException):
        def fn() -> int:
            raise error

        return fn

    assert attempt(raises(MemoryError("x"))).status == "out-of-memory"
    assert attempt(raises(ValueError("no"))) == Refusal("unsupported", "no")
    with pytest.raises(KeyboardInterrupt):
        attempt(raises(KeyboardInterrupt()))


def test_the_roofline_adds_its_parts_and_says_nothing_of_what_was_not_counted():
    ceilings = Ceilings(matrix_product=2.0, memory_copy=4.0, exp=5.0)
    cell = CostCell(
        mode="forward", causal=True, length=1, status="completed",
        flops=2, exps=10, least_bytes=12,
    )  # fmt: skip
    assert roofline(cell, ceilings) == 1 + 2 + 3
    assert roofline(cell.model_copy(update={"flops": None}), ceilings) is None


def test_the_higher_of_two_ceilings_keeps_its_own_median():
    one = Ceilings(matrix_product=2.0, memory_copy=4.0, exp=5.0, exp_median=4.0)
    other = Ceilings(matrix_product=3.0, memory_copy=1.0, exp=6.0, exp_median=5.5)
    assert higher(one, other) == Ceilings(
        matrix_product=3.0, memory_copy=4.0, exp=6.0, exp_median=5.5
    )
