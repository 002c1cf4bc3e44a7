"""What the code must say, and what it must not."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import (
    FOLDERS,
    PACKAGES,
    Function,
    listed,
    modules,
    name,
    texts,
    tree,
)

BROAD = ("Exception", "BaseException")
# In two parts, so that this file does not contain what it forbids.
LEFT_FOR_LATER = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
MACHINE_PATH = re.compile(
    r"(?<![\w.~})\]/-])/(home|Users|root|work|opt|mnt|srv|scratch|workspace|var)/\w|[A-Z]:\\\\?Users"
)


def broad_handlers(path: Path) -> Iterator[ast.ExceptHandler]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler):
            caught = [] if node.type is None else list(ast.walk(node.type))
            names = [part.id for part in caught if isinstance(part, ast.Name)]
            if node.type is None or any(word in BROAD for word in names):
                yield node


def matches(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name(path)}:{number} {line.strip()[:80]}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_every_error_is_caught_in_one_place_only() -> None:
    found = [name(path) for path in modules(*FOLDERS) for _ in broad_handlers(path)]
    assert found == ["bench/registry.py", "bench/trial.py"]


def test_every_module_says_what_it_is() -> None:
    full = (path for path in modules(*FOLDERS) if tree(path).body)
    silent = [name(path) for path in full if not ast.get_docstring(tree(path))]
    assert not silent, listed(silent)


def test_every_public_function_and_class_has_a_docstring() -> None:
    silent = [
        f"{name(path)}:{node.lineno} {node.name}"
        for path in modules(*PACKAGES)
        # A test's name is its sentence, also of a test that `bench new` writes.
        if not path.name.endswith("_test.py")
        for node in tree(path).body
        if isinstance(node, Function | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not silent, listed(silent)


def test_only_the_command_line_prints() -> None:
    printing = [
        f"{name(path)}:{node.lineno}"
        for path in modules(*PACKAGES)
        if not name(path).startswith("bench/cli/")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not printing, listed(printing)


def test_nothing_is_left_for_later() -> None:
    left = matches(LEFT_FOR_LATER)
    assert not left, listed(left)


def test_no_file_names_a_place_on_somebody_s_machine() -> None:
    places = matches(MACHINE_PATH)
    assert not places, listed(places)
