"""One quantity of a probe as a table: coordinates as rows, as columns, the rest as sections."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from reports.figures_catalogue import anything
from reports.grid import Entry, Grid, Section
from reports.probes import ESTIMATOR, Group, Reading
from reports.probes_entries import (
    INFINITE,
    Reasons,
    endless,
    entry_of,
    group_notes,
    heading,
    label_entry,
    title_of,
    words_of,
)
from reports.probes_places import common, differing, is_number, swept, thinned

METHOD: Final = "method"
"""Stands for the method with its options, among the names of coordinates."""
MOST_SECTIONS: Final = 4
"""More make no short table; csv and json have them all."""
CLOSE: Final = 3.0
"""Standard errors from theory that chance rarely passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One table of one quantity."""

    quantity: str
    what: str
    """What the number is, for the title."""
    rows: tuple[str, ...]
    """Coordinates, or `method`."""
    columns: tuple[str, ...]
    chosen: Callable[[Reading], bool] = anything
    swept: bool = False
    """Only lines along the first column coordinate: the probe varies one thing at a time."""
    once: bool = False
    """Of the data, not of the method: one method's readings stand for all."""
    note: str = ""


def pivot_grid(group: Group, view: View) -> Grid | None:
    """The table, or None where nothing was measured of its quantity."""
    readings = [reading for reading in group.of(view.quantity) if view.chosen(reading)]
    readings = swept(readings, view.columns[0]) if view.swept else readings
    if view.once:
        readings = [each for each in readings if each.contender == readings[0].contender]
    if not readings:
        return None
    taken = (*view.rows, *view.columns)
    apart = [name for name in differing(readings) if name not in taken]
    several = len({reading.contender for reading in readings}) > 1
    if several and METHOD not in taken and ESTIMATOR not in taken:
        apart.append(METHOD)
    readings, said = thinned(readings, [name for name in apart if name != METHOD], MOST_SECTIONS)
    left = set(differing(readings))
    apart = [name for name in apart if name == METHOD or name in left]
    reasons = Reasons()
    columns = _ordered(readings, view.columns)
    sections: dict[tuple[str, ...], list[Reading]] = defaultdict(list)
    for reading in readings:
        sections[tuple(key_text(reading, name) for name in apart)].append(reading)
    reasons.notes.general += [f"{each}; csv and json have all." for each in said]
    grid_sections = tuple(
        Section(title=", ".join(title), rows=_rows(members, view, columns, reasons))
        for title, members in sections.items()
    )
    reasons.notes.general += [note for note in (view.note, *_judged(readings)) if note]
    group_notes(group, reasons.notes)
    return Grid(
        title=title_of(group, view.what, _constant(readings, taken)),
        header=((_corner(view),), *(_head(column, view) for column in columns)),
        sections=grid_sections,
        notes=reasons.notes.all(),
    )


def key_text(reading: Reading, name: str) -> str:
    """A coordinate, or the method, in words."""
    if name == METHOD:
        return reading.contender.label
    return words_of(name, reading.where.get(name))


def _constant(readings: Sequence[Reading], taken: Sequence[str]) -> dict[str, bool | float | str]:
    return {name: value for name, value in common(readings).items() if name not in taken}


def _ordered(readings: Sequence[Reading], names: Sequence[str]) -> list[tuple[str, ...]]:
    """Every combination there is, numbers ascending, words in the order found."""
    found = list(dict.fromkeys(tuple(key_text(r, name) for name in names) for r in readings))
    places: dict[tuple[str, ...], Reading] = {}
    for reading in readings:
        places.setdefault(tuple(key_text(reading, name) for name in names), reading)

    def order(key: tuple[str, ...]) -> list[float]:
        first = places[key]
        values = [first.where.get(name) for name in names]
        # The method stands before what it is compared with.
        return [not first.own, *(float(v) if is_number(v) else 0.0 for v in values)]  # type: ignore[arg-type]

    return sorted(found, key=order)


def _corner(view: View) -> str:
    """`method by length`: what stands in rows, and in columns where it is one coordinate."""
    rows = " / ".join(map(heading, view.rows))
    return f"{rows} by {heading(view.columns[0])}" if _single(view) else rows


def _single(view: View) -> bool:
    return len(view.columns) == 1 and view.columns[0] not in (METHOD, ESTIMATOR)


def _head(column: tuple[str, ...], view: View) -> tuple[str, ...]:
    if _single(view):
        return (column[0].removeprefix(f"{heading(view.columns[0])} "),)
    return tuple(itertools.chain.from_iterable(map(_broken, column))) or ("value",)


def _broken(words: str) -> list[str]:
    """Names of methods are broken at their options, others at commas."""
    name, _, options = words.partition(":")
    lines = [name, *options.replace('"', "").split(",")] if options else words.split(", ")
    return [line.strip() for line in lines if line.strip()]


def _rows(
    readings: Sequence[Reading],
    view: View,
    columns: Sequence[tuple[str, ...]],
    reasons: Reasons,
) -> tuple[tuple[Entry, ...], ...]:
    cells: dict[tuple[tuple[str, ...], tuple[str, ...]], Reading] = {}
    for reading in readings:
        row = tuple(key_text(reading, name) for name in view.rows)
        column = tuple(key_text(reading, name) for name in view.columns)
        cells.setdefault((row, column), reading)
    found = []
    for row in _ordered(readings, view.rows):
        entries = [_beside_theory(cells.get((row, column)), reasons) for column in columns]
        found.append((label_entry(", ".join(_short(row, view.rows))), *entries))
    return tuple(found)


def _short(row: tuple[str, ...], names: Sequence[str]) -> list[str]:
    """The header names the coordinate: a number alone will do in the row."""
    return [words.removeprefix(f"{heading(name)} ") for words, name in zip(row, names, strict=True)]


def _beside_theory(reading: Reading | None, reasons: Reasons) -> Entry:
    entry = entry_of(reading, reasons)
    if reading is None or reading.ratio is None:
        return entry
    off = reading.standard_errors
    away = f", {round(off, 1) + 0.0:+.1f} se" if off is not None else ""
    return Entry(text=entry.text, refs=entry.refs, remark=f"x{reading.ratio:.3f}{away}")


def _judged(readings: Sequence[Reading]) -> list[str]:
    """How the numbers agree with theory, and how many have none by theory."""
    judged = [off for reading in readings if (off := reading.standard_errors) is not None]
    words = []
    if judged:
        close = sum(abs(off) <= CLOSE for off in judged)
        words.append(
            "Below a number: measured over predicted by closed form, and their distance in"
            f" standard errors. {close} of {len(judged)} lie within {CLOSE:.0f}; the furthest is"
            f" {max(judged, key=abs):+.1f}; chance alone would put"
            f" {len(judged) * math.erfc(CLOSE / math.sqrt(2)):.2g} beyond."
        )
    if any(endless(reading.reason) == INFINITE for reading in readings):
        words.append(
            "infinite: so by theory; the mean of a sample would look like a number and mean"
            " nothing."
        )
    return words
