"""The figure of recovery: validation accuracy and loss against the tokens trained on."""

import math
import re
from collections.abc import Sequence
from typing import Any, Final

from reports.columns import Contender
from reports.figures_axes import DARK, GREY, HEIGHT, WIDTH, Axes, Frame, ends_of
from reports.figures_panels import (
    COLOURS,
    SHAPES,
    Specification,
    along_x,
    along_y,
    layer,
    legend,
    panel_title,
)
from reports.figures_probes import Sketch
from reports.language import Entrant, Group
from reports.language_notes import parity
from reports.language_recovery import points_of
from results.statistics import Interval

MOST_METHODS: Final = 8
"""More lines in one panel cannot be told apart."""
MOST_TICKS: Final = 5
MARGIN: Final = 0.2
"""Of the width of a panel."""
FORMATS: Final = ("~s", "~f")
"""Tokens in thousands and millions; accuracies and losses as they are."""
_UNITS: Final = {"accuracy": "next-token accuracy, %", "loss": "loss, nat a token"}
Rows = list[dict[str, Any]]


def recovery_sketch(group: Group) -> Sketch | None:
    """A panel of accuracy, one of loss; None where nothing was evaluated on the way."""
    methods, said = shown_of(group, "method")
    everyone = [*methods, *of_role(group, "ceiling"), *of_role(group, "floor")]
    if not any(len(points_of(entrant)) > 1 for entrant in everyone):
        return None
    panels = [
        _recovery_panel(methods, everyone, "accuracy"),
        _recovery_panel(methods, everyone, "loss"),
    ]
    how = (
        "Colours: methods; thick dark line: softmax, the ceiling; dashed grey: floors. Bars: 95 %"
        " intervals over seeds, where there are several."
    )
    return Sketch(
        name="recovery",
        title=f"Recovery on validation text: {about(group)}",
        how_to_read=f"{how} {said} {unbroken(parity(group))}",
        panels=panels,
        columns=2,
        panel_width=WIDTH + 90,
        contenders=tuple(entrant.contender for entrant in everyone),
    )


