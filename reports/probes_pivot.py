"""One quantity of a probe as a table: coordinates as rows, as columns, the rest as sections."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from reports.figures_catalogue import anything
from reports.grid import Entry, Grid, Section
from reports.numbers import digits
from reports.probes import ESTIMATOR, Group, Reading
from reports.probes_entries import (
    INFINITE,
    Reasons,
    broken,
    endless,
    entry_of,
    group_notes,
    heading,
    label_entry,
    title_of,
    words_of,
)
from reports.probes_places import common, differing, is_number, shown_of, swept, thinned, values_of

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
    part: str = ""
    """Under which name it is asked for alone."""
    rows: tuple[str, ...]
    """Coordinates, or `method`."""
    columns: tuple[str, ...]
    chosen: Callable[[Reading], bool] = anything
    swept: bool = False
    """Only lines along the first column coordinate: the probe varies one thing at a time."""
    once: bool = False
    """Of the data, not of the method: one method's readings stand for all."""
    least: tuple[str, ...] = ()
    """Coordinates of which the least value alone is shown, where there are several."""
    most_sections: int = MOST_SECTIONS
    number: Callable[[float], str] = digits
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
    readings, said = _at_least(readings, view.least)
    along = [name for name in apart if name not in (METHOD, *view.least)]
    readings, also = thinned(readings, along, view.most_sections)
    said += also
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


def _at_least(readings: list[Reading], names: Sequence[str]) -> tuple[list[Reading], list[str]]:
    """Those at the least value of each coordinate named, and what was left out."""
    said = []
    for name in names:
        values = values_of(readings, name)
        if len(values) > 1:
            readings = [reading for reading in readings if reading.where.get(name) == values[0]]
            said.append(shown_of(name, values[:1], len(values)))
    return readings, said


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
    return tuple(itertools.chain.from_iterable(map(broken, column))) or ("value",)


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
        entries = [_beside_theory(cells.get((row, column)), view, reasons) for column in columns]
        found.append((label_entry(", ".join(_short(row, view.rows))), *entries))
    return tuple(found)


def _short(row: tuple[str, ...], names: Sequence[str]) -> list[str]:
    """The header names the coordinate: a number alone will do in the row."""
    return [words.removeprefix(f"{heading(name)} ") for words, name in zip(row, names, strict=True)]


def _beside_theory(reading: Reading | None, view: View, reasons: Reasons) -> Entry:
    entry = entry_of(reading, reasons)
    if reading is None or reading.value is None:
        return entry
    if reading.ratio is None:
        # An interval of whole percents says nothing of what differs in later digits.
        told = view.number(reading.value)
        return entry if told == digits(reading.value) else replace(entry, text=told)
    assert reading.predicted is not None
    off = reading.standard_errors
    away = f", {round(off, 1) + 0.0:+.1f} se" if off is not None else ""
    # The distance says how sure the number is: an interval beside it would say the same again.
    both = f"{view.number(reading.value)} / {view.number(reading.predicted)}"
    return Entry(text=both, refs=entry.refs, remark=f"x{reading.ratio:.3f}{away}")


def _judged(readings: Sequence[Reading]) -> list[str]:
    """How the numbers agree with theory, and how many have none by theory."""
    judged = [off for reading in readings if (off := reading.standard_errors) is not None]
    words = []
    if judged:
        close = sum(abs(off) <= CLOSE for off in judged)
        words.append(
            "Measured / predicted by closed form, their ratio, and their distance in standard"
            f" errors. {close} of {len(judged)} lie within {CLOSE:.0f}; the furthest is"
            f" {max(judged, key=abs):+.1f}; chance alone would put"
            f" {len(judged) * math.erfc(CLOSE / math.sqrt(2)):.2g} beyond."
        )
    if any(endless(reading.reason) == INFINITE for reading in readings):
        words.append(
            "infinite: so by theory; the mean of a sample would look like a number and mean"
            " nothing."
        )
    return words
