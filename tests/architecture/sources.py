"""The project's files, and their syntax trees."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("bench", "methods", "tasks", "results", "reports")
FOLDERS = (*PACKAGES, "tests", "benchmarks", "examples")
SUFFIXES = (".py", ".md", ".toml", ".txt", ".json", ".html")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(*folders: str) -> list[Path]:
    """Every Python file below these folders of the project."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def texts() -> list[Path]:
    """Everything a person wrote: modules, data, pages and what sets the project up."""
    top = [path for path in ROOT.iterdir() if path.suffix in SUFFIXES]
    below = [p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if p.suffix in SUFFIXES]
    return sorted({*top, *below, ROOT / "Makefile", ROOT / ".ci" / "run"})


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def listed(offenders: list[str]) -> str:
    """One a line, which is how a failing law is read."""
    return "\n" + "\n".join(offenders)


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def num_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(path: Path) -> Iterator[Function]:
    """Every function of the module, methods and inner functions too."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, Function))


def defines(path: Path, *constants: str) -> bool:
    """Whether the module assigns one of these names at its top level."""
    targets = [
        target
        for node in tree(path).body
        if isinstance(node, ast.Assign)
        for target in node.targets
    ]
    return any(isinstance(target, ast.Name) and target.id in constants for target in targets)
