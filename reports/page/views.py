"""Tables as the page shows them: every number with its link and the value it is sorted by."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from reports.grid import Entry, Grid
from reports.page.anchors import Anchors

_NUMBER: Final = re.compile(
    r"^[*=]?\s*(?P<number>[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)"
    r"(?:\s?(?P<prefix>[kKMGTP]i?)?B?(?![A-Za-z]))?"
)
_STEPS: Final = " kMGTP"
_WORDS: Final = {"best": "best", "tied": "tied with the best"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """What stands in one place of a table. All of it is plain text, whatever it contains."""

    text: str
    value: float | None = None
    """What it is sorted by; None: by its text."""
    link: str = ""
    emphasis: str = ""
    remark: str = ""
    refs: tuple[str, ...] = ()

    @property
    def spoken(self) -> str:
        """The emphasis in words, for whoever does not see it."""
        return _WORDS.get(self.emphasis, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row, the first of its spots its heading, and what it is chosen by."""

    spots: tuple[Spot, ...]
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Rows under a common heading, which are sorted among themselves."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One table of the page."""

    name: str
    """Of its anchor."""
    title: str
    header: tuple[str, ...]
    bodies: tuple[Body, ...]
    notes: tuple[tuple[str, str], ...] = ()
    """Mark and text."""
    words: bool = False
    """Columns hold sentences."""
    above: tuple[tuple[str, int], ...] = ()
    """Headings that span columns: text and number of columns."""
    records: tuple[tuple[str, str], ...] = ()
    """Name and link of the records that the table is made of."""
    keys: Mapping[str, str] = field(default_factory=dict)


def number_of(text: str) -> float | None:
    """The number at the beginning of a text, with its prefix: `41.9 k` is 41900, `2 KiB` 2048."""
    match = _NUMBER.match(text)
    if match is None:
        return None
    prefix = match["prefix"] or ""
    base = 1024.0 if prefix.endswith("i") else 1000.0
    return float(match["number"]) * base ** _STEPS.index(prefix[:1].replace("K", "k") or " ")


def view_of(grid: Grid, name: str, anchors: Anchors, trials: Mapping[str, Sequence[str]]) -> View:
    """A table of the reports with links.

    `trials` by method's label: numbers in a row of that label link to them, and so do all numbers
    where there is one method alone. Entries that name their own trials link to those.
    """
    everything = [trial for each in trials.values() for trial in each]
    only = everything if len(trials) == 1 else []
    bodies = tuple(
        Body(
            title=section.title,
            lines=tuple(
                _line(row, anchors, trials, only or everything, only) for row in section.rows
            ),
        )
        for section in grid.sections
    )
    return View(
        name=name,
        title=grid.title,
        header=tuple(" ".join(line for line in lines if line) for lines in grid.header),
        bodies=bodies,
        notes=grid.notes,
        words=grid.words,
        records=tuple((label, anchors.link(each)) for label, each in trials.items()),
        keys=anchors.keys(everything),
    )


def _line(
    row: Sequence[Entry],
    anchors: Anchors,
    trials: Mapping[str, Sequence[str]],
    everything: Sequence[str],
    only: Sequence[str],
) -> Line:
    label = row[0].text
    own = [trial for entry in row for trial in entry.trials] or [*trials.get(label, ())]
    spots = [_spot(row[0], "")]
    for entry in row[1:]:
        link = anchors.link(entry.trials or own or only)
        spots.append(_spot(entry, link if entry.trials or _told(entry) else ""))
    return Line(spots=tuple(spots), keys=anchors.keys(own or everything))


def _told(entry: Entry) -> bool:
    """Whether a number stands there."""
    return number_of(entry.text) is not None


def _spot(entry: Entry, link: str) -> Spot:
    return Spot(
        text=entry.text,
        value=number_of(entry.text),
        link=link,
        emphasis=entry.emphasis,
        remark=entry.remark,
        refs=entry.refs,
    )
