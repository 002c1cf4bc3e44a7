"""A table before it has a format: entries with marks, sections, numbered notes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

NOT_RUN: Final = "not run"
LONGEST_NOTE: Final = 400

Emphasis = Literal["", "best", "tied", "faint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What stands in one place of a table. All of it is plain text, whatever it contains."""

    text: str
    emphasis: Emphasis = ""
    remark: str = ""
    """Said about the number, such as `at floor`."""
    refs: tuple[str, ...] = ()
    """The notes that belong to it."""
    trials: tuple[str, ...] = ()
    """Digests of the trials behind it, for whoever wants to look them up."""

    @property
    def mark(self) -> str:
        return {"best": "*", "tied": "="}.get(self.emphasis, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Rows under a common heading; the first entry of a row is its label."""

    title: str
    rows: tuple[tuple[Entry, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """One table. A header's lines are apart, so that each format can join them as it likes."""

    title: str
    header: tuple[tuple[str, ...], ...]
    sections: tuple[Section, ...]
    notes: tuple[tuple[str, str], ...] = ()
    """Mark and text; an empty mark is a remark on the whole table."""
    words: bool = False
    """Columns hold sentences, not numbers: set from the left, and broken to fit the page."""


@dataclass(slots=True)
class Notes:
    """Collects notes; the same text gets the same number."""

    numbered: dict[str, str] = field(default_factory=dict)
    lettered: list[tuple[str, str]] = field(default_factory=list)
    general: list[str] = field(default_factory=list)

    def number(self, text: str) -> str:
        return self.numbered.setdefault(text, str(len(self.numbered) + 1))

    def letter(self, text: str) -> str:
        mark = _letters(len(self.lettered))
        self.lettered.append((mark, text))
        return mark

    def all(self) -> tuple[tuple[str, str], ...]:
        numbered = [(mark, text) for text, mark in self.numbered.items()]
        general = [("", text) for text in self.general if text]
        return tuple((mark, plain(text)) for mark, text in (*self.lettered, *numbered, *general))


def plain(text: str, longest: int = LONGEST_NOTE) -> str:
    """One line without control characters, cut where it grows too long for a note."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= longest else line[: longest - 3] + "..."


def ranges(numbers: Sequence[int]) -> str:
    """`0-2, 5`: sorted numbers, neighbours joined."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)


def _letters(n: int) -> str:
    letters = ""
    while n >= 0:
        letters = chr(ord("a") + n % 26) + letters
        n = n // 26 - 1
    return letters
