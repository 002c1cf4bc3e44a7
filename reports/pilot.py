"""What a first experiment tells about the spread of the next: the pilot of a power analysis."""

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Final

from reports.cells import Comparison, compare
from reports.columns import Column
from reports.frame import rows
from reports.grid import plain, ranges
from results.power import Spread, deviation_bounds, spread_of_pilot
from results.record import Record
from results.statistics import Score

NO_SEEDS: Final = (
    "The pilot has one seed: how much seeds differ is not known and taken as nothing, so that all"
    " of this is a lower bound."
)
Pair = tuple[Sequence[Score], Sequence[Score]]
"""All seeds of two methods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What is known before: from numbers, or from a first experiment."""

    spread: Spread
    examples: int | None
    """In the test set; None where nobody said."""
    told: str
    """Where it comes from, in words."""
    notes: tuple[str, ...] = ()
    unit: str = "examples"
    """What is drawn independently: examples, or blocks of a text."""


def pilot_of(
    records: Iterable[Record],
    methods: Collection[str] = (),
    *,
    difference: float,
    examples: int | None = None,
    paired: bool = True,
) -> Pilot:
    """From the records of one column of a table: the mean spread over all pairs of its methods.

    `methods` leaves the others out; floors and ceilings are left out unless named. `difference` is
    what is to be seen, `examples` stands for the size of the next test set. Raises ValueError
    where records are of several columns, of fewer than two methods, or of a metric without
    examples.
    """
    comparison = compare(rows(records))
    groups = _groups(comparison, methods)
    if len(groups) != 1:
        raise ValueError(_not_one(groups))
    ((column, scored),) = groups.items()
    spread, note = _mean(list(itertools.combinations(scored.values(), 2)), paired=paired)
    first = next(iter(scored.values()))[0]
    size = len(first.blocks) or first.trials
    unit = "blocks" if first.blocks else "examples"
    seeds = sorted({score.seed for group in scored.values() for score in group})
    told = f"pilot: {column.task}, preset {column.preset}, {column.source}, {column.dtype} on"
    told += f" {column.device}; {', '.join(scored)}; {size} {unit}; seeds {ranges(seeds)}"
    return Pilot(
        spread=spread if first.blocks else spread.with_gap(difference),
        examples=size if examples is None else examples,
        told=plain(told),
        notes=(note,),
        unit=unit,
    )


def _groups(
    comparison: Comparison, methods: Collection[str]
) -> dict[Column, dict[str, list[Score]]]:
    """The scores of each column that has two methods or more."""
    asked = [
        c for c in comparison.contenders if (c.method in methods if methods else c.role == "method")
    ]
    found = {
        column: {c.label: scores for c in asked if (scores := comparison.cell(c, column).scores)}
        for column in comparison.columns
    }
    return {column: scored for column, scored in found.items() if len(scored) > 1}


def _not_one(groups: Collection[Column]) -> str:
    if not groups:
        return "a pilot takes completed records of two methods or more on one task."
    tasks = sorted({column.task for column in groups})
    if len(tasks) > 1:
        return f"a pilot is one task; these records are of {', '.join(tasks)}. Name one."
    differing = [
        f"{field.name} ({', '.join(sorted(values))})"
        for field in fields(Column)
        if len(values := {str(getattr(column, field.name))[:40] for column in groups}) > 1
    ]
    return (
        "the records of a pilot stand in one column of the table; these differ in"
        f" {', '.join(differing)}. Choose with --preset, or give a folder with those alone."
    )


def _mean(pairs: Sequence[Pair], *, paired: bool) -> tuple[Spread, str]:
    """The mean over pairs, and what is known of seeds.

    A pair that cannot be paired is judged as the weaker test does, and so are all with it. Only
    pairs of several seeds say how much these differ.
    """
    spreads = [spread_of_pilot(a, b, paired=paired) for a, b in pairs]
    if paired and not all(each.paired for each in spreads):
        return _mean(pairs, paired=False)
    seeds = [_num_seeds(a, b, paired=paired) for a, b in pairs]
    known = [each.seeds for each, found in zip(spreads, seeds, strict=True) if found > 1]
    spread = Spread(
        seeds=sum(known) / len(known) if known else 0.0,
        examples=sum(each.examples for each in spreads) / len(spreads),
        rest=sum(each.rest for each in spreads) / len(spreads),
        paired=paired,
    )
    return spread, _seed_note(seeds)


def _num_seeds(a: Sequence[Score], b: Sequence[Score], *, paired: bool) -> int:
    """Those that tell how much seeds differ: that both have, or that either has."""
    mine, theirs = ({score.seed for score in group} for group in (a, b))
    return len(mine & theirs) if paired else max(len(mine), len(theirs))


def _seed_note(seeds: Sequence[int]) -> str:
    """From the seeds of each pair."""
    several = [found for found in seeds if found > 1]
    if not several:
        return NO_SEEDS
    fewest = min(several)
    low, high = deviation_bounds(fewest)
    note = (
        f"{fewest} seeds tell their standard deviation roughly: the true one is {low:.2g} to"
        f" {high:.2g} times as large (95 %, normal), and the seeds needed go with its square."
    )
    if len(several) < len(seeds):
        note += (
            f" How much seeds differ is taken from {len(several)} of {len(seeds)} pairs of methods:"
            " the others tell of one seed alone."
        )
    return note
