"""What a panel shows and between which ends: spots, axes, their scales and marks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

WIDTH: Final = 300
HEIGHT: Final = 220
"""Of a panel, in pixels."""
DARK, GREY, LIGHT = "#222222", "#666666", "#DDDDDD"
_NUMBER: Final = (
    "datum.value > 0.0009 && datum.value < 1e5 ? format(datum.value, '~g')"
    " : replace(format(datum.value, '.1~e'), '+', '')"
)
"""Digits in superscript are missing from most fonts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One place of a panel: what was measured there, what theory says, or why there is nothing."""

    series: str
    x: float
    value: float | None
    low: float | None = None
    high: float | None = None
    predicted: float | None = None
    endless: str = ""
    """What stands beside the strip where there is no value, such as `infinite`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """What the panels of a figure share."""

    x: str
    y: str
    log_x: bool = True
    log_y: bool = True
    ticks: tuple[float, ...] = ()
    """Of the horizontal axis; empty: where they fall."""
    formats: tuple[str, str] = ("~g", "~g")
    """Of the numbers at linear axes, the horizontal first, in d3's notation."""
    poles: tuple[tuple[float, str], ...] = ()
    """Where a variance becomes infinite, marked on the horizontal axis."""
    levels: tuple[tuple[float, str], ...] = ()
    """The same on the vertical axis."""
    joined: bool = True
    """Measured points without theory are joined by dashes; not where there are gaps between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Axes with their ends, and the series of a whole figure: alike in all of its panels."""

    axes: Axes
    series: tuple[str, ...]
    x_ends: tuple[float, float]
    y_ends: tuple[float, float]

    @property
    def poles(self) -> list[dict[str, Any]]:
        """Those that lie within the panel."""
        low, high = self.x_ends
        return [{"x": at, "name": name} for at, name in self.axes.poles if low <= at <= high]

    @property
    def levels(self) -> list[dict[str, Any]]:
        """Those that lie within the panel."""
        low, high = self.y_ends
        return [{"value": at, "name": name} for at, name in self.axes.levels if low <= at <= high]


def ends_of(values: Sequence[float], *, log: bool) -> tuple[float, float]:
    """The least and the greatest with some room, so that no mark is cut off."""
    finite = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    if not finite:
        return (0.1, 10.0) if log else (0.0, 1.0)
    low, high = min(finite), max(finite)
    if log:
        room = max(0.06, 0.04 * math.log10(high / low))
        return low / 10**room, high * 10**room
    room = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room


def ticks_of(ends: tuple[float, float]) -> list[float]:
    """On a logarithmic axis: 1, 2 and 5 of each power of ten, or powers alone where it is long."""
    decades = math.log10(ends[1] / ends[0])
    stride = max(1, round(decades / 6))
    powers = range(math.floor(math.log10(ends[0])), math.ceil(math.log10(ends[1])) + 1)
    for steps in ((1, 2, 5),) if decades < 2.3 else ((1,), (1, 3)):
        found = [float(f"{step}e{p}") for p in powers if p % stride == 0 for step in steps]
        within = [at for at in found if ends[0] <= at <= ends[1]]
        if len(within) > 2:
            return within
    return _even_ticks(ends)


def _even_ticks(ends: tuple[float, float]) -> list[float]:
    """Of an axis too short for powers: multiples of 1, 2 or 5 times a power, about five of them."""
    rough = (ends[1] - ends[0]) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough)
    first, last = math.ceil(ends[0] / step), math.floor(ends[1] / step)
    return [float(f"{i * step:.6g}") for i in range(first, last + 1)]


def axis(axes: Axes, side: str, ends: tuple[float, float]) -> Any:
    """Of the side `x` or `y`; lines across the panel belong to y alone."""
    import altair as alt

    log = axes.log_x if side == "x" else axes.log_y
    form = axes.formats[0 if side == "x" else 1]
    given: dict[str, Any] = {"format": form, "tickCount": 5}
    if side == "x" and axes.ticks:
        given = {"format": form, "values": [*axes.ticks]}
    elif log:
        given = {"labelExpr": _NUMBER, "values": ticks_of(ends)}
    return alt.Axis(grid=side != "x", labelOverlap="greedy", **given)


def scale(ends: tuple[float, float], *, log: bool) -> Any:
    """From end to end, and nothing rounded."""
    import altair as alt

    return alt.Scale(type="log" if log else "linear", domain=[*ends], nice=False, zero=False)
