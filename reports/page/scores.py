"""Tables of one task each: scores beside what they cost, the cost apart for each machine."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from reports.accuracy import SECTIONS, column_note, labels, number
from reports.cells import Cell, Comparison
from reports.code_notes import code_notes
from reports.columns import Column, Contender
from reports.costs import PRICES, by_machine, price_of
from reports.front import machines
from reports.grid import NOT_RUN, plain
from reports.page.anchors import Anchors
from reports.page.fairness import ledger_view
from reports.page.views import Body, Line, Spot, View
from reports.probes_entries import options_text


def columns_of(comparisons: Iterable[Comparison]) -> list[tuple[str, Comparison, Column]]:
    """Every column with the name of its table."""
    found = [(each, column) for each in comparisons for block in each.blocks() for column in block]
    return [(f"scores-{i + 1}", comparison, c) for i, (comparison, c) in enumerate(found)]


def score_views(comparisons: Iterable[Comparison], anchors: Anchors) -> Iterator[View]:
    """One for each task, preset, source, device and number format, and its ledger after it."""
    for name, comparison, column in columns_of(comparisons):
        yield _view(comparison, column, name, anchors)
        yield from ledger_view(comparison, column, f"ledger-of-{name}", anchors)


def where(column: Column) -> str:
    """`lra/listops, preset small, float32, cpu`, and what else tells it from its namesakes."""
    words = [column.task, f"preset {column.preset}", column.dtype, column.device]
    words += ["compiled"] if column.compile else []
    words += [column.source.split(":")[0]]
    words += [f"changed {options_text(column.settings)}"] if column.settings != "{}" else []
    return plain(", ".join(words))


def _view(comparison: Comparison, column: Column, name: str, anchors: Anchors) -> View:
    facts = comparison.columns[column]
    places = machines(comparison, [column])
    unit = "%" if facts.unit in ("fraction", "") else facts.unit
    header = ["method", f"{facts.metric or 'score'} in {unit}"]
    header += [" ".join(price.head) for _ in places for price in PRICES]
    bodies = [
        Body(title=title, lines=tuple(_lines(comparison, column, role, places, anchors)))
        for role, title in SECTIONS
    ]
    trials = [row.trial for c in comparison.contenders for row in comparison.cell(c, column).rows]
    beware = [
        f"Beware: the rows differ in {what}: {', '.join(values)}."
        for what, values in facts.differing.items()
    ]
    cells = {each.label: comparison.cell(each, column) for each in comparison.contenders}
    beware += [plain(f"Beware: {text}") for text in code_notes(cells)]
    notes = [
        plain(column_note(column, facts)),
        "Times are medians over steps and seeds, sizes the greatest; each machine has columns of"
        " its own.",
        *beware,
    ]
    return View(
        name=name,
        title=where(column) + " (stand-in data)" * facts.stand_in,
        header=tuple(header),
        above=(("", 2), *((f"{n}, {t} thread{'s' * (t != 1)}", len(PRICES)) for n, t in places)),
        bodies=tuple(body for body in bodies if body.lines),
        notes=tuple(("", note) for note in notes),
        keys=anchors.keys(trials),
    )


def _lines(
    comparison: Comparison,
    column: Column,
    role: str,
    places: Sequence[tuple[str, int]],
    anchors: Anchors,
) -> Iterator[Line]:
    for contender in comparison.contenders:
        cell = comparison.cell(contender, column)
        if contender.role != role or not cell.rows:
            continue
        trials = [row.trial for row in cell.rows]
        link = anchors.link(trials)
        spots = [_label(contender), _score(cell, comparison.columns[column].unit, link)]
        for place in places:
            mine = by_machine(cell.rows).get(place, [])
            for price in PRICES:
                value = price_of(price, mine)
                spot = Spot(text="-", emphasis="faint")
                if value is not None:
                    spot = Spot(text=price.show(value), value=value, link=link)
                spots.append(spot)
        yield Line(spots=tuple(spots), keys=anchors.keys(trials))


def _label(contender: Contender) -> Spot:
    entry = labels(contender)
    return Spot(text=entry.text, remark=entry.remark)


def _score(cell: Cell, unit: str, link: str) -> Spot:
    if cell.interval is None:
        text = cell.failed[0].status if cell.failed else NOT_RUN
        return Spot(text=text, emphasis="faint", link=link)
    remarks = ["at floor"] if cell.at_floor else []
    if cell.failed:
        remarks.append(f"{len(cell.completed)} of {len(cell.rows)} seeds")
    elif len(cell.rows) > 1:
        remarks.append(f"{len(cell.rows)} seeds")
    spot = Spot(
        text=number(cell.interval, unit),
        value=cell.interval.mean,
        link=link,
        emphasis="best" if cell.best else "tied" if cell.tied else "",
    )
    return replace(spot, remark=", ".join(remarks))
