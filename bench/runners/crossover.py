"""From which length on a method beats its reference, and where to measure next: pure."""

import math
from collections.abc import Sequence
from typing import Literal

from results.curve import CostCell, Crossover, Mode, Quantity
from results.medians import ratio

Verdict = Literal["better", "worse", "undecided"]

CLOSE = 1.12
"""Ends of the interval whose ratio is at most this are close enough."""
MULTIPLE = 16
"""Lengths in between are rounded to this, as kernels like it."""
SAME_BYTES = 0.01
"""Two weights that differ by less than this share are the same."""


def judge(cell: CostCell, quantity: Quantity) -> Verdict | None:
    """Which is better at this length; None where one of the two was not measured.

    Latency by the median of the ratios pair by pair, with its interval of 95 %.
    """
    if quantity == "latency":
        if not cell.seconds or not cell.reference_seconds:
            return None
        both = min(len(cell.seconds), len(cell.reference_seconds))
        found = ratio(cell.seconds[:both], cell.reference_seconds[:both])
        if not found.known or found.low <= 1 <= found.high:
            return "undecided"
        return "better" if found.mean < 1 else "worse"
    mine, other = _bytes(cell)
    if mine is None or other is None:
        return None
    if abs(mine - other) <= SAME_BYTES * max(mine, other):
        return "undecided"
    return "better" if mine < other else "worse"


def _bytes(cell: CostCell) -> tuple[int | None, int | None]:
    """The method's memory and the reference's by the same scales; when decoding, what is kept from
    token to token is part of it."""
    if cell.mode == "decode":
        return (
            _sum(cell.state_bytes, cell.allocated_bytes),
            _sum(cell.reference_state_bytes, cell.reference_allocated_bytes),
        )
    return cell.allocated_bytes, cell.reference_allocated_bytes


def _sum(state: int | None, call: int | None) -> int | None:
    return None if state is None or call is None else state + call


def find_crossover(
    cells: Sequence[CostCell], mode: Mode, causal: bool, quantity: Quantity
) -> Crossover | None:
    """What the cells measured so far tell; None where nothing was compared."""
    column = [c for c in cells if c.mode == mode and c.causal == causal]
    judged = {c.length: v for c in column if (v := judge(c, quantity)) is not None}
    if not judged:
        return None
    lengths = sorted(judged)
    above = None
    for length in reversed(lengths):
        if judged[length] != "better":
            break
        above = length
    below = max((n for n in lengths if judged[n] == "worse"), default=None)
    verdict: Literal["crosses", "always", "never"] = "crosses"
    if above is None:
        verdict = "never"
    elif above == lengths[0]:
        verdict = "always"
    return Crossover(
        quantity=quantity,
        mode=mode,
        causal=causal,
        below=below,
        above=above,
        verdict=verdict,
        shortest=lengths[0],
        longest=lengths[-1],
        undecided=[n for n in lengths if judged[n] == "undecided"],
    )


def next_length(crossover: Crossover) -> int | None:
    """The geometric middle of an interval that is still wide; None where it is to be left so.

    Where a length between its ends is undecided, the samples do not tell, and more lengths would
    not either.
    """
    below, above = crossover.below, crossover.above
    if below is None or above is None or above <= below * CLOSE:
        return None
    if any(below < n < above for n in crossover.undecided):
        return None
    middle = round(math.sqrt(below * above) / MULTIPLE) * MULTIPLE
    if not below < middle < above:
        middle = round(math.sqrt(below * above))
    return middle if below < middle < above else None
