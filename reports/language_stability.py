"""The table of stability: one training run a learning rate, its loss, spikes and divergence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reports.accuracy import failures
from reports.grid import NOT_RUN, Entry, Grid, Notes, Section
from reports.language import Entrant, Group, Languages, loss_of, mean_over_seeds
from reports.language_notes import (
    card_notes,
    common_notes,
    exact_notes,
    rate_text,
    row_label,
    text_note,
    usual_seeds,
)
from reports.language_tables import NOTHING, title_of
from results.language import RateRun
from results.statistics import Interval

CLOSE = 0.1
"""Nat a token: a rate this near to a method's own best is one that it trains with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRate:
    """All seeds of one method at one learning rate."""

    rate: float
    runs: tuple[RateRun, ...]

    @property
    def diverged(self) -> int:
        """Seeds that ended in no number."""
        return sum(math.isinf(loss_of(run)) for run in self.runs)

    @property
    def spikes(self) -> int:
        """Of all seeds."""
        return sum(len(run.spikes) for run in self.runs)

    @property
    def loss(self) -> Interval | None:
        """On validation data after the last step; None where any seed diverged."""
        if self.diverged or not self.runs:
            return None
        return mean_over_seeds([loss_of(run) for run in self.runs])


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """One method over all its learning rates."""

    entrant: Entrant
    rates: Mapping[float, AtRate] = field(default_factory=dict)

    @property
    def best(self) -> AtRate | None:
        """The rate with the least loss, of those at which no seed diverged."""
        sound = [at for at in self.rates.values() if at.loss is not None]
        return min(sound, key=lambda at: at.loss.mean, default=None)  # type: ignore[union-attr]

    @property
    def close(self) -> int | None:
        """How many rates end within `CLOSE` of the best; one at which a seed diverged does not."""
        best = self.best
        if best is None or best.loss is None:
            return 0 if self.rates else None
        bound = best.loss.mean + CLOSE
        losses = [at.loss for at in self.rates.values() if at.loss is not None]
        return sum(loss.mean <= bound for loss in losses)

    @property
    def spikes(self) -> int:
        """Over all rates and seeds."""
        return sum(at.spikes for at in self.rates.values())

    @property
    def diverged(self) -> int:
        """Runs that did, over all rates and seeds."""
        return sum(at.diverged for at in self.rates.values())

    @property
    def num_runs(self) -> int:
        """Over all rates and seeds."""
        return sum(len(at.runs) for at in self.rates.values())


def stability_of(entrant: Entrant) -> Stability:
    """Its runs by rate, ascending."""
    found: dict[float, list[RateRun]] = {}
    # A trial all of whose rates diverged tells the most about stability.
    for record in entrant.records:
        for run in record.language.runs if record.language else ():
            found.setdefault(run.learning_rate, []).append(run)
    rates = {rate: AtRate(rate=rate, runs=tuple(runs)) for rate, runs in sorted(found.items())}
    return Stability(entrant=entrant, rates=rates)


def stabilities(group: Group) -> list[Stability]:
    """Of every method, the least loss at the own best rate first."""

    def order(one: Stability) -> tuple[float, str]:
        loss = one.best.loss if one.best else None
        return loss.mean if loss else math.inf, one.entrant.contender.label

    return sorted(map(stability_of, group.entrants), key=order)


def stability_grids(languages: Languages) -> list[Grid]:
    """One grid for each text and protocol."""
    return [_grid(group) for group in languages.of("stability")]


def _grid(group: Group) -> Grid:
    notes, usual = Notes(), usual_seeds(group)
    letter = notes.letter(text_note(group))
    found = stabilities(group)
    rates = sorted({rate for one in found for rate in one.rates})
    rows = [_row(one, rates, usual, notes) for one in found]
    heads = [(rate_text(rate),) for rate in rates]
    ends = [("best", "rate"), ("close", "to best"), ("loss", "spikes"), ("diverged",)]
    _explain(group, found, notes)
    return Grid(
        title=title_of(group, "runs at several learning rates"),
        header=((f"method by rate [{letter}]",), *heads, *ends),
        sections=(Section(title="validation loss at the end, nat a token", rows=tuple(rows)),),
        notes=notes.all(),
    )


def _row(
    one: Stability, rates: Sequence[float], usual: tuple[int, ...], notes: Notes
) -> tuple[Entry, ...]:
    entrant = one.entrant
    refs = tuple(notes.number(text) for text in failures(entrant.cell))
    label = row_label(entrant, usual, refs=refs)
    if not one.rates:
        status = entrant.cell.failed[0].status if entrant.cell.failed else NOT_RUN
        failed = Entry(text=status, emphasis="faint")
        return (label, *[failed] * len(rates), *[NOTHING] * 4)
    return (
        label,
        *(_entry(one.rates.get(rate)) for rate in rates),
        Entry(text=rate_text(one.best.rate)) if one.best else NOTHING,
        Entry(text=f"{one.close} of {len(one.rates)}"),
        Entry(text=str(one.spikes)),
        Entry(text=f"{one.diverged} of {one.num_runs}"),
    )


def _entry(at: AtRate | None) -> Entry:
    if at is None:
        return Entry(text=NOT_RUN, emphasis="faint")
    remark = f"{at.spikes} spike{'s' * (at.spikes > 1)}" if at.spikes else ""
    if at.loss is None:
        some = f" {at.diverged} of {len(at.runs)}" if at.diverged < len(at.runs) else ""
        return Entry(text=f"diverged{some}", emphasis="faint", remark=remark)
    reach = f" ±{at.loss.half_width:.3f}" if at.loss.known else ""
    return Entry(text=f"{at.loss.mean:.3f}{reach}", remark=remark)


def _explain(group: Group, found: Sequence[Stability], notes: Notes) -> None:
    common_notes(group, notes)
    notes.general.append(
        f"Close to best: rates of the grid that end within {CLOSE} nat of the method's own best"
        " (a rate at which a seed diverged does not). Spikes and divergences are those of all rates"
        " and seeds together."
    )
    if any(at.loss and at.loss.known for one in found for at in one.rates.values()):
        notes.general.append("±: the longer side of the 95 % interval, Student's t over seeds.")
    notes.general += [*card_notes(group.entrants), *exact_notes(group.entrants)]
