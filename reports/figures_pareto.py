"""The figure of accuracy against throughput: a panel for each column of scores.

Panels hold one task version, preset, source and machine; the size of a point is its memory.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

from reports.accuracy import block_title
from reports.cells import Comparison
from reports.columns import Column
from reports.figures_axes import DARK, GREY, HEIGHT, WIDTH, Axes, Frame, ends_of
from reports.figures_cast import THOUSANDS, Cast, Drawn, cast_of, labelled, name_in, source_of
from reports.figures_panels import Specification, along_x, along_y, layer, panel_title
from reports.figures_probes import Sketch
from reports.front import Offer, machines, offers
from reports.numbers import count, size
from results.statistics import Interval

SMALLEST, LARGEST = 30, 300
HALO = 190
"""Areas of points in square pixels, of no memory and of the most in the figure; and what a ring has
more than its point."""
HOW_TO_READ: Final = (
    "Up and to the right is better. Ringed points on the dashed line are on the Pareto front: no"
    " other choice has a better mean and is faster. Bars: 95 % intervals; neighbours on the front"
    " whose bars overlap are not told apart. Grey: floors, which are not ranked. The larger the"
    " point, the higher the peak of memory."
)


def pareto_drawings(comparison: Comparison) -> list[Drawn]:
    """One figure for each block of columns and each machine, where two can be compared."""
    found = []
    for columns in comparison.blocks():
        for machine in machines(comparison, columns):
            shown = {column: offers(comparison, column, machine) for column in columns}
            shown = {column: some for column, some in shown.items() if _comparable(some)}
            if shown:
                found.append(_drawn(comparison, shown, machine))
    return found


def _comparable(some: Sequence[Offer]) -> bool:
    return sum(offer.contender.role != "floor" for offer in some) > 1


def _drawn(
    comparison: Comparison, shown: dict[Column, list[Offer]], machine: tuple[str, int]
) -> Drawn:
    columns = [*shown]
    present = {offer.contender for some in shown.values() for offer in some}
    contenders = [each for each in comparison.contenders if each in present]
    cast = cast_of(contenders)
    memories = [o.peak_memory_bytes or 0.0 for some in shown.values() for o in some]
    panels = [
        _panel(comparison, column, some, cast, max(memories)) for column, some in shown.items()
    ]
    rows = [r for c in contenders for column in columns for r in comparison.cell(c, column).rows]
    lower = any(not comparison.columns[column].higher_is_better for column in columns)
    how = HOW_TO_READ.replace("Up and", "Down, where less is better, and") if lower else HOW_TO_READ
    sketch = Sketch(
        name="accuracy-throughput",
        title=block_title("Score against training throughput", columns),
        how_to_read=how,
        panels=panels,
        columns=min(3, len(panels)) if len(panels) != 4 else 2,
        panel_width=WIDTH + 80,
        contenders=tuple(contenders),
    )
    first = columns[0]
    words = [first.family or first.task.replace("/", "-"), first.preset]
    words += [first.dtype] if first.dtype != "float32" else []
    return Drawn(
        words=tuple(words), sketch=sketch, source=source_of(columns, rows, contenders, machine)
    )


def _panel(
    comparison: Comparison, column: Column, some: Sequence[Offer], cast: Cast, most: float
) -> Specification:
    import altair as alt

    facts = comparison.columns[column]
    percent = facts.unit == "fraction"
    rows = [_row(offer, 100.0 if percent else 1.0) for offer in some]
    name = f"{facts.metric}, {'%' if percent else facts.unit}"
    chance = [] if facts.majority is None else [100 * facts.majority.mean]
    values = [row[end] for row in rows for end in ("low", "value", "high")] + chance
    frame = Frame(
        axes=Axes(x="tokens a second in training", y=name, log_y=False, formats=("~g", "~f")),
        series=cast.names,
        x_ends=_widened([row["x"] for row in rows]),
        y_ends=ends_of(values, log=False),
    )
    x, y = labelled(along_x(frame), THOUSANDS), along_y(frame)
    layers = [*_chance(facts.majority, frame, percent=percent)]
    front = sorted((row for row in rows if row["front"]), key=lambda row: row["x"])
    step = alt.Chart().mark_line(
        interpolate="step-before", strokeDash=[4, 3], color=GREY, strokeWidth=1.2
    )
    layers.append(layer(front, step, x=x, y=y))
    bars = [row for row in rows if row["known"]]
    if bars:
        bar = alt.Chart().mark_rule(strokeWidth=1.4)
        low, high = along_y(frame, "low"), alt.Y2("high:Q")
        layers.append(layer(bars, bar, x=x, y=low, y2=high, color=cast.colour()))
    layers += _points(rows, x, y, cast, most)
    title = column.task.removeprefix(f"{column.family}/") + " (stand-in)" * facts.stand_in
    return {"layer": layers, "width": WIDTH, "height": HEIGHT, "title": panel_title(title)}


def _row(offer: Offer, factor: float) -> dict[str, Any]:
    score, memory = offer.score, offer.peak_memory_bytes
    return {
        "series": name_in(offer.contender),
        "x": offer.tokens_per_second,
        "value": factor * score.mean,
        "low": factor * score.low,
        "high": factor * score.high,
        "known": score.known,
        "memory": memory or 0.0,
        "front": offer.on_front,
        "speed": count(offer.tokens_per_second),
        "size": "unknown" if memory is None else size(memory),
    }


def _points(
    rows: Sequence[dict[str, Any]], x: Any, y: Any, cast: Cast, most: float
) -> list[Specification]:
    """The largest first, so that small ones stand in front; a ring around those on the front."""
    import altair as alt

    area = alt.Size(
        "memory:Q",
        scale=alt.Scale(type="linear", domain=[0, most or 1.0], range=[SMALLEST, LARGEST]),
        legend=alt.Legend(
            title="peak memory",
            orient="top",
            direction="horizontal",
            values=_sizes(most),
            labelExpr="format(datum.value / 1048576, ',.0f') + ' MiB'",
            symbolFillColor="#CCCCCC",
            symbolStrokeColor="#888888",
        )
        if most
        else None,
    )
    told = [alt.Tooltip(f"{field}:N", title=title) for field, title in _TOLD]
    channels = {"color": cast.colour(), "shape": cast.shape(), "size": area, "tooltip": told}
    mark = alt.Chart().mark_point(filled=True, opacity=0.8, stroke="white", strokeWidth=0.8)
    some = sorted(rows, key=lambda row: -row["memory"])
    layers = [layer(some, mark, x=x, y=y, **channels)]
    wider = HALO * (most or 1.0) / (LARGEST - SMALLEST)
    halos = [row | {"halo": row["memory"] + wider} for row in rows if row["front"]]
    ring = alt.Chart().mark_point(filled=False, shape="circle", color=DARK, strokeWidth=1.4)
    halo = area.copy()
    halo["shorthand"] = "halo:Q"
    layers.append(layer(halos, ring, x=x, y=y, size=halo))
    return layers


_TOLD: Final = (
    ("series", "method"),
    ("value", "score"),
    ("low", "from"),
    ("high", "to"),
    ("speed", "tokens a second"),
    ("size", "peak memory"),
)


def _sizes(most: float) -> list[float]:
    """Two round sizes for the legend: about the most, and about a quarter of it."""
    exponent = math.floor(math.log2(most / 2**20)) if most else 0
    return [2.0**e * 2**20 for e in (exponent - 2, exponent)]


def _chance(majority: Interval | None, frame: Frame, *, percent: bool) -> list[Specification]:
    """A line at the majority class, the floor that needs no method."""
    import altair as alt

    if majority is None:
        return []
    at = [{"value": 100 * majority.mean if percent else majority.mean, "name": "majority class"}]
    rule = alt.Chart().mark_rule(color=GREY, strokeDash=[1, 3], strokeWidth=1.2)
    text = alt.Chart().mark_text(align="left", dx=4, dy=-6, fontSize=10, color=GREY)
    y = along_y(frame)
    return [layer(at, rule, y=y), layer(at, text, y=y, x=alt.value(0), text="name:N")]


def _widened(values: Sequence[float]) -> tuple[float, float]:
    """With room for the largest points."""
    low, high = ends_of(values, log=True)
    return low / 1.08, high * 1.08
