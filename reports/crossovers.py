"""From which length on each method beats the reference, in time and in memory; and who is absent.

The intervals come from the records, where they were found by bisection.
"""

from collections.abc import Sequence
from typing import Final

from reports.curve_notes import direction, setting_title
from reports.curves import MODES, Costs, Curve, Setting
from reports.grid import Entry, Grid, Notes, Section, plain
from results.curve import Crossover, Mode, Quantity

TITLES: Final[tuple[tuple[Quantity, str], ...]] = (("latency", "in time"), ("memory", "in memory"))


def crossover_grids(costs: Costs) -> list[Grid]:
    """One grid a setting, where any of its curves has a crossover to tell of."""
    return [
        _grid(setting, curves)
        for setting, curves in costs.curves.items()
        if any(curve.crossovers for curve in curves)
    ]


def crossover_text(crossover: Crossover) -> str:
    """`from 640-704`, `always (from 256)`, `never (up to 16384)`.

    Where even the longest length is undecided, never would be too much said.
    """
    if crossover.verdict == "always":
        return f"always (from {crossover.shortest})"
    if crossover.verdict == "never":
        word = "not clear" if crossover.longest in crossover.undecided else "never"
        return f"{word} (up to {crossover.longest})"
    if crossover.below is None:
        return f"from {crossover.above} or less"
    return f"from {crossover.below}-{crossover.above}"


def absent_grids(costs: Costs) -> list[Grid]:
    """The methods without a curve, each with its status and the reason."""
    notes = Notes()
    rows = []
    for each in costs.absent:
        around = each.around
        where = (around.dtype, around.device, around.preset)
        refs = (notes.number(each.reason),)
        entries = [Entry(text=plain(text, 40)) for text in (around.task, *where)]
        label = Entry(text=plain(each.contender.label, 60))
        rows.append((label, Entry(text=each.status, refs=refs), *entries))
    if not rows:
        return []
    header = (("method",), ("why",), ("task",), ("dtype",), ("device",), ("preset",))
    section = Section(title="", rows=tuple(dict.fromkeys(rows)))
    title = "Without a cost curve"
    return [Grid(title=title, header=header, sections=(section,), notes=notes.all())]


def _grid(setting: Setting, curves: Sequence[Curve]) -> Grid:
    notes = Notes()
    telling = [curve for curve in curves if curve.crossovers]
    found = {(c.mode, c.causal) for curve in telling for c in curve.crossovers}
    columns = [(mode, causal) for mode in MODES for causal in (True, False)]
    columns = [column for column in columns if column in found]
    sections = []
    for quantity, title in TITLES:
        rows = [
            (
                Entry(text=plain(curve.contender.label, 60)),
                *(_entry(curve, quantity, *column, notes) for column in columns),
            )
            for curve in telling
            if any(each.quantity == quantity for each in curve.crossovers)
        ]
        sections.append(Section(title=title, rows=tuple(rows)))
    reference = setting.reference
    notes.general += [
        f"from a-b: at a {reference} in {setting.around.dtype} is better, at b and at every longer"
        " length measured the method is. always and never speak of the lengths measured alone.",
        "in time: by the interval of the median ratio of samples taken in turn. in memory: by what"
        " a call allocates at its peak, and when decoding by the state besides.",
    ]
    return Grid(
        title=f"From which length better than {setting.reference}: {setting_title(setting)}",
        header=(("method",), *((mode, direction(causal)) for mode, causal in columns)),
        sections=tuple(section for section in sections if section.rows),
        notes=notes.all(),
    )


def _entry(curve: Curve, quantity: Quantity, mode: Mode, causal: bool, notes: Notes) -> Entry:
    """What the records say, once each where seeds differ."""
    here = [
        each
        for each in curve.crossovers
        if (each.quantity, each.mode, each.causal) == (quantity, mode, causal)
    ]
    if not here:
        return Entry(text="-", emphasis="faint")
    doubtful = sorted({length for each in here for length in each.undecided})
    refs = (
        (notes.number(f"The samples do not tell at {', '.join(map(str, doubtful))}."),)
        if doubtful
        else ()
    )
    return Entry(text="; ".join(dict.fromkeys(map(crossover_text, here))), refs=refs)
