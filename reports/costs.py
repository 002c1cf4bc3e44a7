"""The price of the scores: time, memory and size, one table for each machine and number format."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from reports.accuracy import block_title, labels
from reports.cells import Comparison
from reports.columns import Column
from reports.frame import Row
from reports.grid import Entry, Grid, Notes, Section, plain
from reports.numbers import count, size


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A column of the cost table."""

    head: tuple[str, ...]
    quantity: str
    """The name under which the tidy formats give it, in base units."""
    unit: str
    of: Callable[[Row], float | None]
    over_seeds: Callable[[Sequence[float]], float]
    show: Callable[[float], str]


PRICES: Final = (
    Price(
        head=("ms", "a step"),
        quantity="step_seconds",
        unit="s",
        of=lambda row: row.step_seconds,
        over_seeds=statistics.median,
        show=lambda seconds: f"{1000 * seconds:.3g}" if seconds < 1 else f"{1000 * seconds:.0f}",
    ),
    Price(
        head=("tokens", "a second"),
        quantity="tokens_per_second",
        unit="1/s",
        of=lambda row: row.tokens_per_second,
        over_seeds=statistics.median,
        show=count,
    ),
    Price(
        head=("peak", "memory"),
        quantity="peak_memory_bytes",
        unit="B",
        of=lambda row: row.peak_memory_bytes,
        over_seeds=max,
        show=size,
    ),
    Price(
        head=("parameters",),
        quantity="parameters",
        unit="1",
        of=lambda row: row.parameters,
        over_seeds=max,
        show=count,
    ),
    Price(
        head=("FLOPs", "a step"),
        quantity="flops_per_step",
        unit="1",
        of=lambda row: row.flops_per_step,
        over_seeds=max,
        show=count,
    ),
    Price(
        head=("decoding", "state"),
        quantity="state_bytes",
        unit="B",
        of=lambda row: row.state_bytes,
        over_seeds=max,
        show=size,
    ),
)


def price_of(price: Price, rows: Sequence[Row]) -> float | None:
    """One number for all seeds: the median of times, the greatest of sizes."""
    values = [value for row in rows if (value := price.of(row)) is not None]
    return price.over_seeds(values) if values else None


def by_machine(rows: Sequence[Row]) -> dict[tuple[str, int], list[Row]]:
    """Completed rows by machine and number of threads: their times are never mixed."""
    groups: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        if row.status == "completed":
            groups[row.machine, row.threads].append(row)
    return dict(groups)


def cost_grids(comparison: Comparison, prices: Sequence[Price] = PRICES) -> list[Grid]:
    """For each group of columns, one grid a machine."""
    grids = []
    for columns in comparison.blocks():
        everything = [
            row
            for contender in comparison.contenders
            for column in columns
            for row in comparison.cell(contender, column).completed
        ]
        for machine, threads in sorted(by_machine(everything)):
            grids.append(_grid(comparison, columns, machine, threads, prices))
    return grids


def _grid(
    comparison: Comparison,
    columns: Sequence[Column],
    machine: str,
    threads: int,
    prices: Sequence[Price],
) -> Grid:
    notes = Notes()
    kernels: dict[str, set[str]] = defaultdict(set)
    sections = []
    for column in columns:
        rows = []
        for contender in comparison.contenders:
            cell = comparison.cell(contender, column)
            mine = by_machine(cell.rows).get((machine, threads), [])
            values = [price_of(price, mine) for price in prices]
            if mine:
                entries = [_entry(p, v) for p, v in zip(prices, values, strict=True)]
                rows.append((labels(contender), *entries))
            for row in mine:
                kernels[row.kernels or "unknown"].add(contender.label)
        if rows:
            sections.append(Section(title=_section(comparison, column, columns), rows=tuple(rows)))
    notes.general += [
        f"Measured on {plain(machine)} with {threads} thread{'s' * (threads != 1)}."
        " Times of other machines stand in tables of their own.",
        "Medians of time over steps and seeds, greatest of memory. -: not measured."
        " Trials that did not complete have no row.",
    ]
    ran = (f"{kernel} ({', '.join(sorted(who))})" for kernel, who in sorted(kernels.items()))
    notes.general.append(f"Kernels that ran: {'; '.join(ran)}.")
    header = (("method",), *(price.head for price in prices))
    title = f"{block_title('Cost', columns)}, {plain(machine)}"
    return Grid(title=title, header=header, sections=tuple(sections), notes=notes.all())


def _entry(price: Price, value: float | None) -> Entry:
    return Entry(text="-", emphasis="faint") if value is None else Entry(text=price.show(value))


def _section(comparison: Comparison, column: Column, columns: Sequence[Column]) -> str:
    """The task, with what tells it from its other columns."""
    words = [column.task]
    namesakes = [other for other in columns if other.task == column.task]
    if len(namesakes) > 1:
        words.append(f"({column.source}, data {column.digest[:8] or 'unknown'})")
    if len({other.metric for other in namesakes}) > 1:
        words.append(f"({column.metric})")
    words += ["(stand-in)"] if comparison.columns[column].stand_in else []
    words += [column.settings] if column.settings != "{}" else []
    return plain(" ".join(words))
