"""Rows gathered into cells, a method against a column, with intervals, ties and floors."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from reports.columns import (
    Column,
    Contender,
    Facts,
    by_column,
    column_order,
    contenders_of,
    facts_of,
)
from reports.frame import Row
from results.published import LRA_TASKS
from results.statistics import (
    LEVEL,
    Interval,
    Score,
    difference,
    mean_of,
    over_seeds,
    tied_with_best,
)

MAJORITY = "majority class"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """All seeds of one contender in one column."""

    rows: tuple[Row, ...] = ()
    interval: Interval | None = None
    best: bool = False
    tied: bool = False
    at_floor: bool = False

    @property
    def completed(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.status == "completed")

    @property
    def failed(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.status != "completed")

    @property
    def scores(self) -> list[Score]:
        return [score for row in self.rows if (score := row.score) is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that the tables show. A pair without a cell was not run."""

    columns: Mapping[Column, Facts]
    contenders: tuple[Contender, ...]
    cells: Mapping[tuple[str, Column], Cell] = field(default_factory=dict)

    def cell(self, contender: Contender, column: Column) -> Cell:
        return self.cells.get((contender.label, column), Cell())

    def blocks(self) -> list[list[Column]]:
        """The columns in groups that share family, preset, number format and device."""
        groups: dict[tuple[str, str, str, str, bool], list[Column]] = defaultdict(list)
        for column in self.columns:
            groups[column.block].append(column)
        return [sorted(group, key=column_order) for _, group in sorted(groups.items())]


def compare(rows: Sequence[Row]) -> Comparison:
    """Gathers rows and judges each column."""
    contenders = contenders_of(rows)
    labels = {(c.method, c.options): c for c in contenders}
    columns: dict[Column, Facts] = {}
    cells: dict[tuple[str, Column], Cell] = {}
    for column, group in by_column(rows).items():
        columns[column] = facts = facts_of(column, group)
        members: dict[str, list[Row]] = defaultdict(list)
        for row in group:
            members[labels[row.method, row.options].label].append(row)
        found = {label: _cell(tuple(members[label])) for label in members}
        ranked = {c.label for c in contenders if c.role == "method"}
        floors = {c.label for c in contenders if c.role == "floor"}
        for label, cell in judge(found, facts, ranked=ranked, floors=floors).items():
            cells[label, column] = cell
    return Comparison(columns=columns, contenders=contenders, cells=cells)


def judge(
    cells: Mapping[str, Cell], facts: Facts, *, ranked: set[str], floors: set[str]
) -> dict[str, Cell]:
    """Marks the best of those ranked, what is tied with it, and what does not clear the floor."""
    judged = dict(cells)
    scores = {name: cell.scores for name, cell in cells.items() if name in ranked and _sound(cell)}
    if len(scores) > 1:
        best, tied = tied_with_best(scores, higher_is_better=facts.higher_is_better)
        judged[best] = replace(judged[best], best=True)
        for name in tied:
            judged[name] = replace(judged[name], tied=True)
    floor = highest_floor(cells, facts, floors)
    for name, cell in judged.items():
        if floor and name not in floors and not clears(cell.interval, floor[1], facts):
            judged[name] = replace(cell, at_floor=True)
    return judged


def highest_floor(
    cells: Mapping[str, Cell], facts: Facts, floors: Iterable[str]
) -> tuple[str, float] | None:
    """The hardest floor to clear, by name: the majority class or a method that cannot attend."""
    values = {
        name: cells[name].interval.mean  # type: ignore[union-attr]
        for name in floors
        if name in cells and _sound(cells[name])
    }
    if facts.majority is not None and facts.higher_is_better:
        values[MAJORITY] = facts.majority.mean
    if not values:
        return None
    pick = max if facts.higher_is_better else min
    name = pick(values, key=lambda each: values[each])
    return name, values[name]


def clears(interval: Interval | None, floor: float, facts: Facts) -> bool:
    """Whether the whole interval lies on the better side; nothing to say counts as yes."""
    if interval is None or not math.isfinite(interval.mean):
        return True
    return interval.low > floor if facts.higher_is_better else interval.high < floor


def suite_columns(columns: Sequence[Column]) -> list[Column] | None:
    """The five tasks of the Long Range Arena, if each of them is here exactly once."""
    members = [column for column in columns if column.task in LRA_TASKS]
    complete = sorted(c.task for c in members) == sorted(LRA_TASKS)
    return members if complete else None


def mean_columns(columns: Sequence[Column]) -> list[Column] | None:
    """The same where their scores have a mean: they are fractions, of which more is better."""
    members = suite_columns(columns)
    alike = all(c.unit in ("fraction", "") and c.higher_is_better for c in members or ())
    return members if alike else None


def suite_means(comparison: Comparison, columns: Sequence[Column]) -> dict[str, Cell]:
    """The mean over the suite of each contender that has every task, judged as a column is.

    A mean is tied with the best unless the mean of its differences to the best, task by task, has
    an interval without zero at Bonferroni's level.
    """
    means: dict[str, Cell] = {}
    groups: dict[str, list[list[Score]]] = {}
    for contender in comparison.contenders:
        cells = [comparison.cell(contender, column) for column in columns]
        intervals = [cell.interval for cell in cells if cell.interval is not None]
        if len(intervals) == len(columns) and all(_sound(cell) for cell in cells):
            means[contender.label] = Cell(interval=mean_of(intervals))
            groups[contender.label] = [cell.scores for cell in cells]
    ranked = [c.label for c in comparison.contenders if c.role == "method" and c.label in means]
    if len(ranked) > 1:
        level = 1 - (1 - LEVEL) / (len(ranked) - 1)
        best = max(ranked, key=lambda name: means[name].interval.mean)  # type: ignore[union-attr]
        for name in ranked:
            pairs = zip(groups[best], groups[name], strict=True)
            gaps = mean_of([difference(a, b, level).interval for a, b in pairs], level)
            tied = not gaps.known or gaps.low <= 0 <= gaps.high
            means[name] = replace(means[name], best=name == best, tied=name != best and tied)
    return means


def suite_majority(comparison: Comparison, columns: Sequence[Column]) -> Interval | None:
    """The mean of the tasks\' majority classes, where all are known."""
    majorities = [comparison.columns[column].majority for column in columns]
    known = [majority for majority in majorities if majority is not None]
    return mean_of(known) if len(known) == len(columns) else None


def _sound(cell: Cell) -> bool:
    return cell.interval is not None and math.isfinite(cell.interval.mean)


def _cell(rows: tuple[Row, ...]) -> Cell:
    cell = Cell(rows=tuple(sorted(rows, key=lambda row: row.seed)))
    scores = cell.scores
    return replace(cell, interval=over_seeds(scores)) if scores else cell
