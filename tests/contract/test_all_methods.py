"""Every method in the folder keeps the contract, with its defaults and with other options."""

import importlib
import pkgutil

import pytest

import methods
from methods.api import Method
from methods.core.testing import assert_method


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
    ("darkformer", {"rank": 5}),
    ("darkformer", {"initial": "whitening"}),
    ("darkformer", {"proposal": "optimal"}),
    ("darkformer", {"proposal": "optimal", "initial": "whitening", "rank": 3}),
]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_keeps_the_contract(name):
    method = METHODS[name]
    assert_method(method, namesake=METHODS.get(method.same_as))


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_a_method_with_other_options_keeps_the_contract(name, options):
    assert_method(METHODS[name], options=options)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_keeps_the_contract_with_a_head_dimension_that_is_odd(name):
    assert_method(METHODS[name], head_dim=7, laws=["shape-and-dtype-kept", "gradients-finite"])


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
