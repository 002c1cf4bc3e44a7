"""Reads what the command line says of methods and settings: `performer:num_features=256`.

Types come from annotations, so a wrong type or an unknown name is answered with what is right.
"""

import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench.errors import UsageError, nearest

Scalar = bool | int | float | str | None
_SELECTOR = re.compile(r"^(?P<what>.+?)(?::(?P<options>\w+=.*))?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """A method as typed: a name or a locator, and options still as text."""

    what: str
    options: Mapping[str, str]


def parse_selector(text: str) -> Selector:
    """`name`, `name:key=value,key=value`, `file.py:key=value`, `module:ATTRIBUTE:key=value`."""
    match = _SELECTOR.match(text)
    if match is None:
        raise UsageError(
            "An empty method name was given. `python -m bench list methods` shows all."
        )
    return Selector(what=match["what"], options=parse_pairs((match["options"] or "").split(",")))


def parse_pairs(pairs: list[str]) -> dict[str, str]:
    """`key=value` texts to a mapping."""
    result: dict[str, str] = {}
    for pair in filter(None, pairs):
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"{pair!r} is not of the form key=value.")
        if key in result:
            raise UsageError(f"{key!r} is given twice, as {result[key]!r} and as {value!r}.")
        result[key.strip()] = value.strip()
    return result


def coerce(text: str, annotation: Any, *, key: str, owner: str) -> Scalar:
    """The value that a text means under a type annotation; `none` means None where allowed."""
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    for candidate in (None, text) if text.lower() == "none" else (text,):
        try:
            value: Scalar = adapter.validate_python(candidate)
            return value
        except ValidationError:
            continue
    raise UsageError(f"{owner} takes {key} as {describe(annotation)}; {text!r} is not one.")


def describe(annotation: Any) -> str:
    """`int`, `bool`, `'a' | 'b'`, `float | 'auto'`: a type as a reader writes it."""
    values = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return " | ".join(map(repr, values))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " | ".join(map(describe, values))
    if annotation is types.NoneType:
        return "none"
    if isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def resolve_options(
    given: Mapping[str, str], known: Mapping[str, Any], *, owner: str
) -> dict[str, Scalar]:
    """Every option of a method: the given ones checked and typed, the others at their default."""
    for key in given:
        if key not in known:
            right = ", ".join(f"{o.name} ({describe(o.annotation)})" for o in known.values())
            raise UsageError(
                f"{owner} has no option {key!r}.{nearest(key, known)} It has: {right or 'none'}."
            )
    return {
        name: coerce(given[name], option.annotation, key=name, owner=owner)
        if name in given
        else option.default
        for name, option in known.items()
    }
