"""The pieces of a figure: panels of points, theory and poles, and what has no value in a strip.

A spot without a value never gets one: it stands as a triangle in a strip above the panel, beyond
the axis. Colours are those of Okabe and Ito, which colour-blind readers tell apart; shapes say the
same again. Where lines or points fall on each other, the later ones are smaller.
"""

from collections.abc import Sequence
from typing import Any, Final

from reports.figures_axes import DARK, GREY, HEIGHT, WIDTH, Frame, Spot, axis, scale

COLOURS: Final = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
    *("#7F7F7F", "#8C564B", "#5D3A9B", "#999933", "#882255"),
)
SHAPES: Final = (
    *("circle", "square", "diamond", "triangle-up", "triangle-down", "triangle-right"),
    *("cross", "circle", "square", "diamond", "triangle-left", "cross"),
)
Specification = dict[str, Any]
"""A view in Vega-Lite."""
DODGE: Final = 3.0
"""Pixels between bars at one place."""
MOST_ASIDE: Final = 7.0
"""Pixels: further from its place a point seems to stand at another."""
STRIP: Final = 11
"""Pixels that each series takes in the strip of what has no value."""


def panel(title: str, spots: Sequence[Spot], frame: Frame) -> Specification:
    """One panel, with its strip where something has no value."""
    # Later series are smaller, and stand in front.
    spots = sorted(spots, key=lambda spot: frame.series.index(spot.series))
    layers = [*_marks(frame), *_theory(spots, frame), *_measured(spots, frame)]
    main = {"layer": layers, "width": WIDTH, "height": HEIGHT}
    without = [spot for spot in spots if spot.value is None and spot.endless]
    if not without:
        return main | {"title": panel_title(title)}
    shared = {"scale": {"color": "shared", "shape": "shared"}}
    # The title belongs to the strip: above both it would stand in the middle of their labels too.
    strip = _strip(without, frame) | {"title": panel_title(title)}
    return {"vconcat": [strip, main], "spacing": 4, "resolve": shared}


def panel_title(text: str) -> Specification:
    """Above a panel, in its middle."""
    return {"text": text, "anchor": "middle", "fontSize": 12, "fontWeight": 600, "color": DARK}


def layer(rows: Sequence[dict[str, Any]], mark: Any, **channels: Any) -> Specification:
    """Marks of altair with their channels, and the rows they show.

    Layers are put together as plain Vega-Lite: altair would copy every one at every step.
    """
    drawn: Specification = mark.encode(**channels).to_dict()
    return {name: drawn[name] for name in ("mark", "encoding")} | {"data": {"values": [*rows]}}


def along_x(frame: Frame) -> Any:
    """The horizontal channel of rows with `x`."""
    import altair as alt

    axes, ends = frame.axes, frame.x_ends
    return alt.X("x:Q", title=axes.x, scale=scale(ends, log=axes.log_x), axis=axis(axes, "x", ends))


def along_y(frame: Frame, field: str = "value") -> Any:
    """The vertical channel of rows with this field."""
    import altair as alt

    axes, ends = frame.axes, frame.y_ends
    of = scale(ends, log=axes.log_y)
    return alt.Y(f"{field}:Q", title=axes.y, scale=of, axis=axis(axes, "y", ends))


def legend(frame: Frame) -> Any:
    """Above the panels, in as many columns as the names leave room for."""
    import altair as alt

    longest = max(map(len, frame.series), default=0)
    columns = 2 if longest > 30 else 3 if longest > 20 else 4
    return alt.Legend(title=None, orient="top", columns=columns, labelLimit=520, symbolSize=70)


def _colour(frame: Frame) -> Any:
    import altair as alt

    colours = [COLOURS[i % len(COLOURS)] for i in range(len(frame.series))]
    of = alt.Scale(domain=[*frame.series], range=colours)
    return alt.Color("series:N", scale=of, legend=legend(frame))


def _shape(frame: Frame) -> Any:
    import altair as alt

    shapes = [SHAPES[i % len(SHAPES)] for i in range(len(frame.series))]
    of = alt.Scale(domain=[*frame.series], range=shapes)
    return alt.Shape("series:N", scale=of, legend=legend(frame))


def falling(frame: Frame, first: float, last: float) -> list[float]:
    """The ends of a size that falls from series to series; Vega-Lite finds the rest between them,
    and would take the first two of more numbers for the ends."""
    return [first, last if len(frame.series) > 1 else first]


def _aside(frame: Frame, spots: Sequence[Spot], series: str) -> float:
    """Pixels to move a series, so that bars stand beside each other; never off a line of theory."""
    if any(spot.predicted is not None for spot in spots):
        return 0.0
    reach = (len(frame.series) - 1) / 2
    step = min(DODGE, MOST_ASIDE / reach) if reach else DODGE
    return step * (frame.series.index(series) - reach)


