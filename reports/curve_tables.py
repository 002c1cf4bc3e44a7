"""The tables of cost against length: one for each setting, mode and direction.

Rows are methods and columns are lengths, four times over: time, how many times as fast as the
reference, peak memory, and the share of the machine's limit.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from reports.curve_notes import direction, how_to_read, kernels_note, setting_title
from reports.curves import MODES, Costs, Curve, Place, Point, Setting
from reports.grid import NOT_RUN, Emphasis, Entry, Grid, Notes, Section, plain
from reports.numbers import digits, percent, size
from results.curve import Mode
from results.statistics import Interval

SHORT: Final = {
    "out-of-memory": "memory!",
    "timed-out": "time!",
    "unsupported": "unsup.",
    "unavailable": "unavail.",
    "crashed": "crashed",
}
"""Statuses as they fit a narrow column; the note beside each says it in full."""
_NUMBERS: Final = re.compile(r"\d[\d.]*")
NOTHING: Final = Entry(text="-", emphasis="faint")


@dataclass(frozen=True, slots=True)
class _Table:
    """What the sections of one table share."""

    setting: Setting
    mode: Mode
    causal: bool
    lengths: tuple[int, ...]
    curves: tuple[Curve, ...]
    notes: Notes = field(default_factory=Notes)
    reasons: dict[str, list[str]] = field(default_factory=dict)
    """By what they say without their numbers."""

    def number(self, reason: str) -> str:
        """The note of a reason. Those that differ in numbers alone have the first one's."""
        alike = self.reasons.setdefault(_NUMBERS.sub("#", reason), [])
        alike.append(reason)
        return self.notes.number(alike[0])

    def point(self, curve: Curve, length: int) -> Point | None:
        return curve.points.get(Place(self.mode, self.causal, length))

    def row(
        self, curve: Curve, entry: Callable[[Curve, int], Entry], remark: str = ""
    ) -> tuple[Entry, ...]:
        label = Entry(text=plain(curve.contender.label, 60), remark=remark)
        return (label, *(entry(curve, length) for length in self.lengths))


def curve_grids(costs: Costs) -> list[Grid]:
    """One grid for each setting, mode and direction; the first of a setting says how to read it."""
    grids = []
    for setting, curves in costs.curves.items():
        places = {place for curve in curves for place in curve.points}
        first = True
        for mode in MODES:
            for causal in (True, False):
                if any(place.mode == mode and place.causal == causal for place in places):
                    grids.append(_grid(costs, setting, mode, causal, first=first))
                    first = False
    return grids


def with_spread(interval: Interval, scale: float) -> str:
    """The scaled estimate and the longer side of its interval in percent, rounded up."""
    text = digits(interval.mean * scale)
    if not interval.known:
        return text
    # Less a rounding error of the division, so that five percent are not six.
    return f"{text} ±{math.ceil(100 * interval.half_width / interval.mean - 1e-9)}%"


def _grid(costs: Costs, setting: Setting, mode: Mode, causal: bool, *, first: bool) -> Grid:
    everyone = costs.curves[setting]
    lengths, curves, left_out = _who_and_where(everyone, mode, causal)
    table = _Table(setting, mode, causal, lengths, curves)
    sections = [_times(table), _speedups(table), _memory(table)]
    sections += [_states(table)] if mode == "decode" else []
    sections.append(_shares(table))
    for curve, why in left_out:
        table.notes.general.append(f"Without a row: {curve.contender.label}, {why}")
    _explain(costs, table, first=first)
    return Grid(
        title=f"{mode.capitalize()}, {direction(causal)}: {setting_title(setting)}",
        header=(("method",), *((str(length),) for length in lengths)),
        sections=tuple(section for section in sections if section.rows),
        notes=table.notes.all(),
    )


def _who_and_where(
    curves: Sequence[Curve], mode: Mode, causal: bool
) -> tuple[tuple[int, ...], tuple[Curve, ...], list[tuple[Curve, str]]]:
    """Lengths asked for, the curves from the one that gets farthest fastest, and who has no cell.

    A curve of which every cell failed for one reason is left out with that reason.
    """
    lengths: set[int] = set()
    shown: list[tuple[int, float, Curve]] = []
    left_out = []
    for curve in curves:
        mine = {p.length: x for p, x in curve.points.items() if p[:2] == (mode, causal)}
        lengths |= {length for length, point in mine.items() if not point.cell.probe}
        times = {length: x.seconds.mean for length, x in mine.items() if x.seconds is not None}
        reasons = {f"{point.cell.status}: {point.cell.reason}" for point in mine.values()}
        if not mine:
            left_out.append((curve, "which was not asked for this."))
        elif not times and len(reasons) == 1:
            left_out.append((curve, next(iter(reasons))))
        else:
            farthest = max(times, default=0)
            shown.append((-farthest, times.get(farthest, 0.0), curve))
    ordered = sorted(shown, key=lambda each: (*each[:2], each[2].contender.label))
    return tuple(sorted(lengths)), tuple(curve for *_, curve in ordered), left_out


def _times(table: _Table) -> Section:
    unit, scale = ("microseconds a token", 1e6) if table.mode == "decode" else _unit(table)

    def entry(curve: Curve, length: int) -> Entry:
        point = table.point(curve, length)
        if point is None:
            return Entry(text=NOT_RUN, emphasis="faint")
        cell = point.cell
        if point.seconds is None:
            ref = table.number(f"{cell.status}: {cell.reason or 'no reason was recorded'}")
            return Entry(text=SHORT.get(cell.status, cell.status), emphasis="faint", refs=(ref,))
        refs = tuple(table.notes.number(f"{flag}.".replace("..", ".")) for flag in point.flags)
        return Entry(text=with_spread(point.seconds, scale), refs=refs)

    rows = [table.row(curve, entry, _remark(curve)) for curve in table.curves]
    reference = _reference_row(table, _reference_seconds, lambda value: digits(value * scale))
    if reference:
        table.notes.general.append(
            f"{table.setting.reference} was measured beside each of the others: the middle one of"
            " its medians and of its sizes."
        )
    return Section(title=unit, rows=(*rows, *reference))


