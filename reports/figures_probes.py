"""Which figures each probe has, and how its readings become panels."""

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
from reports.probes_places import differing, is_number, swept, thinned

BEYOND: Final = 1e300
"""The end of a bar that has none: the panel cuts it off at its edge."""
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
    if drawing.once:
        readings = [each for each in readings if each.contender == readings[0].contender]
    if not any(reading.value for reading in readings):
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
    if drawing.ticks_at_points:
        ticks = sorted({spot.x for spot in every})
        axes = replace(axes, ticks=tuple(ticks[:: -(-len(ticks) // MOST_TICKS)]))
    x_ends = ends_of([*(spot.x for spot in every), *drawing.reach], log=axes.log_x)
    charts = []
    for title, found in spots.items():
        y_ends = ends_of(_heights(found if drawing.own_heights else every, axes), log=axes.log_y)
        frame = Frame(axes=axes, series=series, x_ends=x_ends, y_ends=y_ends)
        charts.append(panel(title, found, frame))
    return Sketch(
        name=drawing.name,
        title=drawing.title,
        how_to_read=_how_to_read(drawing, every, told),
        panels=charts,
        columns=2 if len(charts) in (2, 4) else 3,
        panel_width=WIDTH + 90,
        contenders=tuple(dict.fromkeys(reading.contender for reading in shown if reading.own)),
    )


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
        words.append(f"Points: the median over {heading(drawing.over)}s; bars: {what} of them.")
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
    if drawing.own_heights:
        words.append("Every panel has a vertical axis of its own.")
    for alike in told.left_out.values():
        words.append(f"Not drawn, {len(alike)} without a value: {alike[0].rstrip('.')}.")
    return " ".join(words)