def _marks(frame: Frame) -> list[Specification]:
    """Dashed lines at the poles, each with its name."""
    import altair as alt

    layers = []
    if frame.poles:
        layers.append(layer(frame.poles, _dashed(), x=along_x(frame)))
        text = alt.Chart().mark_text(fontSize=10, color=GREY, dx=4, align="left", dy=9)
        layers.append(layer(frame.poles, text, x=along_x(frame), y=alt.value(0), text="name:N"))
    if frame.levels:
        layers.append(layer(frame.levels, _dashed(), y=along_y(frame)))
        text = alt.Chart().mark_text(fontSize=10, color=GREY, dy=-6, align="right")
        right = alt.value(WIDTH - 3)
        layers.append(layer(frame.levels, text, y=along_y(frame), x=right, text="name:N"))
    return layers


def _dashed() -> Any:
    import altair as alt

    return alt.Chart().mark_rule(strokeDash=[3, 3], color=GREY, strokeWidth=1.2)


def _theory(spots: Sequence[Spot], frame: Frame) -> list[Specification]:
    """Lines through what is predicted; where nothing is, thin dashes through what is measured."""
    import altair as alt

    foretold = {spot.series for spot in spots if spot.predicted is not None}
    lines = [_row(s, s.predicted) for s in spots if s.predicted is not None]
    loose = [_row(s, s.value) for s in spots if s.value is not None and s.series not in foretold]
    channels = {"x": along_x(frame), "y": along_y(frame), "color": _colour(frame)}
    layers = []
    if lines:
        widths = alt.Scale(domain=[*frame.series], range=falling(frame, 4.0, 1.2))
        thick = alt.StrokeWidth("series:N", scale=widths, legend=None)
        mark = alt.Chart().mark_line(clip=True)
        layers.append(layer(lines, mark, strokeWidth=thick, **channels))
    if loose and frame.axes.joined:
        mark = alt.Chart().mark_line(strokeDash=[2, 3], strokeWidth=1, clip=True)
        layers.append(layer(loose, mark, **channels))
    return layers


def _measured(spots: Sequence[Spot], frame: Frame) -> list[Specification]:
    import altair as alt

    common = {"x": along_x(frame), "color": _colour(frame)}
    sizes = alt.Scale(domain=[*frame.series], range=falling(frame, 80, 26))
    size = alt.Size("series:N", scale=sizes, legend=None)
    bars, points = [], []
    # A panel without any value still has a layer, for its axes.
    found = [spot.series for spot in spots if spot.value is not None] or [frame.series[0]]
    for series in dict.fromkeys(found):
        rows = [_row(s, s.value) for s in spots if s.series == series and s.value is not None]
        spans = [row for row in rows if row["low"] is not None and row["high"] is not None]
        aside = _aside(frame, spots, series)
        bar = alt.Chart().mark_rule(strokeWidth=1.6, clip=True, xOffset=aside)
        if spans:
            bars.append(layer(spans, bar, y=along_y(frame, "low"), y2="high:Q", **common))
        point = alt.Chart().mark_point(
            filled=True, opacity=1, stroke="white", strokeWidth=0.7, clip=True, xOffset=aside
        )
        points.append(
            layer(rows, point, y=along_y(frame), shape=_shape(frame), size=size, **common)
        )
    return [*bars, *points]


def _strip(spots: Sequence[Spot], frame: Frame) -> Specification:
    """Triangles that point beyond the panel, a line of the strip for each series."""
    import altair as alt

    shown = [name for name in frame.series if any(spot.series == name for spot in spots)]
    names = dict.fromkeys(spot.endless for spot in spots)
    x = alt.X("x:Q", title=None, scale=scale(frame.x_ends, log=frame.axes.log_x), axis=None)
    beside = alt.Axis(
        labels=False,
        ticks=False,
        domain=False,
        grid=False,
        titleAngle=0,
        titleAlign="right",
        titleX=-6,
        titleFontStyle="italic",
    )
    y = alt.Y("series:N", sort=shown, scale=alt.Scale(domain=shown), title=[*names], axis=beside)
    arrows = alt.Chart().mark_point(shape="triangle-up", filled=True, size=40, opacity=1)
    layers = [layer(frame.poles, _dashed(), x=x)] if frame.poles else []
    layers.append(layer([_row(s, None) for s in spots], arrows, x=x, y=y, color=_colour(frame)))
    return {"layer": layers, "width": WIDTH, "height": STRIP * len(shown)}


def _row(spot: Spot, value: float | None) -> dict[str, Any]:
    ends = {"low": spot.low, "high": spot.high}
    return {"series": spot.series, "x": spot.x, "value": value, **ends}
