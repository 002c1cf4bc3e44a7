"""The roofline: how near each method comes to what this machine could do, by its intensity."""

from collections.abc import Sequence
from typing import Any, Final

from reports.curve_notes import direction
from reports.curves import Costs, Curve, Setting
from reports.figures_axes import DARK, GREY, HEIGHT, WIDTH, Axes, Frame, ends_of
from reports.figures_cast import Cast, Drawn, cast_of, name_in
from reports.figures_lengths import chosen, panels_of, setting_about, setting_source, setting_words
from reports.figures_panels import Specification, along_x, along_y, layer, panel_title
from reports.figures_probes import Sketch
from reports.numbers import percent
from results.curve import Mode

SMALLEST, LARGEST = 22, 150
"""Areas of points, from the shortest length to the longest."""
HOW_TO_READ: Final = (
    "At 100 % a call takes what its counted operations and exponentials and the fewest bytes that"
    " it could move take at the ceilings measured on this machine in the same trial. Larger points:"
    " longer inputs. Left of the dashed line memory is the narrower limit, right of it the matrix"
    " product. A low point says that the code leaves the machine idle or does more than it need."
)
Rows = list[dict[str, Any]]


def roofline_drawings(costs: Costs) -> list[Drawn]:
    """One figure for each setting whose trials measured the machine's ceilings."""
    return [
        drawn
        for setting, curves in costs.curves.items()
        if (drawn := _drawn(setting, curves)) is not None
    ]


def _drawn(setting: Setting, curves: Sequence[Curve]) -> Drawn | None:
    shown, said = chosen(curves)
    places = {place: _rows(shown, *place) for place in panels_of(shown)}
    places = {place: rows for place, rows in places.items() if rows}
    if not places:
        return None
    contenders = [curve.contender for curve in shown]
    cast = cast_of(contenders)
    every = [row for rows in places.values() for row in rows]
    frame = Frame(
        axes=Axes(x="operations a byte", y="share of the limit, %"),
        series=cast.names,
        x_ends=ends_of([*(row["x"] for row in every), *_ridges(shown)], log=True),
        y_ends=ends_of([*(row["value"] for row in every), 100.0], log=True),
    )
    longest = max(row["length"] for row in every)
    panels = [
        _panel(rows, frame, cast, place, (_ridges(shown), longest))
        for place, rows in places.items()
    ]
    sketch = Sketch(
        name="roofline",
        title=f"Share of the machine's limit: {setting_about(setting)}",
        how_to_read=HOW_TO_READ + said,
        panels=panels,
        columns=2,
        panel_width=WIDTH + 90,
        contenders=tuple(contenders),
    )
    source = setting_source(setting, contenders)
    return Drawn(words=setting_words(setting), sketch=sketch, source=source)


def _ridges(curves: Sequence[Curve]) -> list[float]:
    """The intensity from which on the matrix product limits: the greatest over trials, if any."""
    ridges = [c.matrix_product / c.memory_copy for curve in curves for c in curve.ceilings]
    return [max(ridges)] if ridges else []


def _rows(curves: Sequence[Curve], mode: Mode, causal: bool) -> Rows:
    rows = []
    for curve in curves:
        for place, point in sorted(curve.points.items(), key=lambda item: item[0].length):
            cell, share = point.cell, point.share_of_limit
            here = (place.mode, place.causal) == (mode, causal)
            if here and share and cell.flops and cell.least_bytes:
                rows.append(
                    {
                        "series": name_in(curve.contender),
                        "x": cell.flops / cell.least_bytes,
                        "value": 100 * share,
                        "length": place.length,
                        "text": f"{percent(share)} %",
                    }
                )
    return rows


def _panel(
    rows: Rows,
    frame: Frame,
    cast: Cast,
    place: tuple[Mode, bool],
    at: tuple[Sequence[float], int],
) -> Specification:
    import altair as alt

    ridges, longest = at
    x, y, colour = along_x(frame), along_y(frame), cast.colour()
    dashed = alt.Chart().mark_rule(color=GREY, strokeDash=[3, 3], strokeWidth=1.2)
    solid = alt.Chart().mark_rule(color=DARK, strokeWidth=1.4)
    layers = [layer([{"value": 100.0}], solid, y=y)]
    if ridges:
        layers.append(layer([{"x": ridge} for ridge in ridges], dashed, x=x))
    path = alt.Chart().mark_line(strokeWidth=0.8)
    order = alt.Order("length:Q")
    layers.append(layer(rows, path, x=x, y=y, color=colour, order=order))
    area = alt.Scale(type="log", domain=[min(r["length"] for r in rows), longest])
    area.range = [SMALLEST, LARGEST]
    told = [
        alt.Tooltip("series:N", title="method"),
        alt.Tooltip("length:Q", title="length"),
        alt.Tooltip("x:Q", title="operations a byte", format=".3~g"),
        alt.Tooltip("text:N", title="of the limit"),
    ]
    point = alt.Chart().mark_point(filled=True, opacity=1, stroke="white", strokeWidth=0.6)
    sizes = alt.Size("length:Q", scale=area, legend=None)
    layers.append(
        layer(rows, point, x=x, y=y, color=colour, shape=cast.shape(), size=sizes, tooltip=told)
    )
    mode, causal = place
    title = panel_title(f"{mode}, {direction(causal)}")
    return {"layer": layers, "width": WIDTH, "height": HEIGHT, "title": title}
