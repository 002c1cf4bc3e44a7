"""Laws of finding methods and tasks."""

from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.registry import load_locator, load_registry

METHOD = """
from methods.api import Capabilities, Method
def attend(q, k, v, *, causal=False, key_padding=None):
    return v
METHOD = Method(name="{name}", can=Capabilities(), attention=attend)
"""


@pytest.fixture(scope="module")
def registry():
    return load_registry()


def test_the_folder_is_the_registry(registry):
    assert {"softmax", "performer", "darkformer", "no-mixing"} <= registry.methods.keys()
    assert "lra" in registry.suites


def test_a_suite_means_its_tasks(registry):
    assert [t.value.name for t in registry.tasks_named("lra")] == list(
        registry.suites["lra"].value.tasks
    )


@pytest.mark.parametrize(("wrong", "near"), [("darkfomer", "darkformer"), ("sofmax", "softmax")])
def test_an_unknown_method_is_answered_with_the_nearest(registry, wrong, near):
    with pytest.raises(UsageError, match=f"Did you mean '{near}'"):
        registry.method(wrong)


def test_an_unknown_task_is_answered_with_the_nearest(registry):
    with pytest.raises(UsageError, match="Did you mean 'lra/listops'"):
        registry.tasks_named("lra/listop")


def test_a_method_in_a_file_is_found(tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text(METHOD.format(name="mine"))
    assert load_locator(str(file), "METHOD").value.name == "mine"


def test_two_origins_of_one_name_are_both_named(registry, tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text(METHOD.format(name="softmax"))
    entry = load_locator(str(file), "METHOD")
    with pytest.raises(UsageError) as caught:
        registry.add("METHOD", entry)
    assert str(file) in str(caught.value)
    assert "methods.softmax" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import nothing_of_that_name", "could not be imported: ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("METHOD = 3", "has a int named METHOD; expected a Method"),
        ("x = 1", "has nothing named METHOD"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_a_file_that_is_no_method_is_answered_with_a_sentence(tmp_path: Path, text, sentence):
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_locator(str(file), "METHOD")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("locator", ["./no_such_file.py", "no_such_module:METHOD"])
def test_a_missing_origin_is_named(locator):
    with pytest.raises(UsageError, match=r"no_such"):
        load_locator(locator, "METHOD")


def test_a_module_that_lacks_a_dependency_is_not_called_missing(tmp_path: Path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import not_installed_at_all")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="not_installed_at_all"):
        load_locator("needs_more:METHOD", "METHOD")
