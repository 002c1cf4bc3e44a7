"""Mean ranks over the tasks of a table: what can be compared where scores have scales apart."""

from collections.abc import Mapping, Sequence
from typing import Final

from reports.cells import Comparison
from reports.columns import Column, Contender
from reports.grid import Entry
from results.ranks import mean_ranks
from results.statistics import Interval

LEAST_TASKS: Final = 3
"""The interval over two tasks holds nearly all ranks, whatever they are."""
LEAST_METHODS: Final = 3
"""Of two methods a rank says no more than how often one won."""
HEAD: Final = ("mean", "rank")


def suite_ranks(comparison: Comparison, columns: Sequence[Column]) -> dict[str, Interval]:
    """The mean rank, by label, of each method with a score in every column that has any.

    Floors and ceilings are not ranked. Empty with fewer tasks or methods than `LEAST_TASKS` and
    `LEAST_METHODS`, and where a task stands in two columns, as ranks would count it twice.
    """
    methods = [c for c in comparison.contenders if c.role == "method"]
    tasks, directions = [], []
    for column in columns:
        found = {c.label: comparison.cell(c, column).interval for c in methods}
        means = {label: interval.mean for label, interval in found.items() if interval}
        if means:
            tasks.append(means)
            directions.append(comparison.columns[column].higher_is_better)
    twice = len({column.task for column in columns}) < len(columns)
    if twice or len(tasks) < LEAST_TASKS:
        return {}
    ranks = mean_ranks(tasks, higher_is_better=directions)
    return ranks if len(ranks) >= LEAST_METHODS else {}


def rank_entry(ranks: Mapping[str, Interval], contender: Contender) -> Entry:
    """What stands in the column of mean ranks."""
    found = ranks.get(contender.label)
    if found is None:
        return Entry(text="" if contender.role != "method" else "incomplete", emphasis="faint")
    text = f"{found.mean:.1f}"
    return Entry(text=f"{text} ({found.low:.1f} to {found.high:.1f})" if found.known else text)


def rank_note(ranks: Mapping[str, Interval], columns: Sequence[Column]) -> str:
    """What the column of mean ranks says, and of how far."""
    text = (
        f"Mean rank among {len(ranks)} methods over {len(columns)} tasks, 1 the best, with the 95 %"
        " interval over tasks of what a further task of the kind would give"
    )
    if any(not interval.known for interval in ranks.values()):
        text += "; none where all ranks are equal, as so few tasks do not tell their spread"
    return f"{text}; incomplete: a task has no score."
