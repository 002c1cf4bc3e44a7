"""Figures of time and of memory against length, where methods cross the reference."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median
from typing import Any, Final

from reports.columns import Contender
from reports.crossovers import crossover_text
from reports.curve_notes import direction
from reports.curves import MODES, Costs, Curve, Point, Setting
from reports.figures_axes import HEIGHT, WIDTH, Axes, Frame, ends_of
from reports.figures_cast import (
    BYTES,
    SECONDS,
    Cast,
    Drawn,
    cast_of,
    in_words,
    labelled,
    methods_of,
    name_in,
)
from reports.figures_panels import Specification, along_x, along_y, layer, panel_title
from reports.figures_probes import Sketch
from reports.numbers import digits, size
from reports.probes_entries import options_text
from results.curve import Crossover, Mode, Quantity

MOST_METHODS: Final = 10
"""More lines cannot be told apart; the tables have them all."""
MOST_TICKS: Final = 6
_QUANTITIES: Final[tuple[tuple[Quantity, str, str], ...]] = (
    ("latency", "time", "time of a call"),
    ("memory", "memory", "peak memory of a call"),
)
HOW_TO_READ: Final = (
    "Both axes are logarithmic. Dark: {reference}, the reference. Rings: from about this length on"
    " the method is better than the reference; the bar is the interval that bisection found. A line"
    " that ends early: longer inputs were not measured or did not complete, and the table says why."
)
Rows = list[dict[str, Any]]


def length_drawings(costs: Costs) -> list[Drawn]:
    """A figure of time and one of memory for each setting, where a curve has two lengths."""
    return [
        drawn
        for setting, curves in costs.curves.items()
        for quantity, name, unit in _QUANTITIES
        if (drawn := _drawn(setting, curves, quantity, name, unit)) is not None
    ]


def setting_words(setting: Setting) -> tuple[str, ...]:
    """Of a file's name."""
    around = setting.around
    words = (around.task.replace("/", "-"), around.preset)
    return words + ((around.dtype,) if around.dtype != "float32" else ())


def setting_source(setting: Setting, contenders: Iterable[Contender]) -> str:
    """Where the numbers of a cost figure come from."""
    around = setting.around
    where = in_words((around.machine, around.threads))
    changed = options_text(around.settings)
    return (
        f"Source: {around.task} version {around.task_version}, preset {around.preset}"
        f"{f', changed {changed}' if around.settings != '{}' else ''}."
        f" Measured on {where}. {methods_of(contenders)}"
    )


def setting_about(setting: Setting) -> str:
    """What all panels of a figure have in common, for its title."""
    around = setting.around
    return (
        f"{setting.level} level, {around.dtype} on {around.device}{' compiled' * around.compile},"
        f" batch {setting.batch}, {setting.num_heads} heads of {setting.head_dim}"
    )


def panels_of(curves: Sequence[Curve]) -> list[tuple[Mode, bool]]:
    """The modes and directions that any curve was measured in."""
    there = {(place.mode, place.causal) for curve in curves for place in curve.points}
    return [(m, causal) for m in MODES for causal in (True, False) if (m, causal) in there]


def chosen(curves: Sequence[Curve], most: int = MOST_METHODS) -> tuple[list[Curve], str]:
    """Those with most to show, and a sentence about the others."""
    ranked = sorted(
        (curve for curve in curves if any(point.seconds for point in curve.points.values())),
        key=lambda curve: -sum(point.seconds is not None for point in curve.points.values()),
    )
    kept = ranked[:most]
    left = len(ranked) - len(kept)
    said = f" {left} more methods are in the table." if left else ""
    return [curve for curve in curves if curve in kept], said


def _drawn(
    setting: Setting, curves: Sequence[Curve], quantity: Quantity, name: str, unit: str
) -> Drawn | None:
    shown, said = chosen(curves)
    places = panels_of(shown)
    lines = {
        place: [row for curve in shown for row in _line(curve, *place, quantity)]
        + _reference(shown, setting, *place, quantity)
        for place in places
    }
    if not any(len({row["x"] for row in rows}) > 1 for rows in lines.values()):
        return None
    contenders = [curve.contender for curve in shown]
    cast = cast_of(contenders, setting.reference)
    panels = [
        _panel(rows, _crossings(shown, *place, quantity, rows), cast, place, (quantity, unit))
        for place, rows in lines.items()
        if rows
    ]
    sketch = Sketch(
        name=name,
        title=f"{name.capitalize()} against length: {setting_about(setting)}",
        how_to_read=HOW_TO_READ.format(reference=setting.reference) + said,
        panels=panels,
        columns=2,
        panel_width=WIDTH + 90,
        contenders=tuple(contenders),
    )
    source = setting_source(setting, contenders)
    return Drawn(words=setting_words(setting), sketch=sketch, source=source)


def _value(point: Point, quantity: Quantity, mode: Mode) -> float | None:
    """Of memory what crossovers are judged by: allocations of a call, and the state in decoding."""
    if quantity == "latency":
        return None if point.seconds is None else point.seconds.mean
    cell = point.cell
    if point.seconds is None:
        return None
    return _kept(cell.allocated_bytes or cell.peak_bytes, cell.state_bytes, mode)


def _kept(call: int | None, state: int | None, mode: Mode) -> float | None:
    if call is None or (mode == "decode" and state is None):
        return None
    return (call + (state or 0 if mode == "decode" else 0)) or None


