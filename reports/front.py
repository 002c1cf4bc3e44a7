"""The Pareto front of score against speed: what no other choice beats in both."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from reports.cells import Comparison
from reports.columns import Column, Contender
from reports.costs import PRICES, by_machine, price_of
from reports.frame import Row
from results.statistics import Interval

_PRICES: Final = {price.quantity: price for price in PRICES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What one contender offers in one column on one machine."""

    contender: Contender
    score: Interval
    """Over all seeds."""
    tokens_per_second: float
    """In training, the median."""
    peak_memory_bytes: float | None
    higher_is_better: bool
    on_front: bool = False

    def beats(self, other: "Offer") -> bool:
        """At least as good in score and speed, and better in one of them."""
        sign = 1 if self.higher_is_better else -1
        gain = sign * (self.score.mean - other.score.mean)
        speed = self.tokens_per_second - other.tokens_per_second
        return gain >= 0 and speed >= 0 and (gain > 0 or speed > 0)


def offers(comparison: Comparison, column: Column, machine: tuple[str, int]) -> list[Offer]:
    """Everyone with a score and a speed there; controls at the floor never stand on the front.

    Judged by means: neighbours on the front whose intervals overlap are not told apart.
    """
    facts = comparison.columns[column]
    found = []
    for contender in comparison.contenders:
        cell = comparison.cell(contender, column)
        rows = by_machine(cell.rows).get(machine, [])
        speed = price_of(_PRICES["tokens_per_second"], rows)
        if cell.interval is None or speed is None:
            continue
        found.append(
            Offer(
                contender=contender,
                score=cell.interval,
                tokens_per_second=speed,
                peak_memory_bytes=price_of(_PRICES["peak_memory_bytes"], rows),
                higher_is_better=facts.higher_is_better,
            )
        )
    return judged(found)


def judged(found: Iterable[Offer]) -> list[Offer]:
    """The same, those on the front marked."""
    found = list(found)
    rivals = [offer for offer in found if offer.contender.role != "floor"]
    front = [offer for offer in rivals if not any(other.beats(offer) for other in rivals)]
    return [replace(offer, on_front=offer in front) for offer in found]


def machines(comparison: Comparison, columns: Iterable[Column]) -> list[tuple[str, int]]:
    """Machine and threads of everything that completed in these columns."""
    rows: list[Row] = [
        row
        for contender in comparison.contenders
        for column in columns
        for row in comparison.cell(contender, column).completed
    ]
    return sorted(by_machine(rows))
