"""The parts that tables of language tasks come in, as grids and as rows for machines."""

from collections.abc import Iterator
from typing import Final, Literal, get_args

from reports.costs import PRICES, cost_grids
from reports.grid import Grid
from reports.language import Languages
from reports.language_recovery import recovery_grids
from reports.language_stability import stability_grids
from reports.language_tables import training_grids
from reports.language_tidy import (
    language_price_values,
    recovery_values,
    stability_values,
    training_values,
)
from reports.tidy import Tidy

LanguagePart = Literal["finetuning", "pretraining", "recovery", "stability"]
"""Of what language tasks measured."""
LANGUAGE_PARTS: Final[tuple[LanguagePart, ...]] = get_args(LanguagePart)
# Tokens a second stand beside the accuracies.
_PRICES: Final = tuple(price for price in PRICES if price.quantity != "tokens_per_second")


def language_grids(
    languages: Languages, part: LanguagePart | None = None, *, cost: bool = True
) -> list[Grid]:
    """The tables of one part, or of all with their price."""
    if part == "finetuning" or part == "pretraining":
        return training_grids(languages, part, cost=cost)
    if part == "recovery":
        return recovery_grids(languages)
    if part == "stability":
        return stability_grids(languages)
    found = [grid for each in LANGUAGE_PARTS for grid in language_grids(languages, each, cost=cost)]
    return found + (cost_grids(languages.comparison, _PRICES) if cost else [])


def language_values(
    languages: Languages, part: LanguagePart | None = None, *, cost: bool = True
) -> Iterator[Tidy]:
    """The same numbers, and more, one a row."""
    for each in LANGUAGE_PARTS if part is None else (part,):
        if each == "recovery":
            yield from recovery_values(languages)
            continue
        stable = each == "stability"
        yield from stability_values(languages) if stable else training_values(languages, each)
        if cost:
            yield from language_price_values(languages, each)
