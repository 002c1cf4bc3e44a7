"""Figures of language tasks: recovery, training losses with their spikes, stability."""

import math
import statistics
from collections.abc import Sequence
from typing import Final

from reports.figures_axes import HEIGHT, WIDTH, Axes, Frame, Spot, ends_of
from reports.figures_panels import (
    COLOURS,
    Specification,
    along_x,
    along_y,
    layer,
    panel,
    panel_title,
)
from reports.figures_probes import Sketch
from reports.figures_recovery import (
    FORMATS,
    MOST_METHODS,
    Rows,
    about,
    name_of,
    of_role,
    recovery_sketch,
    shown_of,
    unbroken,
)
from reports.language import Entrant, Group
from reports.language_notes import parity, rule_of
from reports.language_stability import AtRate, Stability, stabilities
from reports.tokens import tokens_per_step

MOST_PANELS: Final = 6
MOST_STEPS: Final = 300
"""Points of a line of losses; of more steps, each point is the median of some."""
MARK: Final = "#B22222"
"""Of spikes: red, and a shape that nothing else has."""


def language_sketches(group: Group) -> list[Sketch]:
    """The figures of one text and protocol."""
    made = [_stability] if group.kind == "stability" else [recovery_sketch, _losses]
    return [sketch for of in made if (sketch := of(group)) is not None]


def _losses(group: Group) -> Sketch | None:
    """A panel for each method, with softmax behind it."""
    methods, said = shown_of(group, "method", MOST_PANELS)
    behind = of_role(group, "ceiling")[:1]
    shown = [entrant for entrant in methods if _curves(entrant)]
    if not shown:
        return None
    every = [row for e in [*shown, *behind] for row in _curves(e)]
    values = [row["value"] for row in every]
    frame = Frame(
        axes=Axes(
            x="tokens trained",
            y="training loss, nat a token",
            log_x=False,
            log_y=False,
            formats=FORMATS,
        ),
        series=("",),
        x_ends=ends_of([row["x"] for row in every], log=False),
        y_ends=ends_of(values, log=False),
    )
    panels = [_loss_panel(entrant, behind, frame) for entrant in shown]
    reference = f"; grey: {name_of(behind[0].contender)}" if behind else ""
    steps = max(len(language.losses) for e in shown for _, language in e.completed)
    middle = f" Each point is the median of {-(-steps // MOST_STEPS)} steps." * (steps > MOST_STEPS)
    rules = {text for e in shown for _, found in e.completed if (text := rule_of(found))}
    return Sketch(
        name="training-loss",
        title=f"Training loss and its spikes: {about(group)}",
        how_to_read=(
            f"Blue: the loss of the training batches, a line a seed{reference}."
            f" Red triangles: spikes, {'; '.join(sorted(rules)) or 'by no stated rule'}."
            f"{middle} {said}"
        ),
        panels=panels,
        columns=3 if len(panels) not in (2, 4) else 2,
        panel_width=WIDTH + 90,
        contenders=tuple(e.contender for e in [*shown, *behind]),
    )


def _loss_panel(entrant: Entrant, behind: Sequence[Entrant], frame: Frame) -> Specification:
    import altair as alt

    x, y = along_x(frame), along_y(frame)
    layers = []
    for each, colour, width in [*((e, "#BBBBBB", 1.0) for e in behind), (entrant, COLOURS[0], 1.2)]:
        line = alt.Chart().mark_line(color=colour, strokeWidth=width, clip=True)
        layers.append(layer(_curves(each), line, x=x, y=y, detail="seed:N"))
    spikes = [
        {"x": step * tokens, "value": min(language.losses[step - 1], frame.y_ends[1])}
        for record, language in entrant.completed
        if (tokens := tokens_per_step(record)) is not None
        for step in language.spikes
    ]
    if spikes:
        mark = alt.Chart().mark_point(
            shape="triangle-down", filled=True, color=MARK, size=46, opacity=1, yOffset=-5
        )
        layers.append(layer(spikes, mark, x=x, y=y))
    number = f": {len(spikes)} spike{'s' * (len(spikes) != 1)}"
    title = panel_title(name_of(entrant.contender) + number)
    return {"layer": layers, "width": WIDTH, "height": HEIGHT, "title": title}


def _curves(entrant: Entrant) -> Rows:
    """Of every seed; thinned by medians where there are many steps."""
    rows = []
    for record, language in entrant.completed:
        each, losses = tokens_per_step(record), language.losses
        if each is None:
            continue
        stride = max(1, -(-len(losses) // MOST_STEPS))
        for first in range(0, len(losses), stride):
            window = [loss for loss in losses[first : first + stride] if math.isfinite(loss)]
            if window:
                at = {"x": (first + (len(window) + 1) / 2) * each, "seed": record.identity.seed}
                rows.append({**at, "value": statistics.median(window)})
    return rows


def _stability(group: Group) -> Sketch | None:
    """Final loss against learning rate; what diverged stands above the panel."""
    trained = [one for one in stabilities(group) if one.rates]
    shown = trained[:MOST_METHODS]
    if not any(one.best for one in shown):
        return None
    spots = [_at_rate(one, at) for one in shown for at in one.rates.values()]
    said = ["Points: the mean over seeds, with 95 % intervals where there are several."]
    if any(spot.endless for spot in spots):
        said.append("Triangles above the panel: at least one seed diverged.")
    if len(trained) > len(shown):
        said.append(f"{len(trained) - len(shown)} more methods are in the table.")
    return Sketch(
        name="stability",
        title=f"Loss after training at several learning rates: {about(group)}",
        how_to_read=f"{' '.join(said)} {unbroken(parity(group))}",
        panels=[panel("", spots, _rate_frame(shown, spots))],
        columns=1,
        panel_width=2 * WIDTH,
        contenders=tuple(one.entrant.contender for one in shown),
    )


def _at_rate(one: Stability, at: AtRate) -> Spot:
    loss = at.loss
    return Spot(
        series=name_of(one.entrant.contender),
        x=at.rate,
        value=loss.mean if loss else None,
        low=loss.low if loss and loss.known else None,
        high=loss.high if loss and loss.known else None,
        endless="" if loss else "diverged",
    )


def _rate_frame(shown: Sequence[Stability], spots: Sequence[Spot]) -> Frame:
    rates = sorted({spot.x for spot in spots})
    values = [v for spot in spots for v in (spot.value, spot.low, spot.high) if v is not None]
    axes = Axes(
        x="learning rate",
        y="validation loss, nat a token",
        log_y=False,
        ticks=tuple(rates),
        formats=("~g", "~f"),
    )
    return Frame(
        axes=axes,
        series=tuple(name_of(one.entrant.contender) for one in shown),
        x_ends=ends_of(rates, log=True),
        y_ends=ends_of(values, log=False),
    )
