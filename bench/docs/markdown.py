"""Markdown from plain text: what the author of a method or task wrote stays what it is."""

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_CODE = re.compile(r"(`+[^`]*`+)")
_SPECIAL = re.compile(r"([\\*_\[\]<>|#])")
_PAPER = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


class Page(NamedTuple):
    """A generated page."""

    path: str
    """Below the documentation's folder."""
    title: str
    text: str


def escaped(text: str) -> str:
    """The text with every character that Markdown reads otherwise quoted; `code` stays code."""
    parts = _CODE.split(text)
    return "".join(p if i % 2 else _SPECIAL.sub(r"\\\1", p) for i, p in enumerate(parts))


def linked(text: str) -> str:
    """Escaped, and each paper that it names linked to its page on arXiv."""
    return _PAPER.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", escaped(text))


def code(text: str) -> str:
    """In the font of code; empty stays empty."""
    return f"`{text}`" if text else ""


def docstring(documented: object) -> str:
    """Its own docstring as paragraphs, nothing inherited; empty where there is none."""
    own = documented.__doc__
    if own is None or (isinstance(documented, type) and "__doc__" not in vars(documented)):
        return ""
    blocks = inspect.cleandoc(own).split("\n\n")
    # An indented block is code, in docstrings as in Markdown.
    return "\n\n".join(b if b.startswith("    ") else linked(b) for b in blocks)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def facts(head: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Names and what there is to say, a row each; what is empty is left out."""
    return table((head, ""), [(name, fact) for name, fact in pairs if fact])


def block(*commands: str) -> str:
    """Commands, one a line."""
    return "\n".join(("```", *commands, "```"))
