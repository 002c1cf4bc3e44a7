"""Records as a table: one row a record, summaries computed here."""

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from reports.tokens import tokens_trained
from results.language import LanguageResult
from results.record import Cost, DataCard, Identity, Measured, Record, Scalar
from results.statistics import Score

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One record, flat. Base units; None or an empty string where the record says nothing."""

    trial: str
    """The digest of its identity."""
    method: str
    options: str
    """Canonical JSON, as are `settings` and `protocol`."""
    role: str
    same_as: str
    task: str
    task_version: int
    preset: str
    source: str
    settings: str
    dtype: str
    device: str
    compile: bool
    seed: int
    status: str
    reason: str
    metric: str
    unit: str
    higher_is_better: bool
    value: float | None
    successes: int | None
    trials: int | None
    outcomes: str
    blocks: tuple[float, ...]
    """The metric in each block of a text: intervals and tests are taken over these."""
    title: str
    """What the data were."""
    stand_in: bool
    digest: str
    num_train: int | None
    max_time: int | None
    """Tokens in the longest sequence."""
    num_test: int | None
    majority_successes: int | None
    majority_trials: int | None
    protocol: str
    machine: str
    threads: int
    step_seconds: float | None
    """Median of the samples; the quartiles follow."""
    step_seconds_low: float | None
    step_seconds_high: float | None
    tokens_per_second: float | None
    tokens_trained: int | None
    peak_memory_bytes: int | None
    parameters: int | None
    non_embedding_parameters: int | None
    flops_per_step: int | None
    bytes_moved_per_step: int | None
    state_bytes: int | None
    collapsed_rows: float | None
    kernels: str
    commit: str
    method_digest: str
    """Of the method's code; that of the task's follows."""
    task_digest: str
    dirty: bool
    started: str
    seconds: float

    @property
    def score(self) -> Score | None:
        """For `results.statistics`; None unless the trial completed with a metric."""
        if self.status != "completed" or self.value is None:
            return None
        return Score(
            seed=self.seed,
            value=self.value,
            successes=self.successes,
            trials=self.trials,
            test_set=self.digest,
            outcomes=self.outcomes,
            blocks=self.blocks,
        )


def rows(records: Iterable[Record]) -> list[Row]:
    """One row a record, in the order given. The first metric is the one that tables show."""
    return [_row(record) for record in records]


def frame(records: Iterable[Record]) -> "pd.DataFrame":
    """The same rows for whoever analyses further."""
    import pandas as pd

    names = [field.name for field in fields(Row)]
    return pd.DataFrame([asdict(row) for row in rows(records)], columns=names)


def _row(record: Record) -> Row:
    return Row(
        role=record.role,
        same_as=record.same_as or "",
        status=record.status,
        reason=record.reason,
        outcomes=record.training.outcomes if record.training else "",
        blocks=_blocks(record.language),
        protocol=_canonical(record.settings_resolved),
        machine=record.machine.name,
        threads=record.machine.threads,
        commit=record.provenance.commit or "",
        method_digest=record.provenance.method_digest,
        task_digest=record.provenance.task_digest,
        dirty=bool(record.provenance.dirty),
        started=record.provenance.started,
        seconds=record.provenance.seconds,
        tokens_trained=tokens_trained(record),
        **_identity_values(record.identity),
        **_metric_values(record.metrics[0] if record.metrics else None),
        **_data_values(record.data),
        **_cost_values(record.cost or Cost(), record.language),
    )


def _identity_values(identity: Identity) -> dict[str, Any]:
    return {
        "trial": identity.digest(),
        "method": identity.method,
        "options": _canonical(identity.method_options),
        "task": identity.task,
        "task_version": identity.task_version,
        "preset": identity.preset,
        "source": identity.source,
        "settings": _canonical(identity.settings),
        "dtype": identity.dtype,
        "device": identity.device,
        "compile": identity.compile,
        "seed": identity.seed,
    }


def _metric_values(metric: Measured | None) -> dict[str, Any]:
    counts = metric.proportion if metric else None
    return {
        "metric": metric.name if metric else "",
        "unit": metric.unit if metric else "",
        "higher_is_better": metric.higher_is_better if metric else True,
        "value": metric.value if metric else None,
        "successes": counts.successes if counts else None,
        "trials": counts.trials if counts else None,
    }


def _data_values(data: DataCard | None) -> dict[str, Any]:
    return {
        "title": data.title if data else "",
        "stand_in": data.stand_in if data else False,
        "digest": data.digest if data else "",
        "num_train": data.num_train if data else None,
        "max_time": data.max_time if data else None,
        "num_test": data.num_test if data else None,
        "majority_successes": data.majority.successes if data else None,
        "majority_trials": data.majority.trials if data else None,
    }


def _blocks(language: LanguageResult | None) -> tuple[float, ...]:
    if language is None or language.after is None:
        return ()
    return tuple(hits / language.predictions_per_block for hits in language.after.block_hits)


def _cost_values(cost: Cost, language: LanguageResult | None) -> dict[str, Any]:
    low, median, high = _quartiles(cost.step_seconds)
    tokens = cost.tokens_per_step
    told = language.tokens_per_second if language else None
    speed = tokens / median if tokens and median else None
    return {
        "step_seconds": median,
        "step_seconds_low": low,
        "step_seconds_high": high,
        "tokens_per_second": speed if told is None else told,
        "peak_memory_bytes": cost.peak_memory_bytes,
        "parameters": cost.parameters,
        "non_embedding_parameters": cost.non_embedding_parameters,
        "flops_per_step": cost.flops_per_step,
        "bytes_moved_per_step": cost.bytes_moved_per_step,
        "state_bytes": cost.state_bytes,
        "collapsed_rows": cost.collapsed_rows,
        "kernels": ", ".join(cost.kernels),
    }


def _quartiles(samples: list[float]) -> tuple[float | None, float | None, float | None]:
    if not samples:
        return None, None, None
    if len(samples) == 1:
        return samples[0], samples[0], samples[0]
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return low, median, high


def _canonical(values: Mapping[str, Scalar]) -> str:
    return "{}" if not values else json.dumps(values, sort_keys=True, separators=(",", ":"))
