"""What is too long to be read at once is split."""

import ast
from pathlib import Path

import pytest

from tests.architecture.sources import FOLDERS, defines, functions, listed, modules, name, num_lines

METHOD_LINES, TASK_LINES, FILE_LINES, FUNCTION_LINES = 150, 250, 300, 40


def too_long(paths: list[Path], limit: int) -> list[str]:
    return [f"{name(path)}: {num_lines(path)}" for path in paths if num_lines(path) > limit]


@pytest.mark.parametrize(
    ("folder", "constants", "limit"),
    [("methods", ("METHOD",), METHOD_LINES), ("tasks", ("TASK", "SUITE"), TASK_LINES)],
)
def test_a_registered_module_is_short(folder: str, constants: tuple[str, ...], limit: int) -> None:
    registered = [path for path in modules(folder) if defines(path, *constants)]
    assert registered
    offenders = too_long(registered, limit)
    assert not offenders, listed(offenders)


def test_no_file_is_long() -> None:
    offenders = too_long(modules(*FOLDERS), FILE_LINES)
    assert not offenders, listed(offenders)


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, the docstring not counted: a command's is its help page."""
    first = function.body[0]
    docstring = (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(function) else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def test_no_function_is_long() -> None:
    offenders = [
        f"{name(path)}:{function.lineno} {function.name}: {lines}"
        for path in modules(*FOLDERS)
        for function in functions(path)
        if (lines := code_lines(function)) > FUNCTION_LINES
    ]
    assert not offenders, listed(offenders)
