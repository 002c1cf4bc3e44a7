"""The figure of `probes/bias`: each pair's bias with its interval, a panel for each method."""

from collections.abc import Sequence
from typing import Any, Final

from reports.columns import Contender
from reports.figures_axes import GREY
from reports.figures_panels import COLOURS, Specification, layer, panel_title
from reports.probes import Group, Reading
from reports.probes_bias import verdict_of

ROW: Final = 14
"""Pixels of one pair."""
WIDTH: Final = 260
SOUND, BIASED = "no bias found", "biased"
TITLE: Final = "Relative bias of the kernel estimate at each pair of a query and a key"
HOW_TO_READ: Final = (
    "Points: the mean of phi(q).phi(k) over many draws, relative to the method's own kernel, with"
    " 95 % intervals. Grey: a bias too small to be found. A method without bias crosses the line"
    " at 0 with nearly all intervals. Every panel has a horizontal axis of its own."
)


def bias_panels(group: Group) -> tuple[list[Specification], tuple[Contender, ...]]:
    """Panels, and the methods they show, those found biased first."""
    readings = [r for r in group.of("relative-bias") if r.value is not None]
    contenders = list(dict.fromkeys(reading.contender for reading in readings))
    verdicts = {contender: verdict_of(group, contender) for contender in contenders}
    ordered = sorted(contenders, key=lambda one: (-abs(verdicts[one].z or 0.0), one.label))
    names = list(dict.fromkeys(_name(reading) for reading in readings))
    charts = []
    for contender in ordered:
        mine = [reading for reading in readings if reading.contender == contender]
        title = f"{contender.label}: {verdicts[contender].word}".replace('"', "")
        rows = [_row(group, reading, verdicts[contender].threshold) for reading in mine]
        reach = 1.08 * max(abs(v) for row in rows for v in _ends(row)) or 1.0
        charts.append(_panel(title, rows, names, reach))
    return charts, tuple(ordered)


def _ends(row: dict[str, Any]) -> list[float]:
    """All that a panel must show of a row."""
    numbers = (row[name] for name in ("value", "low", "high", "least"))
    return [number for number in numbers if number is not None]


def _name(reading: Reading) -> str:
    return f"{reading.where.get('pair', '')}; d = {reading.where.get('head_dim', '')}"


def _row(group: Group, reading: Reading, threshold: float | None) -> dict[str, Any]:
    def beside(quantity: str) -> float:
        found = (
            r.value
            for r in group.of(quantity)
            if r.contender == reading.contender and r.where == reading.where
        )
        return next((value for value in found if value is not None), 0.0)

    root = len(reading.seeds) ** 0.5
    biased = threshold is not None and abs(beside("z")) * root > threshold
    least = 100 * beside("detectable-bias") / root
    return {
        "name": _name(reading),
        "value": 100 * (reading.value or 0.0),
        "low": None if reading.low is None else 100 * reading.low,
        "high": None if reading.high is None else 100 * reading.high,
        "least": least,
        "minus": -least,
        "verdict": BIASED if biased else SOUND,
    }


def _panel(
    title: str, rows: Sequence[dict[str, Any]], names: Sequence[str], reach: float
) -> Specification:
    import altair as alt

    ends = alt.Scale(domain=[-reach, reach], nice=False)
    colours = alt.Scale(domain=[BIASED, SOUND], range=[COLOURS[1], COLOURS[0]])
    shapes = alt.Scale(domain=[BIASED, SOUND], range=["square", "circle"])
    legend = alt.Legend(title=None, orient="top", symbolSize=70)
    y = alt.Y("name:N", sort=[*names], title=None, axis=alt.Axis(grid=True, ticks=False))

    def x(field: str) -> Any:
        return alt.X(f"{field}:Q", scale=ends, title="relative bias, %", axis=alt.Axis(grid=False))

    colour = alt.Color("verdict:N", scale=colours, legend=legend)
    shape = alt.Shape("verdict:N", scale=shapes, legend=legend)
    band = alt.Chart().mark_bar(color="#E6E6E6", height=ROW - 3, clip=True)
    zero = alt.Chart().mark_rule(color=GREY, strokeWidth=1.2)
    bars = alt.Chart().mark_rule(strokeWidth=1.6)
    points = alt.Chart().mark_point(
        filled=True, opacity=1, size=44, stroke="white", strokeWidth=0.7
    )
    layers = [
        layer(rows, band, x=x("minus"), x2="least:Q", y=y),
        layer([{"zero": 0.0}], zero, x=x("zero")),
        layer(rows, bars, x=x("low"), x2="high:Q", y=y, color=colour),
        layer(rows, points, x=x("value"), y=y, color=colour, shape=shape),
    ]
    size = {"width": WIDTH, "height": ROW * len(names)}
    return {"layer": layers, "title": panel_title(title), **size}
