"""Which figures each probe has, and how its readings become panels."""

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from reports.columns import Contender
from reports.figures_axes import WIDTH, Axes, Frame, Spot, ends_of
from reports.figures_bias import HOW_TO_READ, TITLE, bias_panels
from reports.figures_catalogue import DRAWINGS, Drawing, guessed
from reports.figures_panels import Specification, panel
from reports.probes import Group, Reading
from reports.probes_entries import endless, heading, without_numbers, words_of
from reports.probes_heads import ERROR, other_kernels, without_repeats
from reports.probes_places import differing, is_number, swept, thinned

BEYOND: Final = 1e300
"""The end of a bar that has none: the panel cuts it off at its edge."""
HEADROOM, FOOT = 0.12, 0.03
"""Above and below what a panel shows, as shares of its height."""
MOST_TICKS: Final = 10
MOST_PANELS: Final = 6
"""More are too small to read; the table has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """A figure before it is put together."""

    name: str
    title: str
    how_to_read: str
    panels: list[Specification]
    columns: int
    panel_width: int
    contenders: tuple[Contender, ...]
    """The methods in it; none where all is the probe's own."""


@dataclass(slots=True)
class _Told:
    """What must be said beside a figure, found while its spots are made."""

    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Reasons why there is no value, by what they say without their numbers."""
    said: list[str] = field(default_factory=list)

    def leave_out(self, reason: str) -> None:
        """A spot without a value has no place in any panel."""
        self.left_out.setdefault(without_numbers(reason), []).append(reason)


def sketches(group: Group) -> list[Sketch]:
    """The figures of one setting: those of its probe, or a guess for a probe not known here."""
    if group.setting.task == "probes/bias":
        return _bias(group)
    named = DRAWINGS.get(group.setting.task)
    drawings = named if named is not None else guessed(group)
    return [sketch for drawing in drawings if (sketch := _sketch(group, drawing)) is not None]


def _bias(group: Group) -> list[Sketch]:
    panels, contenders = bias_panels(group)
    if not panels:
        return []
    return [
        Sketch(
            name="relative-bias",
            title=TITLE,
            how_to_read=HOW_TO_READ,
            panels=panels,
            columns=2,
            panel_width=WIDTH + 180,
            contenders=contenders,
        )
    ]


def _sketch(group: Group, drawing: Drawing) -> Sketch | None:
    readings = [
        reading
        for reading in group.of(drawing.quantity)
        if is_number(reading.where.get(drawing.x)) and drawing.chosen(reading)
    ]
    readings = swept(readings, drawing.x) if drawing.swept else readings
    readings = without_repeats(readings, _gaps(group))
    if drawing.once:
        readings = [each for each in readings if each.contender == readings[0].contender]
    values = [reading.value for reading in readings if reading.value is not None]
    # A logarithm has no place for zeros; elsewhere a flat line of them is an answer.
    if not any(values) if drawing.axes.log_y else not values:
        return None
    told = _Told()
    panels = _panels(readings, drawing, told)
    shown = [reading for members in panels.values() for reading in members]
    # The method stands before what it is compared with.
    shown.sort(key=lambda reading: not reading.own)
    series = tuple(dict.fromkeys(drawing.label(reading, shown) for reading in shown))
    spots = {title: _spots(members, shown, drawing, told) for title, members in panels.items()}
    every = [spot for found in spots.values() for spot in found]
    axes = drawing.axes
    charts = [
        panel(title, found, _frame(drawing, axes, series, found, every))
        for title, found in spots.items()
    ]
    return Sketch(
        name=drawing.name,
        title=drawing.title,
        how_to_read=_how_to_read(drawing, every, told),
        panels=charts,
        columns=2 if len(charts) in (2, 4) else 3,
        panel_width=WIDTH + 90,
        contenders=tuple(dict.fromkeys(reading.contender for reading in shown if reading.own)),
    )


def _gaps(group: Group) -> dict[Contender, float]:
    """How far each method's own kernel is from softmax's: as measured, else by its errors."""
    if found := other_kernels(group):
        return found
    pairs: dict[tuple[Contender, str], dict[str, float | None]] = defaultdict(dict)
    for reading in group.of(ERROR):
        rest = {name: value for name, value in reading.where.items() if name != "against"}
        place = reading.contender, json.dumps(rest, sort_keys=True)
        pairs[place][str(reading.where.get("against"))] = reading.value
    gaps: dict[Contender, float] = defaultdict(float)
    for (contender, _), errors in pairs.items():
        one, *others = errors.values()
        for other in others:
            off = abs(one - other) / max(one, other, 1e-300) if one and other else math.inf
            gaps[contender] = max(gaps[contender], 0.0 if one == other else off)
    return dict(gaps)


def _frame(
    drawing: Drawing,
    axes: Axes,
    series: tuple[str, ...],
    found: Sequence[Spot],
    every: Sequence[Spot],
) -> Frame:
    """Ends of one panel's axes: its own, or those of all panels."""
    across = found if drawing.own_widths else every
    if drawing.ticks_at_points:
        ticks = sorted({spot.x for spot in across})
        axes = replace(axes, ticks=tuple(ticks[:: -(-len(ticks) // MOST_TICKS)]))
    low, high = ends_of(_heights(found if drawing.own_heights else every, axes), log=axes.log_y)
    if not axes.log_y and all(spot.value is None or spot.value >= 0 for spot in every):
        # Shares begin at nothing; a line of zeros lies at the foot, not in the middle.
        low = max(low, -FOOT * high)
    if drawing.headroom:
        high = high * (high / low) ** HEADROOM if axes.log_y else high + HEADROOM * (high - low)
    x_ends = ends_of([*(spot.x for spot in across), *drawing.reach], log=axes.log_x)
    return Frame(axes=axes, series=series, x_ends=x_ends, y_ends=(low, high))


def _panels(readings: Sequence[Reading], drawing: Drawing, told: _Told) -> dict[str, list[Reading]]:
    """Readings by what else differs. Of too many values of a coordinate some are shown."""
    taken = (drawing.x, drawing.over, *drawing.series)
    apart = [name for name in differing(readings) if name not in taken]
    kept, said = thinned(readings, apart, MOST_PANELS)
    told.said += said
    left = set(differing(kept))
    apart = [name for name in apart if name in left]
    panels: dict[str, list[Reading]] = defaultdict(list)
    for reading in kept:
        panels[", ".join(words_of(name, reading.where.get(name)) for name in apart)].append(reading)
    return panels


def _spots(
    members: Sequence[Reading], shown: Sequence[Reading], drawing: Drawing, told: _Told
) -> list[Spot]:
    grouped: dict[tuple[str, float], list[Reading]] = defaultdict(list)
    for reading in members:
        x = reading.where[drawing.x]
        grouped[drawing.label(reading, shown), float(x)].append(reading)
    found = []
    for (series, x), same in sorted(grouped.items()):
        spot = _middle(series, x, same, drawing) if drawing.over else _spot(series, x, same[0])
        if spot.value is None and not spot.endless:
            told.leave_out(same[0].reason)
        found.append(spot)
    return found


def _spot(series: str, x: float, reading: Reading) -> Spot:
    return Spot(
        series=series,
        x=x,
        value=reading.value,
        low=reading.low,
        high=reading.high,
        predicted=reading.predicted,
        endless=endless(reading.reason),
    )


def _middle(series: str, x: float, readings: Sequence[Reading], drawing: Drawing) -> Spot:
    """The median, with the middle half or all of them; what is endless counts as the greatest."""
    beyond = [reading for reading in readings if endless(reading.reason)]
    values = sorted(reading.value for reading in readings if reading.value is not None)
    values += [math.inf] * len(beyond)
    if not values:
        return Spot(series=series, x=x, value=None)
    middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
    if math.isinf(middle):
        return Spot(series=series, x=x, value=None, endless=endless(beyond[0].reason))
    left_out = len(values) // 4 if drawing.spread == "quartiles" else 0
    low, high = values[left_out], values[-1 - left_out]
    if not drawing.bars:
        return Spot(series=series, x=x, value=middle)
    return Spot(series=series, x=x, value=middle, low=low, high=min(high, BEYOND))


def _heights(spots: Sequence[Spot], axes: Axes) -> list[float]:
    """What the vertical axis must show: values and theory, and ends of intervals near them."""
    values = [v for spot in spots for v in (spot.value, spot.predicted) if v is not None]
    values = [value for value in values if value > 0 or not axes.log_y]
    ends = [v for spot in spots for v in (spot.low, spot.high) if v is not None]
    if axes.log_y and values:
        least, greatest = min(values) / 10, max(values) * 10
        ends = [end for end in ends if least <= end <= greatest]
    return [*values, *ends, *(at for at, _ in axes.levels)]


def _how_to_read(drawing: Drawing, spots: Sequence[Spot], told: _Told) -> str:
    words = []
    if drawing.over:
        what = "the middle half" if drawing.spread == "quartiles" else "all"
        bars = f"; bars: {what} of them" * drawing.bars
        words.append(f"Points: the median over {heading(drawing.over)}s{bars}.")
    elif any(spot.low is not None for spot in spots):
        words.append("Points: measured, with 95 % intervals.")
    else:
        words.append("Points: measured.")
    if any(spot.predicted is not None for spot in spots):
        words.append("Lines: theory, in closed form.")
    endless = dict.fromkeys(spot.endless for spot in spots if spot.endless)
    if endless:
        words.append(f"Triangles above a panel: {', '.join(endless)}, so no number.")
    words += [drawing.how_to_read] if drawing.how_to_read else []
    words += [f"{said}; csv has all." for said in told.said]
    if drawing.own_heights or drawing.own_widths:
        axis = "vertical" if drawing.own_heights else "horizontal"
        words.append(f"Every panel has a {axis} axis of its own.")
    for alike in told.left_out.values():
        words.append(f"Not drawn, {len(alike)} without a value: {alike[0].rstrip('.')}.")
    return " ".join(words)
