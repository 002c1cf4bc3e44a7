"""What stands at the head of columns and rows: what may be compared, and who is compared.

A column holds only one task version, preset, source, data digest, changed settings, number format,
device and metric.
"""

import json
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from reports.frame import Row
from results.published import LRA_TASKS
from results.statistics import Interval, wilson

NO_METRIC: Final = ("", "", True)
JSON_WORDS = ("true", "false", "null", "Infinity", "NaN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What must be equal for two scores to stand in one column."""

    task: str
    task_version: int
    preset: str
    source: str
    settings: str
    dtype: str
    device: str
    compile: bool
    digest: str = ""
    metric: str = ""
    """Its name, as rows say; empty where none of them was measured."""
    unit: str = ""
    higher_is_better: bool = True

    @property
    def family(self) -> str:
        return self.task.split("/")[0] if "/" in self.task else ""

    @property
    def block(self) -> tuple[str, str, str, str, bool]:
        """Columns that agree in this are shown side by side."""
        return self.family, self.preset, self.dtype, self.device, self.compile


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rows of a column say about it."""

    metric: str
    unit: str
    higher_is_better: bool
    title: str
    stand_in: bool
    num_test: int | None
    majority: Interval | None
    differing: Mapping[str, tuple[str, ...]]
    """Protocol values that are not the same in all rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A method with its options; the label shows those that tell it from its namesakes."""

    label: str
    method: str
    options: str
    role: str
    same_as: str


def by_column(rows: Sequence[Row]) -> dict[Column, list[Row]]:
    """Rows by column. One without data or without a metric, as it failed before, belongs to each
    column of its task that it may have been meant for."""
    grouped: dict[Column, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[_column(row)].append(row)
    columns: dict[Column, list[Row]] = {}
    for column, group in grouped.items():
        for digest in sorted({row.digest for row in group if row.digest} or {""}):
            same = [row for row in group if row.digest in ("", digest)]
            for metric in sorted({_metric(row) for row in same if row.metric} or {NO_METRIC}):
                name, unit, higher = metric
                mine = replace(
                    column, digest=digest, metric=name, unit=unit, higher_is_better=higher
                )
                columns[mine] = [row for row in same if not row.metric or _metric(row) == metric]
    return columns


def _metric(row: Row) -> tuple[str, str, bool]:
    return row.metric, row.unit, row.higher_is_better


def _column(row: Row) -> Column:
    return Column(
        task=row.task,
        task_version=row.task_version,
        preset=row.preset,
        source=row.source,
        settings=row.settings,
        dtype=row.dtype,
        device=row.device,
        compile=row.compile,
    )


def facts_of(column: Column, group: Sequence[Row]) -> Facts:
    """Taken from the first row that knows its data; rows of one column agree."""
    loaded = next((row for row in group if row.digest), group[0])
    majority = None
    if loaded.majority_trials and loaded.majority_successes is not None:
        majority = wilson(loaded.majority_successes, loaded.majority_trials)
    protocols = [
        json.loads(text) for text in {row.protocol for row in group if row.protocol != "{}"}
    ]
    names = {name for protocol in protocols for name in protocol} - {"seed"}
    seen = {name: {json.dumps(p.get(name)) for p in protocols} for name in names}
    return Facts(
        metric=column.metric,
        unit=column.unit,
        higher_is_better=column.higher_is_better,
        title=loaded.title,
        stand_in=loaded.stand_in,
        num_test=loaded.num_test,
        majority=majority if column.metric in ("", "accuracy") else None,
        differing={n: tuple(sorted(v)) for n, v in sorted(seen.items()) if len(v) > 1},
    )


def contenders_of(rows: Sequence[Row]) -> tuple[Contender, ...]:
    """Every method with its options once, the best mean first."""
    first: dict[tuple[str, str], Row] = {}
    for row in rows:
        first.setdefault((row.method, row.options), row)
    variants: dict[str, list[str]] = defaultdict(list)
    for method, options in first:
        variants[method].append(options)
    named = [
        Contender(
            label=_label(method, options, variants[method]),
            method=method,
            options=options,
            role=row.role,
            same_as=row.same_as,
        )
        for (method, options), row in first.items()
    ]
    strength: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        if row.status == "completed" and row.value is not None:
            sign = 1 if row.higher_is_better else -1
            strength[row.method, row.options].append(sign * row.value)
    return tuple(sorted(named, key=lambda c: (-_mean(strength[c.method, c.options]), c.label)))


def _label(method: str, options: str, variants: Sequence[str]) -> str:
    if len(variants) == 1:
        return method
    # Compared as JSON: to Python 1, 1.0 and True are equal.
    mine, *others = (
        {name: json.dumps(value) for name, value in json.loads(text).items()}
        for text in (options, *variants)
    )
    shown = [
        f"{name}={_as_typed(value)}"
        for name, value in mine.items()
        if any(other.get(name) != value for other in others)
    ]
    return f"{method}:{','.join(shown)}" if shown else method


def _as_typed(value: str) -> str:
    """JSON as it is given on a command line: a word needs no quotes, unless it reads as another."""
    word = value[1:-1]
    return word if re.fullmatch(r'"[A-Za-z][\w.-]*"', value) and word not in JSON_WORDS else value


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return statistics.fmean(finite) if finite else -math.inf


def column_order(column: Column) -> tuple[int, str, str, str, str]:
    """The Long Range Arena's own order, then by name."""
    known = LRA_TASKS.index(column.task) if column.task in LRA_TASKS else len(LRA_TASKS)
    return known, column.task, column.source, column.digest, column.metric
