"""Records of language tasks, gathered by what may share a table or a figure."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from reports.cells import Cell, Comparison, compare
from reports.columns import Column, Contender, Facts
from reports.frame import rows
from results.gap import share_of_gap
from results.language import LanguageResult, RateRun, TextOutcome
from results.record import Record
from results.statistics import Interval, Score, over_seeds

FAMILY: Final = "c4"
"""The family of language tasks, whose records belong here also where nothing was measured."""
FLOOR, CEILING = "constant", "softmax"
"""The methods between which the gap lies."""
Kind = Literal["finetuning", "pretraining", "stability"]
Of = Callable[[LanguageResult], TextOutcome | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """One method with its options, and all its seeds."""

    contender: Contender
    cell: Cell
    records: tuple[Record, ...]
    """In the order of the cell's rows."""

    @property
    def completed(self) -> list[tuple[Record, LanguageResult]]:
        """With what was measured."""
        return [
            (record, record.language)
            for record in self.records
            if record.status == "completed" and record.language is not None
        ]

    def accuracies(self, of: Of) -> list[Score]:
        """A score a seed, with a value a block."""
        found = []
        for record, language in self.completed:
            outcome, each = of(language), language.predictions_per_block
            if outcome is not None:
                blocks = tuple(right / each for right in outcome.block_hits)
                score = _score(record, outcome.accuracy, blocks)
                hits, trials = sum(outcome.block_hits), each * len(blocks)
                found.append(replace(score, successes=hits, trials=trials))
        return found

    def losses(self, of: Of) -> list[Score]:
        """The same of the loss."""
        return [
            _score(record, outcome.loss, tuple(outcome.block_losses))
            for record, language in self.completed
            if (outcome := of(language)) is not None
        ]

    @property
    def spikes(self) -> int:
        """Of all seeds together."""
        return sum(len(language.spikes) for _, language in self.completed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Everyone who was trained on one text under one protocol."""

    column: Column
    facts: Facts
    kind: Kind
    entrants: tuple[Entrant, ...]

    def gap_closed(self, entrant: Entrant) -> Interval | None:
        """The share of the gap from the floor to the ceiling, after training."""
        floor = self._control("floor", FLOOR)
        ceiling = self._control("ceiling", CEILING)
        mine = entrant.accuracies(after)
        if floor is None or ceiling is None or not mine:
            return None
        return share_of_gap(mine, floor.accuracies(after), ceiling.accuracies(after))

    def _control(self, role: str, name: str) -> Entrant | None:
        found = (
            entrant
            for entrant in self.entrants
            if entrant.contender.role == role
            and entrant.contender.method == name
            and entrant.accuracies(after)
        )
        return next(found, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Languages:
    """Everything that tables and figures of language tasks show."""

    groups: tuple[Group, ...]
    comparison: Comparison
    """The same records, for their price."""

    def of(self, *kinds: Kind) -> list[Group]:
        """The groups of these kinds, in their order."""
        return [group for kind in kinds for group in self.groups if group.kind == kind]


def before(language: LanguageResult) -> TextOutcome | None:
    """On the test split before any training."""
    return language.before


def after(language: LanguageResult) -> TextOutcome | None:
    """On the test split after training."""
    return language.after


def language_tasks(records: Iterable[Record]) -> frozenset[str]:
    """The tasks whose records are shown here, and in no table of scores."""
    return frozenset(
        record.identity.task
        for record in records
        if record.language is not None or record.identity.task.split("/")[0] == FAMILY
    )


def gather_language(records: Iterable[Record]) -> Languages:
    """Groups the records of language tasks; those of other tasks are left out."""
    records = list(records)
    tasks = language_tasks(records)
    members = [record for record in records if record.identity.task in tasks]
    flat = rows(members)
    by_trial = {row.trial: record for row, record in zip(flat, members, strict=True)}
    comparison = compare(flat)
    groups = [
        _group(comparison, column, by_trial)
        for columns in comparison.blocks()
        for column in columns
    ]
    return Languages(groups=tuple(groups), comparison=comparison)


def rate_of(record: Record) -> float | None:
    """The learning rate of the main run: the best of a search, or that of the protocol."""
    searched = record.language.runs if record.language else []
    ended = [run for run in searched if run.loss is not None and math.isfinite(run.loss)]
    if ended:
        return min(ended, key=loss_of).learning_rate
    rate = record.settings_resolved.get("learning_rate")
    return float(rate) if isinstance(rate, int | float) else None


def loss_of(run: RateRun) -> float:
    """The validation loss after a run; infinite where it diverged."""
    return math.inf if run.loss is None or not math.isfinite(run.loss) else run.loss


def mean_over_seeds(values: Sequence[float]) -> Interval:
    """Of numbers that have no blocks: the interval is that of seeds, where there are several."""
    return over_seeds([Score(seed=i, value=value) for i, value in enumerate(values)])


def _group(comparison: Comparison, column: Column, by_trial: dict[str, Record]) -> Group:
    entrants = []
    for contender in comparison.contenders:
        cell = comparison.cell(contender, column)
        if cell.rows:
            found = tuple(by_trial[row.trial] for row in cell.rows)
            entrants.append(Entrant(contender=contender, cell=cell, records=found))
    return Group(
        column=column,
        facts=comparison.columns[column],
        kind=_kind(column.task, [record for e in entrants for record in e.records]),
        entrants=tuple(sorted(entrants, key=_strength)),
    )


def _strength(entrant: Entrant) -> tuple[float, str]:
    interval = entrant.cell.interval
    known = interval is not None and math.isfinite(interval.mean)
    return -interval.mean if interval and known else math.inf, entrant.contender.label


def _kind(task: str, records: Sequence[Record]) -> Kind:
    measured = [record.language for record in records if record.language is not None]
    if task.endswith("/stability") or (
        measured and all(language.runs and language.after is None for language in measured)
    ):
        return "stability"
    pretrained = any(record.settings_resolved.get("model") for record in records)
    return "finetuning" if pretrained or "finetune" in task else "pretraining"


def _score(record: Record, value: float, blocks: tuple[float, ...]) -> Score:
    return Score(
        seed=record.identity.seed,
        value=value,
        test_set=record.data.digest if record.data else "",
        blocks=blocks,
    )
