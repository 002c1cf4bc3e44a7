"""What a trial stands on, as it was before any method's file was read: torch, the clock, and the
code that judges. A method that replaces a part of it could make anything true."""

import builtins
import functools
import gc
import inspect
import random
import sys
import threading
import time
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import torch

# Replaces functions of torch itself when it is first imported, which anything may bring about.
import torch._dynamo

LAW = "nothing-patched"
JUDGES = ("bench.", "methods.core.", "results.")
FOUNDATIONS: tuple[ModuleType | type, ...] = (
    builtins,
    gc,
    random,
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


class Part(NamedTuple):
    """A name, what it stood for, and the code in it, which can be exchanged inside it."""

    place: ModuleType | type
    name: str
    value: object
    code: object


class Originals:
    """Taken when it is built."""

    def __init__(self) -> None:
        self._parts = [part for place in _places() for part in _parts(place)]

    def replaced(self) -> list[str]:
        """The full names of what is another now."""
        changed = [
            f"{_name(part.place)}.{part.name}"
            for part in self._parts
            if (now := _now(part.place, part.name)) is not part.value or _code(now) is not part.code
        ]
        if torch._C._len_torch_function_stack() or torch._C._len_torch_dispatch_stack():
            changed.append("the meaning of torch's functions, by a mode that was left on")
        return changed

    def verdict(self) -> str | None:
        """None, or the broken law with what was seen."""
        replaced = self.replaced()
        if not replaced:
            return None
        more = f" and {len(replaced) - 3} more" if len(replaced) > 3 else ""
        return f"{LAW}: the method, or what it imports, replaced {', '.join(replaced[:3])}{more}."


@functools.cache
def originals() -> Originals:
    """Those of this process: to be called before a method's file is imported."""
    return Originals()


def _places() -> Iterator[ModuleType | type]:
    yield from FOUNDATIONS
    for name, module in list(sys.modules.items()):
        if name.startswith(JUDGES):
            yield module
            for value in list(vars(module).values()):
                if isinstance(value, type) and value.__module__ == name:
                    yield value


def _parts(place: ModuleType | type) -> Iterator[Part]:
    # What a class inherits can be hidden by a name of its own.
    names = dir(place) if place in FOUNDATIONS[-5:] else list(vars(place))
    for name in names:
        value = _now(place, name)
        if callable(value) or isinstance(value, property | classmethod | staticmethod):
            yield Part(place, name, value, _code(value))


def _now(place: ModuleType | type, name: str) -> object:
    if isinstance(place, type):
        return inspect.getattr_static(place, name, None)
    return vars(place).get(name)


def _code(value: object) -> object:
    function: Any = getattr(value, "__func__", value)
    return function.__code__ if isinstance(function, FunctionType) else None


def _name(place: ModuleType | type) -> str:
    return f"{place.__module__}.{place.__qualname__}" if isinstance(place, type) else place.__name__
