"""What a method needs of a machine, a preset and its options is said before anything runs."""

import dataclasses

import pytest

from bench.cli.check import check_command
from bench.compatibility import method_problem
from bench.plan import Surroundings, make_plan
from methods.api import Capabilities, Method, UnsupportedError
from methods.core.testing import check_method
from methods.softmax import METHOD as SOFTMAX
from tests.bench.test_plan import HERE, chosen, request

KERNEL = Capabilities(
    bidirectional=True,
    key_padding=True,
    devices=("cuda",),
    dtypes=("float16",),
    least_head_dim=16,
    largest_head_dim=128,
    head_dim_multiple=8,
    compute_capability=(8, 0),
    packages=("old_package",),
    install="pip install old-package",
    by_option={("version", "3"): {"compute_capability": (9, 0), "packages": ("new_package",)}},
)


def attend(q, k, v, *, causal=False, key_padding=None, version: str = "2"):
    """Nothing."""
    return v


def problem(installed: tuple[str, ...] = ("old_package", "new_package"), **changes: object):
    method = Method(name="kernel", attention=attend, can=KERNEL)
    asked = {"device": "cuda:0", "dtype": "float16", "is_installed": lambda p: p in installed}
    return method_problem(method, **asked | changes)


def test_what_fits_has_no_problem():
    fits = {"head_dim": 64, "compute_capability": (8, 0)}
    assert problem(**fits) is None
    assert problem(**fits | {"compute_capability": (12, 0)}) is None
    assert problem(dtype=None) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head_dim": 8}, "needs heads of at least 16 dimensions and of at most 128 dimensions"),
        ({"head_dim": 136}, "and these have 136. Choose a preset with such heads"),
        ({"head_dim": 20}, "of a multiple of 8 dimensions, and these have 20"),
        (
            {"compute_capability": (7, 5)},
            "needs a GPU of compute capability 8.0 or newer, and this one has 7.5. Choose another",
        ),
        ({"device": "cpu"}, "kernel runs on cuda, not on cpu"),
        ({"dtype": "float32"}, "computes in float16, not in float32. Choose with --dtype"),
        (
            {"options": {"version": "3"}, "compute_capability": (8, 9)},
            "compute capability 9.0 or newer, and this one has 8.9",
        ),
    ],
)
def test_what_does_not_fit_is_unsupported_and_the_sentence_says_what_would(changes, words):
    found = problem(**changes)
    assert found.status == "unsupported"
    assert words in found.reason


def test_an_option_may_need_another_package():
    assert problem(installed=("old_package",)) is None
    found = problem(installed=("old_package",), options={"version": "3"})
    assert found.status == "unavailable"
    assert found.reason == "kernel needs new_package. Install with: pip install old-package"
    assert problem(installed=("new_package",), options={"version": "2"}).status == "unavailable"


def test_capabilities_that_no_option_changes_are_the_same_object():
    assert KERNEL.with_options({"version": "2"}) is KERNEL
    assert hash(KERNEL) == hash(dataclasses.replace(KERNEL))


def planned(can: Capabilities, capability: tuple[int, int] | None = None, **options: object):
    surroundings = dataclasses.replace(HERE, compute_capability=lambda device: capability)
    assert isinstance(surroundings, Surroundings)
    (trial,) = make_plan(
        request(chosen("kernel", can, **options), device="cuda:0"), surroundings
    ).trials
    return trial.problem


def test_the_plan_asks_for_the_head_dimension_of_the_preset():
    here = dataclasses.replace(KERNEL, packages=(), by_option={}, dtypes=("float32",))
    assert "and these have" in planned(here).reason
    assert planned(dataclasses.replace(here, least_head_dim=1)) is None


def test_the_plan_asks_for_the_compute_capability_of_the_device():
    here = dataclasses.replace(KERNEL, packages=(), least_head_dim=1, dtypes=("float32",))
    assert planned(here, (8, 0)) is None
    assert "8.0 or newer, and this one has 7.0" in planned(here, (7, 0)).reason
    changed = {("version", "3"): {"compute_capability": (9, 0)}}
    here = dataclasses.replace(here, by_option=changed)
    assert planned(here, (8, 0), version="2") is None
    assert "9.0 or newer" in planned(here, (8, 0), version="3").reason


def test_a_check_where_the_method_cannot_run_is_refused_and_passes_nothing():
    """A gate that passed there would have looked at nothing."""
    on_gpu = dataclasses.replace(SOFTMAX.can, devices=("cuda",))
    with pytest.raises(UnsupportedError, match="softmax does not run on cpu"):
        check_method(dataclasses.replace(SOFTMAX, can=on_gpu))
    wide = dataclasses.replace(SOFTMAX.can, least_head_dim=32)
    with pytest.raises(UnsupportedError, match="at least 32 dimensions, and these have 16"):
        check_method(dataclasses.replace(SOFTMAX, can=wide))


BROKEN = """'''Its package is there, and does not load.'''
from methods.api import AttentionModule, Capabilities, Method
from methods.core.capabilities import import_package

class Broken(AttentionModule):
    def __init__(self, heads, generator):
        super().__init__()
        import_package("broken", "broken_package", "pip install broken")

    def forward(self, q, k, v, *, causal=False, key_padding=None):
        return v

can = Capabilities(bidirectional=True, packages=("broken_package",))
METHOD = Method(name="broken", attention=Broken, can=can)
"""


def test_a_package_that_does_not_load_is_told_by_check(monkeypatch, tmp_path, capsys):
    (tmp_path / "broken_package.py").write_text("raise ImportError('undefined symbol')")
    (tmp_path / "method.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    assert check_command(str(tmp_path / "method.py")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "is not checked here: broken needs broken_package, which cannot be imported here" in said
    assert "undefined symbol. Install with: pip install broken" in said