def _line(curve: Curve, mode: Mode, causal: bool, quantity: Quantity) -> Rows:
    rows = []
    for place, point in sorted(curve.points.items(), key=lambda item: item[0].length):
        value = _value(point, quantity, mode)
        here = (place.mode, place.causal) == (mode, causal) and not point.cell.probe
        if here and value is not None:
            rows.append(_row(name_in(curve.contender), place.length, value, quantity))
    return rows


def _row(series: str, length: int, value: float, quantity: Quantity) -> dict[str, Any]:
    text = f"{digits(1000 * value)} ms" if quantity == "latency" else size(value)
    return {"series": series, "x": length, "value": value, "text": text}


def _reference(
    curves: Sequence[Curve], setting: Setting, mode: Mode, causal: bool, quantity: Quantity
) -> Rows:
    """The reference at each length: the middle of what was measured beside each method."""
    found: dict[int, list[float]] = {}
    for curve in curves:
        for place, point in curve.points.items():
            value = _of_reference(point, quantity, mode)
            here = (place.mode, place.causal) == (mode, causal) and not point.cell.probe
            if here and value is not None:
                found.setdefault(place.length, []).append(value)
    return [
        _row(setting.reference, length, median(values), quantity)
        for length, values in sorted(found.items())
    ]


def _of_reference(point: Point, quantity: Quantity, mode: Mode) -> float | None:
    if quantity == "latency":
        return None if point.reference is None else point.reference.mean
    cell = point.cell
    call = cell.reference_allocated_bytes or cell.reference_peak_bytes
    return _kept(call, cell.reference_state_bytes, mode)


def _crossings(
    curves: Sequence[Curve], mode: Mode, causal: bool, quantity: Quantity, rows: Rows
) -> Rows:
    """A ring on the line of each method that crosses the reference within what was measured."""
    rings = []
    for curve in curves:
        name = name_in(curve.contender)
        line = [(row["x"], row["value"]) for row in rows if row["series"] == name]
        for each in curve.crossovers:
            if (each.quantity, each.mode, each.causal) != (quantity, mode, causal):
                continue
            at = _middle(each)
            value = _between(line, at) if at is not None else None
            if value is not None:
                ends = {"low": each.below or each.above, "high": each.above}
                text = crossover_text(each)
                rings.append({"series": name, "x": at, "value": value, "text": text, **ends})
    return rings


def _middle(crossover: Crossover) -> float | None:
    if crossover.verdict != "crosses" or crossover.above is None:
        return None
    return math.sqrt((crossover.below or crossover.above) * crossover.above)


def _between(line: Sequence[tuple[int, float]], at: float) -> float | None:
    """The height of a line there, straight between its points in logarithms."""
    for (x0, y0), (x1, y1) in pairwise(line):
        if x0 <= at <= x1:
            share = math.log(at / x0) / math.log(x1 / x0)
            return math.exp(math.log(y0) + share * math.log(y1 / y0))
    return None


def _vertical(frame: Frame, quantity: Quantity) -> Any:
    """Seconds with their prefix, or bytes in powers of two."""
    y = along_y(frame)
    if quantity == "latency":
        return labelled(y, SECONDS)
    low, high = (math.log2(end) for end in frame.y_ends)
    stride = max(1, round((high - low) / 5))
    powers = [2.0**n for n in range(math.ceil(low), math.floor(high) + 1)]
    return labelled(y, BYTES, powers[::stride])


def _panel(
    rows: Rows, rings: Rows, cast: Cast, place: tuple[Mode, bool], of: tuple[Quantity, str]
) -> Specification:
    import altair as alt

    quantity, unit = of
    lengths = sorted({row["x"] for row in rows})
    frame = Frame(
        axes=Axes(x="length in tokens", y=unit, ticks=_ticks(lengths)),
        series=cast.names,
        x_ends=ends_of(lengths, log=True),
        y_ends=ends_of([row["value"] for row in rows], log=True),
    )
    x, y, colour = along_x(frame), _vertical(frame, quantity), cast.colour()
    told = [alt.Tooltip("series:N", title="method"), alt.Tooltip("x:Q", title="length")]
    line = alt.Chart().mark_line(strokeWidth=1.6, clip=True)
    point = alt.Chart().mark_point(filled=True, size=34, opacity=1, stroke="white", strokeWidth=0.5)
    layers = [
        layer(rows, line, x=x, y=y, color=colour),
        layer(
            rows,
            point,
            x=x,
            y=y,
            color=colour,
            shape=cast.shape(),
            tooltip=[*told, alt.Tooltip("text:N", title="measured")],
        ),
    ]
    if rings:
        bar = alt.Chart().mark_rule(strokeWidth=4, opacity=0.45)
        low = along_x(frame).copy()
        low["shorthand"] = "low:Q"
        layers.append(layer(rings, bar, x=low, x2="high:Q", y=y, color=colour))
        ring = alt.Chart().mark_point(filled=False, shape="circle", size=150, strokeWidth=2)
        better = alt.Tooltip("text:N", title="better than the reference")
        layers.append(layer(rings, ring, x=x, y=y, color=colour, tooltip=[told[0], better]))
    mode, causal = place
    title = panel_title(f"{mode}, {direction(causal)}")
    return {"layer": layers, "width": WIDTH, "height": HEIGHT, "title": title}


def _ticks(lengths: Sequence[int]) -> tuple[float, ...]:
    """Powers of two among the lengths, every other one where they are many."""
    powers = [n for n in lengths if n & (n - 1) == 0] or [*lengths]
    stride = -(-len(powers) // MOST_TICKS)
    return tuple(float(n) for n in powers[::-stride][::-1])
