"""Every method in the folder keeps the contract, with its defaults and with other options.

Other people's implementations are methods too. What one of them breaks is a finding: it stands in
BREAKS, and a test fails when the method breaks another law, and when it no longer breaks one.
"""

import importlib
import pkgutil
from collections.abc import Iterable

import pytest

import methods
from bench.cli.selection import is_installed
from bench.compatibility import method_problem
from methods.api import Method
from methods.core.testing import LawResult, assert_method, check_method
from tests.processes import run_python


def _found() -> dict[str, Method]:
    modules = (
        importlib.import_module(f"methods.{info.name}")
        for info in pkgutil.iter_modules(methods.__path__)
        if not info.ispkg
    )
    found = [vars(module).get("METHOD") for module in modules]
    return {method.name: method for method in found if isinstance(method, Method)}


METHODS = _found()
VARIANTS = [
    ("performer", {"orthogonal": False}),
    ("performer", {"num_features": 33, "redraw_every": 100}),
    ("performer", {"key_shift": "attended", "proposal": "typical"}),
    ("performer", {"key_shift": "both", "proposal": "optimal", "shrinkage": "auto"}),
    (
        "darkformer",
        {
            "key_shift": "keys",
            "query_shift": "queries",
            "initial": "whitening",
            "rank": 5,
            "proposal": "typical",
            "shrinkage": 0.3,
        },
    ),
    ("darkformer", {"rank": 5}),
    ("darkformer", {"initial": "whitening"}),
    ("darkformer", {"proposal": "optimal"}),
    ("darkformer", {"proposal": "optimal", "initial": "whitening", "rank": 3}),
    ("darkformer-pytorch", {"num_features": 33, "orthogonal": False}),
    ("fast-transformers-favor", {"num_features": 256}),
    ("nystromformer", {"num_landmarks": 8}),
    ("nystromformer", {"num_landmarks": 1, "conv_kernel": 0}),
    ("nystromformer", {"num_landmarks": 32, "conv_kernel": 1, "pinv_iterations": 1}),
    ("linformer", {"rank": 7, "shared": "none"}),
    ("linformer", {"rank": 1, "shared": "kv"}),
    ("cosformer", {"horizon": 1000}),
    ("delta-rule", {"conv_width": 0}),
    ("local", {"window": 5}),
    ("mamba2", {"state_size": 5, "expand": 3, "head_dim": 4, "num_groups": 3, "conv_width": 2}),
]
BREAKS = {
    # Its maximum over all keys lets the future underflow the past (future-not-seen, and at any
    # length); padded keys count in its normaliser (padding-as-good-as-absent); it adds 1e-4 to
    # every feature (equals-namesake); and it takes its directions from QR without mending their
    # signs (features-unbiased).
    "performer-pytorch": {
        "future-not-seen",
        "future-not-seen-at-length",
        "padding-as-good-as-absent",
        "equals-namesake",
        "features-unbiased",
    },
}
"""The laws that a method of someone else's is known to break."""
MAY_BREAK = {
    # What it adds to every feature is not free of the maximum, which is cut off from the gradient.
    "performer-pytorch": {"gradients-are-derivatives"},
}
"""Those that it breaks at some of the lengths that are drawn."""


def _available(name: str, dtype: str = "float32") -> Method:
    """The method, where its packages are and it runs on a processor."""
    method = METHODS[name]
    problem = method_problem(method, device="cpu", dtype=dtype, is_installed=is_installed)
    if problem is not None:
        pytest.skip(problem.reason)
    return method


def _broken(results: Iterable[LawResult]) -> dict[str, str]:
    return {result.law: result.detail for result in results if not result.passed}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_breaks_no_law_but_those_it_is_known_to_break(name):
    method = _available(name)
    broken = _broken(check_method(method, namesake=METHODS.get(method.same_as)))
    assert broken.keys() - MAY_BREAK.get(name, set()) == BREAKS.get(name, set()), broken


@pytest.mark.slow
@pytest.mark.parametrize("draw", range(20))
@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_breaks_is_no_matter_of_what_was_drawn(name, draw):
    """Each has draws of its own, as each trial's gate has."""
    test_a_method_breaks_no_law_but_those_it_is_known_to_break(name)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_a_method_with_other_options_keeps_the_contract(name, options):
    method = _available(name)
    assert_method(method, options=options, namesake=METHODS.get(method.same_as))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_keeps_the_contract_with_a_head_dimension_that_is_odd(name):
    method = _available(name)
    assert_method(method, head_dim=7, laws=["shape-and-dtype-kept", "gradients-finite"])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", METHODS)
def test_a_method_keeps_the_laws_of_a_half_precision_that_it_declares(name, dtype):
    method = _available(name, dtype)
    laws = ["future-not-seen", "low-precision-is-close", "gradients-are-derivatives"]
    broken = _broken(check_method(method, laws=laws, dtype=dtype))
    assert broken.keys() <= BREAKS.get(name, set()) | MAY_BREAK.get(name, set()), broken


def test_only_other_implementations_are_known_to_break_a_law():
    assert all(METHODS[name].same_as and METHODS[name].can.packages for name in BREAKS)


def test_no_method_imports_an_optional_package_before_it_is_built():
    packages = sorted({p for method in METHODS.values() for p in method.can.packages})
    modules = sorted(f"methods.{i.name}" for i in pkgutil.iter_modules(methods.__path__))
    run_python(
        f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\n"
        f"loaded = [p for p in {packages} if p in sys.modules]\nassert not loaded, loaded"
    )


def test_the_folder_holds_the_methods_of_the_first_issue():
    assert METHODS.keys() >= {
        "softmax",
        "sdpa",
        "linear-transformer",
        "performer",
        "darkformer",
        "constant",
        "random",
        "no-mixing",
    }


def test_every_method_says_its_family_and_its_time():
    assert all(m.family != "other" and m.time != "?" for m in METHODS.values())


def test_floors_and_ceilings_are_marked():
    roles = {m.name: m.role for m in METHODS.values() if m.role != "method"}
    assert {roles[n] for n in ("constant", "random", "no-mixing")} == {"floor"}
    assert {roles[n] for n in ("softmax", "sdpa")} == {"ceiling"}
