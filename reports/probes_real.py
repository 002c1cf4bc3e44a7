"""The tables of `probes/real-qk`: features that each method needs, in all and by layer."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from reports.columns import Contender
from reports.grid import Entry, Grid, Section
from reports.numbers import digits, percent
from reports.probes import Group, Reading
from reports.probes_entries import NOTHING, Reasons, endless, group_notes, label_entry, title_of
from reports.probes_places import text_of

NEEDED: Final = "features-needed"
MOST_LAYERS: Final = 12
"""Columns of one table: of more layers, some are shown."""


class Middle(NamedTuple):
    """What heads need, those that are never satisfied counted as needing the most."""

    value: float
    """Infinite where half of them or more need more than was tried."""
    reached: int
    heads: int
    beyond: str
    """`more than 1024 features`, or empty."""


class Asked(NamedTuple):
    """What the same question was asked about."""

    model: str
    against: str
    target: str


def middle_of(readings: Sequence[Reading]) -> Middle:
    """The median over heads, between the two in the middle where their number is even."""
    values = sorted(math.inf if r.value is None else r.value for r in readings)
    pair = values[(len(values) - 1) // 2], values[len(values) // 2]
    beyond = next((words for r in readings if (words := endless(r.reason))), "")
    reached = sum(math.isfinite(value) for value in values)
    return Middle((pair[0] + pair[1]) / 2, reached, len(values), beyond)


def needed_grids(group: Group) -> list[Grid]:
    """For each model: all heads together, then the median of each layer."""
    asked: dict[Asked, dict[Contender, list[Reading]]] = defaultdict(lambda: defaultdict(list))
    for reading in group.of(NEEDED):
        asked[_asked(reading)][reading.contender].append(reading)
    models = dict.fromkeys(each.model for each in asked)
    grids = []
    for model in models:
        mine = {each: found for each, found in asked.items() if each.model == model}
        grids += [_whole(group, model, mine), _layers(group, model, mine)]
    return grids


def _asked(reading: Reading) -> Asked:
    where = reading.where
    return Asked(*(text_of(where.get(name)) for name in Asked._fields))


def _title(asked: Asked) -> str:
    target = f" for an error of {percent(float(asked.target))} %" if asked.target else ""
    return f"against {asked.against}{target}"


def _whole(
    group: Group, model: str, asked: Mapping[Asked, Mapping[Contender, list[Reading]]]
) -> Grid:
    """One row a method: the median over all heads, and how many heads come within the target."""
    reasons = Reasons()
    sections = []
    for each, found in asked.items():
        middles = {contender: middle_of(readings) for contender, readings in found.items()}
        least = min(middle.value for middle in middles.values())
        ordered = sorted(middles, key=lambda one: (middles[one].value, -_share(middles[one])))
        rows = tuple(_row(one, middles[one], least) for one in ordered)
        sections.append(Section(title=_title(each), rows=rows))
    reasons.notes.general.append(
        "Median over heads of the number of features from which the relative error of a head's"
        " output stays within the target; >: more than were tried. Times: of the fewest."
    )
    group_notes(group, reasons.notes)
    return Grid(
        title=title_of(group, f"features needed on {model}"),
        header=(("method",), ("features",), ("times",), ("heads within", "the target")),
        sections=tuple(sections),
        notes=reasons.notes.all(),
    )


def _share(middle: Middle) -> float:
    return middle.reached / middle.heads


def _row(contender: Contender, middle: Middle, least: float) -> tuple[Entry, ...]:
    known = math.isfinite(middle.value)
    return (
        label_entry(contender.label),
        _median(middle, best=known and middle.value == least),
        Entry(text=digits(middle.value / least)) if known else NOTHING,
        Entry(text=f"{middle.reached} of {middle.heads}"),
    )


def _median(middle: Middle, *, best: bool = False) -> Entry:
    if math.isfinite(middle.value):
        return Entry(text=digits(middle.value), emphasis="best" if best else "")
    short = middle.beyond.replace("more than", ">").removesuffix(" features") or "-"
    return Entry(text=short, emphasis="faint")


def _layers(
    group: Group, model: str, asked: Mapping[Asked, Mapping[Contender, list[Reading]]]
) -> Grid:
    """One row a method, one column a layer."""
    reasons = Reasons()
    everything = [r for found in asked.values() for readings in found.values() for r in readings]
    layers = sorted({int(reading.where.get("layer", 0)) for reading in everything})
    shown = layers
    while len(shown) > MOST_LAYERS:
        shown = sorted({*shown[::2], layers[-1]})
    if len(shown) < len(layers):
        reasons.notes.general.append(
            f"Shown: {len(shown)} of {len(layers)} layers; csv and json have all."
        )
    sections = tuple(
        Section(
            title=_title(each),
            rows=tuple(
                (label_entry(contender.label), *(_median(m) if m else NOTHING for m in middles))
                for contender, readings in found.items()
                for middles in [_by_layer(readings, shown)]
            ),
        )
        for each, found in asked.items()
    )
    return Grid(
        title=title_of(group, f"features needed on {model}, median over the heads of a layer"),
        header=(("method / layer",), *((str(layer),) for layer in shown)),
        sections=sections,
        notes=reasons.notes.all(),
    )


def _by_layer(readings: Sequence[Reading], layers: Iterable[int]) -> list[Middle | None]:
    found: dict[int, list[Reading]] = defaultdict(list)
    for reading in readings:
        found[int(reading.where.get("layer", 0))].append(reading)
    return [middle_of(found[layer]) if found[layer] else None for layer in layers]
