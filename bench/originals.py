"""What a trial stands on, as it was before a method's file was read: torch and its settings, the
clock, the code that judges, and the methods and tasks that a foreign one is held against. A method
that replaces a part of it could make anything true."""

import builtins
import copy
import dataclasses
import functools
import gc
import importlib
import itertools
import math
import operator
import pkgutil
import random
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from types import CellType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch

# Replaces functions of torch itself when it is first imported, which anything may bring about.
import torch._dynamo
from scipy import special
from torch._dynamo.mutation_guard import install_generation_tagging_init

import methods
import tasks
from bench.switches import switches

LAW = "nothing-patched"
JUDGES = ("bench.", "methods.core.", "results.")
SHIPPED = ("methods.", "tasks.")
FOUNDATIONS: tuple[ModuleType | type, ...] = (
    builtins,
    copy,
    gc,
    itertools,
    math,
    np,
    np.linalg,
    operator,
    random,
    random.SystemRandom,
    special,
    statistics,
    threading,
    time,
    torch,
    torch.autograd,
    torch.cuda,
    torch.linalg,
    torch.nn.functional,
    torch.random,
    torch.Generator,
    torch.Tensor,
    torch.cuda.Event,
    torch.nn.Module,
    torch.utils._python_dispatch.TorchDispatchMode,
)
_ANYWHERE = (property, classmethod, staticmethod, functools.cached_property, float, torch.dtype)
_PLAIN = (int, float, str, tuple, frozenset)
_NOTHING = object()


class Place(NamedTuple):
    """A module or class, what its names stood for, and names from without that it could hide."""

    place: ModuleType | type
    held: Mapping[str, object]
    outer: frozenset[str]

    def replaced(self) -> Iterator[str]:
        """The names that stand for something else now, or hide what they did not."""
        now = vars(self.place)
        for name, value in self.held.items():
            if now.get(name) is not value:
                yield name
        for name in self.outer.intersection(now):
            if name in self.held or _is_submodule(self.place, name, now[name]):
                continue
            if _is_held(self.place, name, now[name]):
                yield name


class Inside(NamedTuple):
    """A thing whose parts can be exchanged while its name stays, and what they were."""

    name: str
    value: object
    parts: Mapping[Any, object]

    def replaced(self) -> Iterator[str]:
        """The names of the parts that are others now."""
        then, now = self.parts, _parts(self.value)
        if then.keys() == now.keys() and all(map(operator.is_, then.values(), now.values())):
            return
        for part in {**then, **now}:
            if now.get(part, _NOTHING) is not then.get(part, _NOTHING):
                yield _name_within(self.name, self.value, part)


