"""The comparison for machines: one row a number, in base units, and a row for every gap."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields

from reports.cells import MAJORITY, Cell, Comparison, suite_columns
from reports.columns import Column, Contender, Facts
from reports.costs import PRICES, by_machine, price_of
from reports.formats import csv_lines
from reports.frame import Row
from reports.grid import NOT_RUN
from reports.ranking import suite_ranks
from results.published import Published
from results.statistics import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidy:
    """One number. Published ones have a `source` that starts with `published:`."""

    task: str
    task_version: int | None
    preset: str
    source: str
    title: str
    stand_in: bool
    digest: str
    settings: str
    dtype: str
    device: str
    compile: bool
    method: str
    options: str
    role: str
    quantity: str
    unit: str
    value: float | None
    low: float | None = None
    high: float | None = None
    seeds: str = ""
    status: str
    """`completed`, `not run`, or how the seeds ended, each once."""
    reason: str = ""
    best: bool = False
    tied: bool = False
    at_floor: bool = False
    machine: str = ""
    threads: int | None = None
    level: str = ""
    """This and what follows belong to cost curves."""
    mode: str = ""
    causal: bool | None = None
    length: int | None = None
    batch: int | None = None
    num_heads: int | None = None
    head_dim: int | None = None
    reference: str = ""
    """What a ratio or a crossover is against."""
    where: str = ""
    """Coordinates in canonical JSON. This and what follows belong to probes."""
    predicted: float | None = None
    """What theory says in closed form."""
    samples: int | None = None
    """Independent draws behind the value."""
    how: str = ""
    """The estimator of the number."""


def tidy(comparison: Comparison, *, cost: bool = True) -> Iterator[Tidy]:
    """Scores first, then the floor, then the price, column by column."""
    for column, facts in comparison.columns.items():
        for contender in comparison.contenders:
            cell = comparison.cell(contender, column)
            yield score_value(column, facts, contender, cell)
            if cost:
                yield from price_values(column, facts, contender, cell)
        if facts.majority is not None:
            yield majority_value(column, facts, facts.majority)
    for columns in comparison.blocks():
        yield from rank_values(comparison, columns)


def rank_values(comparison: Comparison, columns: Sequence[Column]) -> Iterator[Tidy]:
    """The mean rank of each method that has one over the tasks of these columns."""
    members = suite_columns(columns) or list(columns)
    ranks = suite_ranks(comparison, members)
    first, tasks = members[0], ", ".join(column.task for column in members)
    for contender in comparison.contenders if ranks else ():
        found = ranks.get(contender.label)
        if found is not None:
            yield Tidy(
                task=first.family or tasks,
                task_version=None,
                preset=first.preset,
                source=", ".join(dict.fromkeys(column.source for column in members)),
                title=f"mean over {tasks}",
                stand_in=any(comparison.columns[column].stand_in for column in members),
                digest="",
                settings="{}",
                dtype=first.dtype,
                device=first.device,
                compile=first.compile,
                method=contender.method,
                options=contender.options,
                role=contender.role,
                quantity="mean-rank",
                unit="1",
                value=found.mean,
                low=found.low if found.known else None,
                high=found.high if found.known else None,
                status="completed",
                samples=len(members),
                how=f"rank among {len(ranks)} methods, interval over tasks",
            )


def published(values: Sequence[Published]) -> Iterator[Tidy]:
    """Published numbers, in the units of their source; a failure has a reason and no value."""
    for value in values:
        yield Tidy(
            task=value.column,
            task_version=None,
            preset=value.protocol,
            source=f"published:{value.table}:{value.source}:{value.mark}",
            title=value.citation,
            stand_in=False,
            digest="",
            settings="{}",
            dtype="",
            device="",
            compile=False,
            method=value.bench_method,
            options=value.method,
            role="published",
            quantity=value.quantity,
            unit=value.unit,
            value=value.value,
            status="published",
            reason=value.note,
            machine=value.machine,
        )


def as_csv(rows: Iterator[Tidy]) -> str:
    """Comma-separated, with a header line."""
    return csv_lines([field.name for field in fields(Tidy)], map(asdict, rows))


def as_json(rows: Iterator[Tidy]) -> str:
    """A list of objects; what is not finite is null."""
    return json.dumps([_finite(asdict(row)) for row in rows], indent=1, allow_nan=False) + "\n"


def _finite(values: dict[str, object]) -> dict[str, object]:
    return {
        name: None if isinstance(v, float) and not abs(v) < float("inf") else v
        for name, v in values.items()
    }


def of_column(column: Column, facts: Facts, **rest: object) -> Tidy:
    """A row of this column; `rest` is what the column does not say."""
    return Tidy(
        task=column.task,
        task_version=column.task_version,
        preset=column.preset,
        source=column.source,
        title=facts.title,
        stand_in=facts.stand_in,
        digest=column.digest,
        settings=column.settings,
        dtype=column.dtype,
        device=column.device,
        compile=column.compile,
        **rest,  # type: ignore[arg-type]
    )


def score_value(column: Column, facts: Facts, contender: Contender, cell: Cell) -> Tidy:
    """The metric over all seeds, or why there is none."""
    interval = cell.interval
    known = interval is not None and interval.known
    return of_column(
        column,
        facts,
        method=contender.method,
        options=contender.options,
        role=contender.role,
        quantity=facts.metric or "accuracy",
        unit=facts.unit or "fraction",
        value=interval.mean if interval else None,
        low=interval.low if interval and known else None,
        high=interval.high if interval and known else None,
        seeds=" ".join(str(row.seed) for row in cell.completed),
        status=", ".join(dict.fromkeys(row.status for row in cell.rows)) or NOT_RUN,
        reason="; ".join(dict.fromkeys(row.reason for row in cell.failed)),
        best=cell.best,
        tied=cell.tied,
        at_floor=cell.at_floor,
    )


def price_values(column: Column, facts: Facts, contender: Contender, cell: Cell) -> Iterator[Tidy]:
    """What it cost, machine by machine."""
    for (machine, threads), rows in by_machine(cell.rows).items():
        for price in PRICES:
            value = price_of(price, rows)
            if value is not None:
                low, high = _quartiles(rows) if price.quantity == "step_seconds" else (None, None)
                yield of_column(
                    column,
                    facts,
                    method=contender.method,
                    options=contender.options,
                    role=contender.role,
                    quantity=price.quantity,
                    unit=price.unit,
                    value=value,
                    low=low,
                    high=high,
                    seeds=" ".join(str(row.seed) for row in rows),
                    status="completed",
                    machine=machine,
                    threads=threads,
                )


def _quartiles(rows: Sequence[Row]) -> tuple[float | None, float | None]:
    """The outermost quartiles of step time over seeds: where the middle half lies."""
    lows = [row.step_seconds_low for row in rows if row.step_seconds_low is not None]
    highs = [row.step_seconds_high for row in rows if row.step_seconds_high is not None]
    return (min(lows), max(highs)) if lows and highs else (None, None)


def majority_value(column: Column, facts: Facts, interval: Interval) -> Tidy:
    """The floor that needs no method."""
    return of_column(
        column,
        facts,
        method=MAJORITY,
        options="{}",
        role="floor",
        quantity=facts.metric or "accuracy",
        unit="fraction",
        value=interval.mean,
        low=interval.low,
        high=interval.high,
        status="completed",
    )