def _recovery_panel(
    methods: Sequence[Entrant], everyone: Sequence[Entrant], what: str
) -> Specification:
    rows = {e.contender.label: _points(e, what) for e in everyone}
    every = [row for found in rows.values() for row in found]
    tokens = sorted({row["x"] for row in every})
    low, high = ends_of(tokens, log=False)
    frame = Frame(
        axes=Axes(
            x="tokens trained",
            y=_UNITS[what],
            log_x=False,
            log_y=False,
            ticks=tuple(tokens[:: -(-len(tokens) // MOST_TICKS)]),
            formats=FORMATS,
        ),
        series=tuple(name_of(e.contender) for e in methods) or ("",),
        # Room on the right for the names of controls.
        x_ends=(low, high + MARGIN * (high - low)),
        y_ends=ends_of([row[end] for row in every for end in ("low", "high")], log=False),
    )
    controls = [e for e in everyone if e.contender.role != "method" and rows[e.contender.label]]
    layers = [_control_line(rows[e.contender.label], frame, e.contender.role) for e in controls]
    layers += _method_layers([row for e in methods for row in rows[e.contender.label]], frame)
    layers += _names([rows[e.contender.label][-1] for e in controls], frame)
    size = {"width": WIDTH, "height": HEIGHT}
    return {"layer": layers, "title": panel_title(f"validation {what}"), **size}


def _points(entrant: Entrant, what: str) -> Rows:
    rows = []
    for point in points_of(entrant):
        value: Interval = point.accuracy if what == "accuracy" else point.loss
        scale = 100.0 if what == "accuracy" else 1.0
        if math.isfinite(value.mean):
            ends = {"low": scale * value.low, "high": scale * value.high}
            at = {"x": point.tokens, "value": scale * value.mean}
            rows.append({"series": name_of(entrant.contender), **at, **ends})
    return rows


def _control_line(rows: Rows, frame: Frame, role: str) -> Specification:
    import altair as alt

    dashes = [5, 3] if role == "floor" else [1, 0]
    colour, width = (GREY, 1.4) if role == "floor" else (DARK, 2.6)
    line = alt.Chart().mark_line(strokeDash=dashes, color=colour, strokeWidth=width, clip=True)
    return layer(rows, line, x=along_x(frame), y=along_y(frame))


def _names(ends: Rows, frame: Frame) -> list[Specification]:
    """The names of controls at the right ends of their lines, none on another."""
    import altair as alt

    low, high = frame.y_ends
    apart, placed = 0.06 * (high - low), low
    rows = []
    for row in sorted(ends, key=lambda row: row["value"]):
        placed = max(row["value"], placed)
        rows.append({**row, "value": placed})
        placed += apart
    text = alt.Chart().mark_text(fontSize=10, color=DARK, align="left", dx=5)
    x, y = along_x(frame), along_y(frame)
    return [layer(rows, text, x=x, y=y, text="series:N")] if rows else []


def _method_layers(rows: Rows, frame: Frame) -> list[Specification]:
    import altair as alt

    colours = alt.Scale(domain=[*frame.series], range=[*_cycled(COLOURS, frame)])
    shapes = alt.Scale(domain=[*frame.series], range=[*_cycled(SHAPES, frame)])
    common = {
        "x": along_x(frame),
        "color": alt.Color("series:N", scale=colours, legend=legend(frame)),
    }
    shape = alt.Shape("series:N", scale=shapes, legend=legend(frame))
    bars = [row for row in rows if row["high"] > row["low"]]
    # The best is drawn first and thickest, so that whoever is as good does not hide it. Between
    # the two ends Vega-Lite finds the others.
    widths = alt.Scale(domain=[*frame.series], range=[3.2, 1.2])
    sizes = alt.Scale(domain=[*frame.series], range=[64, 34])
    width = alt.StrokeWidth("series:N", scale=widths, legend=None)
    size = alt.Size("series:N", scale=sizes, legend=None)
    line = alt.Chart().mark_line(clip=True)
    bar = alt.Chart().mark_rule(strokeWidth=1.4, clip=True)
    point = alt.Chart().mark_point(
        filled=True, opacity=1, stroke="white", strokeWidth=0.7, clip=True
    )
    found = [layer(rows, line, y=along_y(frame), strokeWidth=width, **common)]
    if bars:
        found.append(layer(bars, bar, y=along_y(frame, "low"), y2="high:Q", **common))
    return [*found, layer(rows, point, y=along_y(frame), shape=shape, size=size, **common)]


def _cycled(of: Sequence[str], frame: Frame) -> list[str]:
    return [of[i % len(of)] for i in range(len(frame.series))]


def shown_of(group: Group, role: str, most: int = MOST_METHODS) -> tuple[list[Entrant], str]:
    """The best of them that were trained, and what to say of the rest."""
    trained = [entrant for entrant in of_role(group, role) if entrant.completed]
    left = len(trained) - most
    return trained[:most], f"The best {most}; {left} more are in the table." * (left > 0)


def of_role(group: Group, role: str) -> list[Entrant]:
    """Those of this role that were evaluated on the way."""
    return [e for e in group.entrants if e.contender.role == role and points_of(e)]


def name_of(contender: Contender) -> str:
    """For a legend, in which quotation marks would end the name."""
    return contender.label.replace('"', "")


def unbroken(text: str) -> str:
    """No line ends within a number."""
    return re.sub(r"(?<=\d) (?=\d{3}\b)", "\u00a0", text)


def about(group: Group) -> str:
    """The task and its text, for a title."""
    facts = group.facts
    unnamed = facts.stand_in and "stand-in" not in facts.title
    return f"{group.column.task}, {facts.title}{' (a stand-in)' * unnamed}"