def _unit(table: _Table) -> tuple[str, float]:
    """Milliseconds, or seconds where even the fastest call takes one."""
    points = [table.point(curve, n) for curve in table.curves for n in table.lengths]
    times = [point.seconds.mean for point in points if point and point.seconds]
    slow = bool(times) and min(times) >= 1
    return ("seconds a call", 1.0) if slow else ("milliseconds a call", 1e3)


def _remark(curve: Curve) -> str:
    return f"same as {curve.contender.same_as}" if curve.contender.same_as else ""


def _reference_row(
    table: _Table, of: Callable[[Point], float | None], show: Callable[[float], str]
) -> list[tuple[Entry, ...]]:
    """The reference as it was measured beside the others, where it has no curve of its own."""
    name = table.setting.reference
    if any(curve.contender.method == name for curve in table.curves):
        return []
    found = []
    for length in table.lengths:
        points = [table.point(curve, length) for curve in table.curves]
        values = sorted(value for x in points if x and (value := of(x)) is not None)
        found.append(Entry(text=show(values[len(values) // 2])) if values else NOTHING)
    label = Entry(text=plain(f"{name} (reference)", 60))
    return [] if all(entry is NOTHING for entry in found) else [(label, *found)]


def _reference_seconds(point: Point) -> float | None:
    return point.reference.mean if point.reference else None


def _speedups(table: _Table) -> Section:
    marks: dict[tuple[str, int], Emphasis] = {}
    for length in table.lengths:
        ratios = {
            curve.contender.label: point.ratio
            for curve in table.curves
            if curve.contender.role != "floor"
            and (point := table.point(curve, length))
            and point.ratio
        }
        if len(ratios) > 1:
            best = max(ratios, key=lambda label: ratios[label].mean)
            for label, ratio in ratios.items():
                if label == best or (ratio.known and ratio.high >= ratios[best].low):
                    marks[label, length] = "best" if label == best else "tied"

    def entry(curve: Curve, length: int) -> Entry:
        point = table.point(curve, length)
        if point is None or point.ratio is None:
            why = point.cell.reference_reason if point and point.seconds else ""
            refs = (table.number(f"{table.setting.reference}: {why}"),) if why else ()
            return Entry(text="-", emphasis="faint", refs=refs) if refs else NOTHING
        mark = marks.get((curve.contender.label, length), "")
        return Entry(text=digits(point.ratio.mean), emphasis=mark)

    title = f"times as fast as {table.setting.reference}"
    return _section(table, title, entry)


def _memory(table: _Table) -> Section:
    return _sizes(
        table,
        "peak memory of a call",
        lambda point: point.peak_bytes,
        lambda point: point.cell.reference_peak_bytes,
    )


def _states(table: _Table) -> Section:
    return _sizes(
        table,
        "state kept from token to token",
        lambda point: point.cell.state_bytes,
        lambda point: point.cell.reference_state_bytes,
    )


def _sizes(
    table: _Table,
    title: str,
    mine: Callable[[Point], int | None],
    other: Callable[[Point], int | None],
) -> Section:
    def entry(curve: Curve, length: int) -> Entry:
        point = table.point(curve, length)
        value = mine(point) if point else None
        return NOTHING if value is None else Entry(text=size(value))

    section = _section(table, title, entry)
    rows = (*section.rows, *_reference_row(table, other, size))
    return Section(title=title, rows=rows if section.rows else ())


def _shares(table: _Table) -> Section:
    blind: dict[str, None] = {}

    def entry(curve: Curve, length: int) -> Entry:
        point = table.point(curve, length)
        share = point.share_of_limit if point else None
        if point and point.seconds and share is None and point.cell.counts_reason:
            blind[f"{curve.contender.label} ({point.cell.counts_reason})"] = None
        return NOTHING if share is None else Entry(text=percent(share))

    section = _section(table, "% of the machine's limit", entry)
    if blind:
        table.notes.general.append(f"Without a share of the limit: {'; '.join(blind)}.")
    return section


def _section(table: _Table, title: str, entry: Callable[[Curve, int], Entry]) -> Section:
    """Without the rows, and at last the section, that have nothing to show."""
    rows = [table.row(curve, entry) for curve in table.curves]
    return Section(
        title=title, rows=tuple(row for row in rows if any(e is not NOTHING for e in row[1:]))
    )


def _explain(costs: Costs, table: _Table, *, first: bool) -> None:
    """What holds for the whole table; how to read it stands below a setting's first table."""
    general = table.notes.general
    if first:
        general += how_to_read(table.setting, table.curves)
    else:
        general.append("To be read as the first table of this setting.")
    if any(len(set(alike)) > 1 for alike in table.reasons.values()):
        general.append("Reasons alike have one note, with the figures of the first.")
    points = [(curve, table.point(curve, n)) for curve in table.curves for n in table.lengths]
    general.append(kernels_note([(c.contender.label, x) for c, x in points if x and x.seconds]))
    general += [f"{c.contender.label}: {remark}" for c in table.curves for remark in c.remarks]
    gone: dict[str, None] = {
        f"{each.contender.label} ({each.status})": None for each in costs.absent_from(table.setting)
    }
    if gone:
        general.append(f"Without a curve, for reasons told further below: {', '.join(gone)}.")
    if first and any(curve.dirty for curve in table.curves):
        general.append("Some records were made with uncommitted changes in the code.")
