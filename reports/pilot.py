"""What a first experiment tells about the spread of the next: the pilot of a power analysis."""

import itertools
from collections.abc import Collection, Iterable
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
    spreads = [
        spread_of_pilot(a, b, paired=paired) for a, b in itertools.combinations(scored.values(), 2)
    ]
    first = next(iter(scored.values()))[0]
    size = len(first.blocks) or first.trials
    unit = "blocks" if first.blocks else "examples"
    seeds = sorted({score.seed for group in scored.values() for score in group})
    told = f"pilot: {column.task}, preset {column.preset}, {column.source}, {column.dtype} on"
    told += f" {column.device}; {', '.join(scored)}; {size} {unit}; seeds {ranges(seeds)}"
    spread = _mean(spreads)
    return Pilot(
        spread=spread if first.blocks else spread.with_gap(difference),
        examples=size if examples is None else examples,
        told=plain(told),
        notes=(_seed_note(min(len(group) for group in scored.values())),),
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


def _mean(spreads: list[Spread]) -> Spread:
    """Pairs that cannot be paired are judged as the weaker test does, and so are all with them."""
    n = len(spreads)
    return Spread(
        seeds=sum(each.seeds for each in spreads) / n,
        examples=sum(each.examples for each in spreads) / n,
        rest=sum(each.rest for each in spreads) / n,
        paired=all(each.paired for each in spreads),
    )


def _seed_note(seeds: int) -> str:
    if seeds < 2:
        return NO_SEEDS
    low, high = deviation_bounds(seeds)
    return (
        f"{seeds} seeds tell their standard deviation roughly: the true one is {low:.2g} to"
        f" {high:.2g} times as large (95 %, normal), and the seeds needed go with its square."
    )
