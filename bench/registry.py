"""Finds methods, tasks and suites: in our folders, in entry points, in files and import paths.

A module under `methods/` with a `METHOD`, or under `tasks/` with a `TASK` or a `SUITE`, is
registered. A built-in that fails to import is our error and is raised; a plug-in that fails is
listed as broken and stops nothing.
"""

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from bench.errors import UsageError, nearest
from methods.api import Method
from tasks.api import Suite, TrainedTask
from tasks.language import LanguageTask
from tasks.probe import ProbeTask
from tasks.sweep import CostTask

T = TypeVar("T")
AnyTask = TrainedTask | CostTask | ProbeTask | LanguageTask
Kind = str
CONSTANTS: dict[Kind, tuple[type, ...]] = {
    "METHOD": (Method,),
    "TASK": (TrainedTask, CostTask, ProbeTask, LanguageTask),
    "SUITE": (Suite,),
}
"""What may stand under each name."""
ENTRY_POINTS: dict[Kind, str] = {"METHOD": "bench.methods", "TASK": "bench.tasks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[T]):
    """Something registered, and where it came from."""

    value: T
    locator: str
    """`module:ATTRIBUTE` or `path/to/file.py:ATTRIBUTE`: another process finds it again by this."""
    file: Path
    module: ModuleType

    @property
    def title(self) -> str:
        """The first line of the module's docstring."""
        return (self.module.__doc__ or "").strip().split("\n")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A plug-in that could not be loaded."""

    locator: str
    reason: str


@dataclass(slots=True)
class Registry:
    """What is registered, by name."""

    methods: dict[str, Entry[Method]] = field(default_factory=dict)
    tasks: dict[str, Entry[AnyTask]] = field(default_factory=dict)
    suites: dict[str, Entry[Suite]] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)

    def method(self, name: str) -> Entry[Method]:
        return _look_up(name, self.methods, "method")

    def tasks_named(self, name: str) -> list[Entry[AnyTask]]:
        """One task, or every task of a suite."""
        if name in self.suites:
            return [_look_up(t, self.tasks, "task") for t in self.suites[name].value.tasks]
        if name in self.tasks:
            return [self.tasks[name]]
        known = [*self.suites, *self.tasks]
        raise UsageError(
            f"No task or suite is named {name!r}.{nearest(name, known)}"
            f" `python -m bench list tasks` shows all {len(known)}."
        )

    def add(self, kind: Kind, entry: Entry[Any]) -> None:
        """Register; a name that is taken is an error that names both origins."""
        shelf = self._shelf(kind)
        name = entry.value.name
        if name in shelf:
            raise UsageError(
                f"Two origins define the {kind.lower()} {name!r}: {shelf[name].locator} and"
                f" {entry.locator}. Rename one of them."
            )
        shelf[name] = entry

    def _shelf(self, kind: Kind) -> dict[str, Entry[Any]]:
        shelves: dict[Kind, dict[str, Entry[Any]]] = {
            "METHOD": self.methods,
            "TASK": self.tasks,
            "SUITE": self.suites,
        }
        return shelves[kind]


def load_registry(kinds: tuple[Kind, ...] = ("METHOD", "TASK", "SUITE")) -> Registry:
    """Everything in our own folders, then everything that installed packages announce."""
    registry = Registry()
    for module in _our_modules(kinds):
        for kind in kinds:
            if isinstance(getattr(module, kind, None), CONSTANTS[kind]):
                registry.add(kind, _entry(module, f"{module.__name__}:{kind}", kind))
    for kind in kinds:
        if kind in ENTRY_POINTS:
            _add_entry_points(registry, kind)
    return registry


def load_locator(locator: str, kind: Kind) -> Entry[Any]:
    """The one thing at `module:ATTRIBUTE`, `file.py` or `file.py:ATTRIBUTE`.

    Raises UsageError with a sentence when it is missing, fails to import or is of another type.
    """
    where, _, attribute = locator.partition(":")
    attribute = attribute or kind
    try:
        module = _import_file(Path(where)) if where.endswith(".py") else _import(where)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        # Foreign code runs here and may raise anything; what it raised is the user's answer.
        raise UsageError(
            f"{where} could not be imported: {type(error).__name__}: {error}. Mend it, then run"
            f" `python -m bench check {where}`."
        ) from error
    value = getattr(module, attribute, None)
    if not isinstance(value, CONSTANTS[kind]):
        found = "nothing" if value is None else f"a {type(value).__name__}"
        right = " or ".join(type_.__name__ for type_ in CONSTANTS[kind])
        raise UsageError(
            f"{where} has {found} named {attribute}; expected a {right}."
            f" Define `{attribute} = {CONSTANTS[kind][0].__name__}(...)` at the top level."
        )
    return _entry(module, f"{where}:{attribute}", kind, attribute)


def is_locator(text: str) -> bool:
    """Whether a name on the command line means a file or an import path."""
    return text.endswith(".py") or ".py:" in text or ":" in text


def _our_modules(kinds: tuple[Kind, ...]) -> Iterator[ModuleType]:
    packages = ["methods"] * ("METHOD" in kinds) + ["tasks"] * ("TASK" in kinds or "SUITE" in kinds)
    for name in packages:
        package = importlib.import_module(name)
        for info in pkgutil.walk_packages(package.__path__, prefix=f"{name}."):
            parts = info.name.split(".")
            if not info.ispkg and parts[1] not in ("api", "core", "data"):
                yield importlib.import_module(info.name)


def _add_entry_points(registry: Registry, kind: Kind) -> None:
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS[kind]):
        locator = f"{point.module}:{point.attr or kind}"
        try:
            registry.add(kind, load_locator(locator, kind))
        except UsageError as error:
            registry.broken.append(Broken(locator=locator, reason=str(error)))


def _entry(module: ModuleType, locator: str, kind: Kind, attribute: str = "") -> Entry[Any]:
    file = Path(module.__file__ or "")
    value = getattr(module, attribute or kind)
    return Entry(value=value, locator=locator, file=file, module=module)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise UsageError(
                f"No module is named {name!r}. Install it, or give the path of a .py file."
            ) from error
        raise


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"There is no file {path}. Give the path of a .py file with a METHOD.")
    name = f"bench_plugin_{path.stem}_{zlib.crc32(str(path.resolve()).encode()):x}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs, as dataclasses and pickle expect.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _look_up(name: str, shelf: dict[str, Entry[T]], noun: str) -> Entry[T]:
    if name in shelf:
        return shelf[name]
    raise UsageError(
        f"No {noun} is named {name!r}.{nearest(name, shelf)}"
        f" `python -m bench list {noun}s` shows all {len(shelf)}."
    )
