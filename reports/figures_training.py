"""Learning curves of trained tasks: validation, training loss, and a strip of spikes.

A panel holds one column: one task version, preset, source and number format.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from reports.cells import Comparison
from reports.columns import Column, Contender
from reports.figures_axes import DARK, HEIGHT, WIDTH, Axes, Frame, ends_of
from reports.figures_cast import Cast, Drawn, cast_of, name_in, source_of
from reports.figures_panels import Specification, along_x, along_y, layer, panel_title
from reports.figures_probes import Sketch
from results.record import Record
from results.spikes import DEVIATIONS, WINDOW, spikes

MOST_METHODS: Final = 10
MOST_POINTS: Final = 40
"""Of a line of losses: more of them hide the other lines."""
STRIP: Final = 12
"""Pixels of a series in the strip of spikes."""
Rows = list[dict[str, Any]]
Runs = Mapping[str, Sequence[Record]]
"""The seeds of each series."""


def training_drawings(comparison: Comparison, records: Iterable[Record]) -> list[Drawn]:
    """One figure for each column whose records kept their curves."""
    by_digest = {r.identity.digest(): r for r in records if r.training and r.training.curve}
    found = []
    for columns in comparison.blocks():
        for column in columns:
            runs: dict[Contender, list[Record]] = {}
            for contender in comparison.contenders:
                rows = comparison.cell(contender, column).rows
                some = [by_digest[row.trial] for row in rows if row.trial in by_digest]
                if some:
                    runs[contender] = some
            if len(runs) > 1:
                found.append(_drawn(comparison, column, runs))
    return found


def _drawn(
    comparison: Comparison, column: Column, runs: Mapping[Contender, Sequence[Record]]
) -> Drawn:
    order = {"method": 0, "ceiling": 1, "floor": 2}
    contenders = sorted(runs, key=lambda c: order[c.role])[:MOST_METHODS]
    cast = cast_of(contenders)
    named = {name_in(contender): runs[contender] for contender in contenders}
    facts = comparison.columns[column]
    losses = [row for name, some in named.items() for row in _losses(name, some)]
    evaluations = [row for name, some in named.items() for row in _evaluations(name, some)]
    panels = []
    if evaluations:
        panels.append(_panel("validation accuracy", "%", evaluations, cast, points=True))
    spiked = [row for name, some in named.items() for row in _spikes(name, some)]
    panels.append(_with_strip(_panel("training loss", "nat", losses, cast), spiked, losses, cast))
    sketch = Sketch(
        name=f"{column.task.rpartition('/')[2]}-learning",
        title=f"Learning curves: {column.task}, {column.source}, preset {column.preset}"
        + " (a stand-in)" * facts.stand_in,
        how_to_read=_how_to_read(named, bool(spiked), len(runs) - len(contenders)),
        panels=panels,
        columns=2,
        panel_width=WIDTH + 90,
        contenders=tuple(contenders),
    )
    words = [column.family or column.task, column.preset]
    words += [column.dtype] if column.dtype != "float32" else []
    rows = [row for c in contenders for row in comparison.cell(c, column).rows]
    return Drawn(words=tuple(words), sketch=sketch, source=source_of([column], rows, contenders))


def _how_to_read(named: Runs, spiked: bool, left: int) -> str:
    every = max(_stride(record) for some in named.values() for record in some)
    rule = (
        f"a loss exceeds the median of the {WINDOW} before it by more than {DEVIATIONS:g} robust"
        " deviations"
    )
    triangles = f"Triangles above a panel: spikes of any seed, where {rule}."
    said = [
        "Lines: the mean over seeds; of the loss each point is the median of a stretch of steps.",
        "Dark: the ceiling; grey: floors.",
        triangles if spiked else f"There is no spike: nowhere {rule}.",
        *([f"One loss in {every} is on record; spikes between are not seen."] * (every > 1)),
        *([f"{left} more are not drawn."] * (left > 0)),
    ]
    return " ".join(said)


def _losses(name: str, records: Sequence[Record]) -> Rows:
    """The median of each stretch of each seed, then the mean over seeds."""
    found: dict[float, list[float]] = defaultdict(list)
    for record in records:
        curve = record.training.curve if record.training else []
        stride = max(1, math.ceil(len(curve) / MOST_POINTS))
        for first in range(0, len(curve), stride):
            window = [p for p in curve[first : first + stride] if math.isfinite(p.loss)]
            if window:
                middle = statistics.fmean(p.step for p in window)
                found[middle].append(statistics.median(p.loss for p in window))
    return _means(name, found)


def _evaluations(name: str, records: Sequence[Record]) -> Rows:
    found: dict[float, list[float]] = defaultdict(list)
    for record in records:
        for each in record.training.evaluations if record.training else ():
            found[each.step].append(100 * each.accuracy)
    return _means(name, found)


def _means(name: str, found: Mapping[float, Sequence[float]]) -> Rows:
    """Only where every seed has a value, so that no line jumps where one ends."""
    seeds = max(map(len, found.values()), default=0)
    return [
        {"series": name, "x": step, "value": statistics.fmean(values), "seeds": seeds}
        for step, values in sorted(found.items())
        if len(values) == seeds
    ]


def _spikes(name: str, records: Sequence[Record]) -> Rows:
    """By the rule of language tasks, on the losses that are on record."""
    rows = []
    for record in records:
        curve = record.training.curve if record.training else []
        for at in spikes([point.loss for point in curve]):
            rows.append({"series": name, "x": curve[at - 1].step, "seed": record.identity.seed})
    return rows


def _stride(record: Record) -> int:
    """Steps from one loss on record to the next."""
    curve = record.training.curve if record.training else []
    return curve[1].step - curve[0].step if len(curve) > 1 else 1


def _panel(what: str, unit: str, rows: Rows, cast: Cast, *, points: bool = False) -> Specification:
    import altair as alt

    frame = _frame(rows, cast, f"{what}, {unit}")
    x, y, colour = along_x(frame), along_y(frame), cast.colour()
    line = alt.Chart().mark_line(strokeWidth=1.5, clip=True)
    told = [
        alt.Tooltip("series:N", title="method"),
        alt.Tooltip("x:Q", title="step"),
        alt.Tooltip("value:Q", title=what, format=".4~g"),
        alt.Tooltip("seeds:Q", title="seeds"),
    ]
    layers = [layer(rows, line, x=x, y=y, color=colour)]
    size, opacity = (36, 1) if points else (30, 0)
    mark = alt.Chart().mark_point(filled=True, size=size, opacity=opacity)
    layers.append(layer(rows, mark, x=x, y=y, color=colour, shape=cast.shape(), tooltip=told))
    return {"layer": layers, "width": WIDTH, "height": HEIGHT, "title": panel_title(what)}


def _frame(rows: Rows, cast: Cast, y: str) -> Frame:
    return Frame(
        axes=Axes(x="training step", y=y, log_x=False, log_y=False, formats=("~s", "~f")),
        series=cast.names,
        x_ends=(0.0, ends_of([row["x"] for row in rows], log=False)[1]),
        y_ends=ends_of([row["value"] for row in rows], log=False),
    )


def _with_strip(panel: Specification, spiked: Rows, losses: Rows, cast: Cast) -> Specification:
    """Spikes in a strip above the panel, a line for each series that has any."""
    import altair as alt

    if not spiked:
        return panel
    frame = _frame(losses, cast, "")
    shown = [name for name in cast.names if any(row["series"] == name for row in spiked)]
    x = along_x(frame)
    x.axis = None
    bare = alt.Axis(
        labels=False,
        ticks=False,
        domain=False,
        grid=False,
        titleAngle=0,
        titleAlign="right",
        titleX=-6,
        titleFontStyle="italic",
        titleColor=DARK,
    )
    y = alt.Y("series:N", sort=shown, scale=alt.Scale(domain=shown), title="spikes", axis=bare)
    mark = alt.Chart().mark_point(shape="triangle-down", filled=True, size=34, opacity=1)
    told = [alt.Tooltip(f"{field}:N") for field in ("series", "x", "seed")]
    strip = layer(spiked, mark, x=x, y=y, color=cast.colour(), tooltip=told)
    title = panel.pop("title")
    above = {"layer": [strip], "width": WIDTH, "height": STRIP * len(shown), "title": title}
    shared = {"scale": {"color": "shared", "shape": "shared"}}
    return {"vconcat": [above, panel], "spacing": 4, "resolve": shared}
