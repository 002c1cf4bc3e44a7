"""Laws of probes: what a probe sees of a method, and what stands in the plan and the record."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from bench.errors import UsageError
from bench.plan import ChosenMethod, Request, make_plan
from bench.registry import Entry, load_registry
from bench.runners.probe import MethodSubject
from methods.api import Capabilities, UnsupportedError
from results.store import Store
from tasks.probe import ProbePoint, ProbeRequest, ProbeTask
from tasks.probes.bias import TASK as BIAS
from tests.bench.test_plan import HERE, chosen
from tests.fakes import tiny_probe
from tests.processes import bench

TINY = "tests/fakes/tiny_probe.py"
SMALL = ("--set", "num_draws=8", "head_dim=8", "num_heads=2")


def run(folder, *words: str):
    return bench("run", "--results", str(folder), "--threads", "1", *words)


def the_record(folder):
    (record,) = Store(folder).read().records
    return record


def subject(name: str, **options) -> MethodSubject:
    methods = load_registry(("METHOD",)).methods
    method = methods[name].value
    options = {option.name: option.default for option in method.options.values()} | options
    namesake = methods[method.same_as].value if method.same_as else None
    return MethodSubject(method, options, namesake=namesake)


def plan(task, *methods, **changes):
    entry = Entry(value=task, locator="t:TASK", file=Path("m.py"), module=None)
    return make_plan(Request(methods=methods, tasks=(entry,), **changes), HERE).trials


def qkv(dtype=torch.float32, time: int = 7):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(3, 2, 2, time, 8, generator=generator).to(dtype).unbind()


def test_a_point_has_a_value_or_a_reason_and_only_finite_numbers():
    with pytest.raises(ValueError, match="a value or a reason"):
        ProbePoint(quantity="x", where={}, value=None)
    with pytest.raises(ValueError, match="a value or a reason"):
        ProbePoint(quantity="x", where={}, value=1.0, reason="infinite")
    with pytest.raises(ValueError, match="high of point x"):
        ProbePoint(quantity="x", where={}, value=1.0, high=float("inf"))


def test_features_come_with_the_kernel_that_they_estimate():
    instance = subject("performer").draw(0, num_heads=2, head_dim=8, dtype="float64")
    q, k, _ = qkv(torch.float64)
    queries, keys = instance.features(0.1 * q, 0.1 * k)
    scales = queries.log_scale[..., :, None] + keys.log_scale[..., None, :]
    estimate = queries.values @ keys.values.mT * scales.exp()
    torch.testing.assert_close(
        estimate, instance.log_kernel(0.1 * q, 0.1 * k).exp(), rtol=0.1, atol=0.0
    )
    assert estimate.dtype == torch.float64


def test_the_same_seed_draws_the_same_and_another_seed_something_else():
    q, k, v = qkv()
    one, same, other = (
        subject("performer").draw(seed, num_heads=2, head_dim=8).attend(q, k, v)
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_the_number_of_features_can_be_asked_for():
    q, k, _ = qkv()
    for asked, due in ((None, 16), (5, 5)):
        drawn = subject("performer", num_features=16).draw(
            0, num_heads=2, head_dim=8, num_features=asked
        )
        assert drawn.features(q, k)[0].values.shape == (2, 2, 7, due)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_attention_is_in_the_dtype_of_what_comes_in(dtype):
    wide = "float64" if dtype == "float64" else "float32"
    for name in ("performer", "softmax"):
        instance = subject(name).draw(0, num_heads=2, head_dim=8, dtype=wide)
        q, k, v = qkv(getattr(torch, dtype))
        o = instance.attend(q, k, v, causal=True)
        assert o.dtype == q.dtype
        exact = instance.attend(*(x.to(getattr(torch, wide)) for x in (q, k, v)), causal=True)
        torch.testing.assert_close(o.to(exact.dtype), exact, rtol=0.05, atol=0.05)


def test_a_calibrated_method_sees_the_data():
    q, k, _ = qkv(time=257)
    one, two = (
        subject("darkformer", initial="whitening").draw(0, num_heads=2, head_dim=8)
        for _ in range(2)
    )
    two.calibrate(q * torch.logspace(-1, 0, 8), k)
    assert not torch.allclose(one.log_kernel(q, k), two.log_kernel(q, k))


def test_collapsed_rows_are_counted_where_there_is_a_normaliser():
    q, k, _ = qkv()
    performer = subject("performer").draw(0, num_heads=2, head_dim=8)
    assert performer.collapsed(q, k) == 0.0
    # Products of hundreds of thousands: no feature of one is left where the other's is.
    assert performer.collapsed(-3000 * q, 3000 * k) > 0.5
    assert subject("softmax").draw(0, num_heads=2, head_dim=8).collapsed(q, k) is None


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: subject("darkformer", rank=9).draw(0, num_heads=1, head_dim=8), "rank"),
        (lambda: subject("softmax").draw(0, num_heads=1, head_dim=8, num_features=4),
         "no option num_features"),
        (lambda: subject("softmax").draw(0, num_heads=2, head_dim=8).features(*qkv()[:2]),
         "no features"),
    ],
)  # fmt: skip
def test_what_a_method_cannot_give_is_unsupported(ask, sentence):
    with pytest.raises(UnsupportedError, match=sentence):
        ask()


def test_numbers_disclosed_are_seen_through_the_features_of_the_namesake():
    pytest.importorskip("performer_pytorch")
    theirs = subject("performer-pytorch", num_features=12)
    assert theirs.is_feature_map
    assert "performer's" in theirs.card["features"]
    queries, _ = theirs.draw(0, num_heads=2, head_dim=8).features(*qkv()[:2])
    ours, _ = (
        subject("performer", num_features=12).draw(0, num_heads=2, head_dim=8).features(*qkv()[:2])
    )
    assert queries.values.shape == ours.values.shape
    assert not torch.allclose(queries.values, ours.values)


def test_another_persons_biased_draw_is_found():
    pytest.importorskip("performer_pytorch")
    settings = BIAS.preset("quick").settings | {"num_draws": 64, "head_dim": "8"}
    request = ProbeRequest(settings=settings)
    list(BIAS.run(subject("performer-pytorch"), request, lambda *_: None))
    assert request.card["verdict"].startswith("biased")


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("performer", {}),
        ("performer", {"orthogonal": False}),
        ("darkformer", {"proposal": "optimal"}),
        ("darkformer", {"initial": "whitening", "orthogonal": False}),
    ],
)
def test_our_draws_show_no_bias(method, options):
    settings = BIAS.preset("quick").settings | {"num_draws": 64, "head_dim": "8"}
    request = ProbeRequest(settings=settings)
    list(BIAS.run(subject(method, **options), request, lambda *_: None))
    assert request.card["verdict"].startswith("no bias found")


def test_a_probe_is_planned_without_controls_and_with_its_settings():
    control = dataclasses.replace(chosen("floor"), is_control=True)
    (trial,) = plan(tiny_probe.TASK, chosen("a"), control, settings={"largest": "4"})
    assert trial.identity.method == "a"
    assert trial.identity.settings == {"largest": 4}
    assert trial.preset.settings == {"largest": 4, "head_dim": 8, "fails": "no"}
    assert trial.problem is None


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"largst": "3"}, "Did you mean 'largest'"),
        ({"largest": "x"}, "takes largest as int"),
        ({"largest": "10"}, "fake/probe, preset 'quick': largest must be 9 or less"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_the_plan(settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        plan(tiny_probe.TASK, chosen("a"), settings=settings)


def test_what_a_probe_cannot_look_into_is_a_sentence_in_the_plan():
    mamba = load_registry(("METHOD",)).methods["mamba"]
    (trial,) = plan(tiny_probe.TASK, ChosenMethod(entry=mamba, options={}))
    assert "whole mixer" in trial.problem.reason
    (trial,) = plan(BIAS, chosen("a"))
    assert "has neither" in trial.problem.reason
    (trial,) = plan(tiny_probe.TASK, chosen("a"), compile=True)
    assert "--compile" in trial.problem.reason
    (trial,) = plan(tiny_probe.TASK, chosen("a"), source="packaged")
    assert "no source 'packaged'" in trial.problem.reason
    narrow = chosen("a", Capabilities(bidirectional=True, least_head_dim=16))
    (trial,) = plan(tiny_probe.TASK, narrow)
    assert "of at least 16 dimensions" in trial.problem.reason


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    words = ("--methods", "performer", "softmax", "--task", "probes/bias", *SMALL, "--json")
    return folder, run(folder, *words)


def test_points_settings_and_verdict_are_on_record(measured):
    folder, done = measured
    assert done.returncode == 0, done.stderr
    records = {r.identity.method: r for r in Store(folder).read().records}
    assert set(records) == {"performer", "softmax"}
    assert records["softmax"].status == "unsupported"
    record = records["performer"]
    assert record.status == "completed"
    assert {p.quantity for p in record.probe.points} == {
        "relative-bias", "z", "detectable-bias", "threshold", "largest-z",
    }  # fmt: skip
    assert record.probe.card["verdict"] in done.stderr
    assert record.probe.gate == ""
    assert record.settings_resolved["num_draws"] == 8
    assert {r["identity"]["method"] for r in json.loads(done.stdout)} == set(records)


def test_what_is_on_record_is_not_measured_again(measured):
    folder, _ = measured
    again = run(folder, "--methods", "performer", "--task", "probes/bias", *SMALL)
    assert "1 of 1 trials were on record" in again.stdout
    dry = run(folder, "--methods", "performer", "--task", "probes/bias", *SMALL, "--dry-run")
    assert "on record" in dry.stdout


def test_a_method_that_fails_the_gate_is_measured_and_the_record_says_so(tmp_path):
    leaks = "tests.fakes.bad_methods:LEAKS"
    done = run(tmp_path, "--methods", leaks, "--task", TINY)
    record = the_record(tmp_path)
    assert done.returncode == 0, done.stderr
    assert record.status == "completed"
    assert "padding" in record.probe.gate
    assert record.probe.card["model"] == "none"
    value, nothing = record.probe.points
    assert value.value > 0
    assert (nothing.value, nothing.reason) == (None, "infinite: 2 >= 1")


@pytest.mark.parametrize(
    ("fails", "status", "word"),
    [("crash", "crashed", "boom"), ("unavailable", "unavailable", "No model here")],
)
def test_points_found_before_a_failure_stay_on_record(tmp_path, fails, status, word):
    run(tmp_path, "--methods", "softmax", "--task", TINY, "--set", f"fails={fails}")
    record = the_record(tmp_path)
    assert record.status == status
    assert word in record.reason
    assert [p.quantity for p in record.probe.points] == ["output"]


def test_probes_are_listed_with_their_settings():
    done = bench("list", "presets", "--json")
    row = next(r for r in json.loads(done.stdout) if r["task"] == "probes/bias")
    assert "num_draws=256" in row["settings"]
    assert bench("doctor", "--json").returncode == 0


def test_every_probe_has_quick_and_small_presets_that_make_sense():
    found = [e.value for e in load_registry(("TASK",)).tasks.values()]
    probes = [task for task in found if isinstance(task, ProbeTask)]
    assert len(probes) >= 5
    for task in probes:
        assert {"quick", "small"} <= {preset.name for preset in task.presets}
        for preset in task.presets:
            task.check(preset.settings)
            assert task.source(preset.source) is not None


def test_the_suite_holds_every_probe():
    registry = load_registry()
    probes = {n for n, e in registry.tasks.items() if isinstance(e.value, ProbeTask)}
    assert {entry.value.name for entry in registry.tasks_named("probes")} == probes
