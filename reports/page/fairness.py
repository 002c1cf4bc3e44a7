"""Beside every accuracy, what each method had at its disposal to reach it."""

from collections.abc import Iterator

from reports.cells import Comparison
from reports.columns import Column
from reports.ledger import ITEMS, REFERENCE, TOLERANCE, Held, ledger_of
from reports.page.anchors import Anchors
from reports.page.views import Body, Line, Spot, View


def ledger_view(
    comparison: Comparison, column: Column, name: str, anchors: Anchors
) -> Iterator[View]:
    """One table, where anyone completed."""
    lines = []
    everyone: list[str] = []
    for who, ledger in ledger_of(comparison, column).items():
        trials = [row.trial for row in comparison.cell(who, column).completed]
        everyone += trials
        spots = (Spot(text=who.label), *(_spot(held, anchors.link(trials)) for held in ledger))
        lines.append(Line(spots=spots, keys=anchors.keys(trials)))
    if not lines:
        return
    yield View(
        name=name,
        title=f"What each of them had: {column.task}, preset {column.preset}",
        header=("method", *(" ".join(item.head) for item in ITEMS)),
        bodies=(Body(title="", lines=tuple(lines)),),
        notes=(
            (
                "",
                f"Below a number: how far it lies from {REFERENCE}'s, where that is more than"
                f" {100 * TOLERANCE:.0f} %. The greatest over seeds. -: has none, or not recorded.",
            ),
        ),
        keys=anchors.keys(everyone),
    )


def _spot(held: Held, link: str) -> Spot:
    if held.value is None:
        return Spot(text="-", emphasis="faint")
    text = held.item.show(held.value)
    return Spot(text=text, value=held.value, link=link, remark=held.remark)
