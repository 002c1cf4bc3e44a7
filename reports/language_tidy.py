"""Language tasks for machines: one row a number, in base units, and a row for every gap."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from reports.language import (
    Entrant,
    Group,
    Kind,
    Languages,
    after,
    before,
    rate_of,
)
from reports.language_recovery import points_of
from reports.language_stability import stability_of
from reports.language_tables import mean_loss
from reports.tidy import Tidy, majority_value, of_column, price_values, score_value
from reports.tokens import tokens_trained
from results.record import Record
from results.statistics import Interval, over_seeds


def training_values(languages: Languages, kind: Kind) -> Iterator[Tidy]:
    """Models of this kind before and after training."""
    for group in languages.of(kind):
        for entrant in group.entrants:
            yield score_value(group.column, group.facts, entrant.contender, entrant.cell)
            yield from _beside(group, entrant)
        if group.facts.majority is not None:
            yield majority_value(group.column, group.facts, group.facts.majority)


def recovery_values(languages: Languages) -> Iterator[Tidy]:
    """Validation along the way, at each number of tokens."""
    for group in languages.of("finetuning", "pretraining"):
        for entrant in group.entrants:
            for point in points_of(entrant):
                for name, unit, interval in (
                    ("validation-accuracy", "fraction", point.accuracy),
                    ("validation-loss", "nat/token", point.loss),
                ):
                    found = _number(group, entrant, name, unit, interval)
                    seeds = " ".join(map(str, point.seeds))
                    where = _where(step=point.step, tokens=point.tokens)
                    yield replace(found, where=where, seeds=seeds)


def stability_values(languages: Languages) -> Iterator[Tidy]:
    """At each learning rate, then over all of them."""
    for group in languages.of("stability"):
        for entrant in group.entrants:
            found = stability_of(entrant)
            if not found.rates:
                yield _ended(_row(group, entrant, "final-loss", "nat/token"), entrant)
            for rate, at in found.rates.items():
                loss = _number(group, entrant, "final-loss", "nat/token", at.loss)
                status = "diverged" if at.loss is None else "completed"
                where = _where(learning_rate=rate)
                yield replace(loss, where=where, samples=len(at.runs), status=status)
                for name, count in (("spikes", at.spikes), ("divergences", at.diverged)):
                    told = replace(_row(group, entrant, name, "1"), value=float(count))
                    yield replace(told, where=where, samples=len(at.runs))
            if found.rates:
                yield from _over_rates(group, entrant)


def _over_rates(group: Group, entrant: Entrant) -> Iterator[Tidy]:
    found = stability_of(entrant)
    values = {
        "best-learning-rate": found.best.rate if found.best else None,
        "share-close-to-best": (found.close or 0) / len(found.rates),
        "total-spikes": float(found.spikes),
        "total-divergences": float(found.diverged),
    }
    for name, value in values.items():
        row = replace(_row(group, entrant, name, "1"), value=value, samples=found.num_runs)
        yield row if value is not None else replace(row, status="diverged")


def language_price_values(languages: Languages, *kinds: Kind) -> Iterator[Tidy]:
    """What all of these cost."""
    for group in languages.of(*kinds):
        for entrant in group.entrants:
            yield from price_values(group.column, group.facts, entrant.contender, entrant.cell)


def _beside(group: Group, entrant: Entrant) -> Iterator[Tidy]:
    """What stands beside the score, where something was measured."""
    if not entrant.completed:
        return
    first, loss = entrant.accuracies(before), mean_loss(entrant)
    untrained = over_seeds(first) if first else None
    yield _number(group, entrant, "accuracy-untrained", "fraction", untrained)
    yield _number(group, entrant, "loss", "nat/token", loss)
    last = entrant.accuracies(after)
    if loss is not None and loss.mean < 700:
        ends = (math.exp(end) if end < 700 else math.inf for end in (loss.low, loss.high))
        low, high = ends
        grown = Interval(mean=math.exp(loss.mean), low=low, high=high, known=loss.known)
        yield _number(group, entrant, "perplexity", "1", grown)
    if last:
        yield _number(group, entrant, "gap-closed", "fraction", group.gap_closed(entrant))
    counts: dict[str, Callable[[Record], float | None]] = {
        "tokens-trained": tokens_trained,
        "learning-rate": rate_of,
        "trained-parameters": lambda r: r.language.trained_parameters if r.language else None,
        "method-parameters": lambda r: r.language.method_parameters if r.language else None,
    }
    for name, of in counts.items():
        values = [value for r, _ in entrant.completed if (value := of(r)) is not None]
        if values:
            yield replace(_row(group, entrant, name, "1"), value=float(max(values)))
    yield replace(_row(group, entrant, "spikes", "1"), value=float(entrant.spikes))


def _number(
    group: Group, entrant: Entrant, quantity: str, unit: str, interval: Interval | None
) -> Tidy:
    row = _row(group, entrant, quantity, unit)
    if interval is None:
        return replace(row, status="not known")
    row = replace(row, value=interval.mean)
    return replace(row, low=interval.low, high=interval.high) if interval.known else row


def _row(group: Group, entrant: Entrant, quantity: str, unit: str) -> Tidy:
    return of_column(
        group.column,
        group.facts,
        method=entrant.contender.method,
        options=entrant.contender.options,
        role=entrant.contender.role,
        quantity=quantity,
        unit=unit,
        value=None,
        seeds=" ".join(str(record.identity.seed) for record, _ in entrant.completed),
        status="completed",
    )


def _ended(row: Tidy, entrant: Entrant) -> Tidy:
    """How the seeds ended that measured nothing."""
    rows = entrant.cell.rows
    return replace(
        row,
        status=", ".join(dict.fromkeys(row.status for row in rows)),
        reason="; ".join(dict.fromkeys(row.reason for row in rows)),
    )


def _where(**coordinates: Any) -> str:
    return json.dumps(coordinates, sort_keys=True, separators=(",", ":"))