class Originals:
    """Taken when it is built."""

    def __init__(self) -> None:
        self._places: dict[int, Place] = {}
        self._insides: dict[int, Inside] = {}
        self._switches: dict[str, object] = {}
        # The first `torch.compile` would replace two functions of torch.nn.Module by this.
        install_generation_tagging_init()
        for place in FOUNDATIONS:
            # What a class inherits is replaced where it was defined.
            for each in place.__mro__[:-1] if isinstance(place, type) else (place,):
                self._hold(each)
        self._hold_modules(JUDGES)
        # Ours are read only now, so that what they replace is seen too; and all of them, since one
        # that is imported late could be met first by a method.
        for package in (methods, tasks):
            for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
                importlib.import_module(found.name)
        self._hold_modules(SHIPPED)

    def begin_trial(self) -> None:
        """Note torch's settings, when the harness has made its own and no method was read."""
        self._switches = switches()

    def replaced(self) -> list[str]:
        """The full names of what is another now."""
        named = [(_name(one.place), one) for one in self._places.values()]
        changed = [f"{place}.{name}" for place, one in named for name in one.replaced()]
        for inside in self._insides.values():
            changed += inside.replaced()
        if torch._C._len_torch_function_stack() or torch._C._len_torch_dispatch_stack():
            changed.append("the meaning of torch's functions, by a mode that was left on")
        return changed

    def switched(self) -> list[str]:
        """Which of torch's settings are others than when the trial began, and how."""
        now = switches()
        return [
            f"{name} from {before} to {now[name]}"
            for name, before in self._switches.items()
            if now[name] != before
        ]

    def verdict(self) -> str | None:
        """None, or the broken law with what was seen."""
        seen = {"replaced": self.replaced(), "changed": self.switched()}
        deeds = [f"{verb} {_few(what)}" for verb, what in seen.items() if what]
        if not deeds:
            return None
        return f"{LAW}: the method, or what it imports, {' and '.join(deeds)}."

    def _hold_modules(self, prefixes: tuple[str, ...]) -> None:
        for name, module in list(sys.modules.items()):
            if name.startswith(prefixes):
                self._hold(module)
                for value in list(vars(module).values()):
                    if isinstance(value, type) and value.__module__ == name:
                        self._hold(value)

    def _hold(self, place: ModuleType | type) -> None:
        if id(place) in self._places:
            return
        held = {name: value for name, value in vars(place).items() if _is_held(place, name, value)}
        self._places[id(place)] = Place(place, held, _outer(place))
        for name, value in held.items():
            self._look_inside(f"{_name(place)}.{name}", value)

    def _look_inside(self, name: str, value: object) -> None:
        parts = _parts(value)
        if not parts or id(value) in self._insides:
            return
        if is_function := isinstance(value, FunctionType):
            name = f"{value.__module__}.{value.__qualname__}"
        self._insides[id(value)] = Inside(name, value, parts)
        for part, inner in parts.items():
            # Other values that a function holds may be its memory of earlier calls.
            if callable(inner) or not is_function:
                self._look_inside(_name_within(name, value, part), inner)


@functools.cache
def originals() -> Originals:
    """Those of this process: to be called before a foreign method's file is imported."""
    return Originals()


def _is_held(place: ModuleType | type, name: str, value: object) -> bool:
    """Functions, classes, and in what is ours constants: all that is never bound anew there."""
    if callable(value) or isinstance(value, _ANYWHERE):
        return True
    if place in FOUNDATIONS:
        return False
    return name.isupper() or (not name.startswith("_") and isinstance(value, (*_PLAIN, ModuleType)))


def _is_submodule(place: ModuleType | type, name: str, value: object) -> bool:
    """A package's module may be called as a built-in is, such as `list`, and be imported late."""
    return hasattr(place, "__path__") and value is sys.modules.get(f"{_name(place)}.{name}")


def _outer(place: ModuleType | type) -> frozenset[str]:
    """The names that mean something there without being the place's own."""
    others = place.__mro__[1:] if isinstance(place, type) else (builtins,)
    return frozenset().union(*map(vars, others))


def _parts(value: object) -> dict[Any, object]:
    """What can be exchanged inside a function, or inside a constant."""
    match value:
        case FunctionType():
            cells = map(_kept, value.__closure__ or ())
            return {
                "__code__": value.__code__,
                "__defaults__": value.__defaults__,
                **(value.__kwdefaults__ or {}),
                **dict(zip(value.__code__.co_freevars, cells, strict=True)),
            }
        case staticmethod() | classmethod() | functools._lru_cache_wrapper():
            return {"__wrapped__": value.__wrapped__}
        case property():
            return {"fget": value.fget, "fset": value.fset}
        case functools.cached_property() | functools.partial():
            return {"func": value.func}
        case random.Random():
            return dict(vars(value))
        case dict():
            return dict(value)
        case list() | tuple():
            return dict(enumerate(value))
        case set() | frozenset():
            return {one: one for one in value}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {each.name: getattr(value, each.name, _NOTHING) for each in fields}
    return {}


def _kept(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        # It was emptied.
        return _NOTHING


def _name_within(name: str, value: object, part: object) -> str:
    return f"{name}[{part!r}]" if isinstance(value, dict | list | tuple) else f"{name}.{part}"


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _name(place: ModuleType | type) -> str:
    return f"{place.__module__}.{place.__qualname__}" if isinstance(place, type) else place.__name__
