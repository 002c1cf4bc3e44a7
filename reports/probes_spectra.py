"""How far real queries and keys are from round and from zero, over all heads of each model."""

import statistics
from collections.abc import Sequence
from typing import Final

from reports.grid import Entry, Grid, Notes, Section
from reports.numbers import digits, percent
from reports.probes import Group, Reading
from reports.probes_entries import NOTHING, label_entry, title_of
from reports.probes_places import text_of
from results.probe import Coordinate

BOTH, QUERIES, KEYS = "both", "queries", "keys"
LARGEST, PAST = "largest-eigenvalue", "heads-past-pole"
Place = dict[str, Coordinate]
ROWS: Final[tuple[tuple[str, str, Place], ...]] = (
    ("largest eigenvalue", LARGEST, {"of": BOTH, "centred": False}),
    ("largest eigenvalue about the mean", LARGEST, {"of": BOTH, "centred": True}),
    ("condition number about the mean", "condition", {"of": BOTH}),
    ("effective rank of queries about their mean", "effective-rank", {"of": QUERIES}),
    ("effective rank of keys about their mean", "effective-rank", {"of": KEYS}),
    ("share of the mean in queries' squared length", "mean-share", {"of": QUERIES}),
    ("share of the mean in keys' squared length", "mean-share", {"of": KEYS}),
)
SHARES: Final[tuple[tuple[str, Place], ...]] = (
    ("heads past 1/6", {"pole": "1/6", "centred": False}),
    ("heads past 1/6 about the mean", {"pole": "1/6", "centred": True}),
    ("heads past 1/2", {"pole": "1/2", "centred": False}),
    ("heads past 1/2 about the mean", {"pole": "1/2", "centred": True}),
)
SPECTRA: Final = (PAST, *dict.fromkeys(quantity for _, quantity, _ in ROWS))
"""Every quantity in the table."""


def spectra_grids(group: Group) -> list[Grid]:
    """One table, a column for each model; of the data, so that one method's readings will do."""
    readings = [r for name in SPECTRA for r in group.of(name)]
    if not readings:
        return []
    mine = [r for r in readings if r.contender == readings[0].contender]
    models = list(dict.fromkeys(text_of(reading.where.get("model")) for reading in mine))
    rows = []
    for label, quantity, place in ROWS:
        entries = [_middle(_chosen(mine, quantity, place, model)) for model in models]
        rows.append((label_entry(label), *entries))
    for label, place in SHARES:
        entries = [_share(_chosen(mine, PAST, place, model)) for model in models]
        rows.append((label_entry(label), *entries))
    shown = [row for row in rows if any(entry != NOTHING for entry in row[1:])]
    notes = Notes()
    notes.general.append(
        "Of queries and keys scaled by d^(-1/4): the median over key-value heads of all layers,"
        " the least and the greatest. From 1/6 on the variance of isotropic positive features is"
        " infinite for Gaussian data, from 1/2 on that of every proposal."
    )
    section = Section(title="", rows=tuple(shown))
    header = (("of all heads",), *((model,) for model in models))
    title = title_of(group, "spectra of real queries and keys")
    return [Grid(title=title, header=header, sections=(section,), notes=notes.all())]


def _chosen(readings: Sequence[Reading], quantity: str, place: Place, model: str) -> list[Reading]:
    return [
        reading
        for reading in readings
        if reading.quantity == quantity
        and text_of(reading.where.get("model")) == model
        and all(reading.where.get(name) == value for name, value in place.items())
    ]


def _middle(readings: Sequence[Reading]) -> Entry:
    values = [reading.value for reading in readings if reading.value is not None]
    if not values:
        return NOTHING
    lost = f", {len(readings) - len(values)} lost in rounding" * (len(values) < len(readings))
    spread = f"{digits(min(values))} to {digits(max(values))}{lost}"
    return Entry(text=digits(statistics.median(values)), remark=spread)


def _share(readings: Sequence[Reading]) -> Entry:
    """Of all layers; each has as many heads as any other, and weighs as many."""
    counts = [(r.value * r.samples, r.samples) for r in readings if r.value is not None]
    heads = sum(samples for _, samples in counts)
    if not heads:
        return NOTHING
    past = round(sum(count for count, _ in counts))
    return Entry(text=f"{percent(past / heads)} %", remark=f"{past} of {heads}")
