"""Runs one trial from beginning to end and returns its record, whatever happens inside."""

import contextlib
import datetime
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.gate import gate
from bench.machine import describe_machine
from bench.memory import PeakMemory, is_out_of_memory
from bench.model import Classifier, build_classifier
from bench.plan import RELEASE, Trial
from bench.provenance import describe_provenance
from bench.registry import load_locator, load_registry
from bench.runners.batches import in_order
from bench.runners.inspection import calibrate
from bench.runners.price import after_training, price_of_step, sizes
from bench.runners.train import (
    Diverged,
    Outcome,
    Progress,
    Report,
    evaluate,
    first_batch,
    train,
)
from bench.settings import resolved_settings
from methods.api import Method, MissingDependencyError, UnsupportedError
from results.record import (
    Cost,
    DataCard,
    Measured,
    Proportion,
    Provenance,
    Record,
    Status,
    Training,
)
from tasks.api import Dataset, LoadRequest, SourceUnavailableError, TrainedTask


@dataclass(slots=True, kw_only=True)
class _Found:
    """What a trial has measured so far: on failure, what there is goes into the record."""

    status: Status = "completed"
    reason: str = ""
    metrics: list[Measured] = field(default_factory=list)
    training: Training | None = None
    cost: dict[str, Any] = field(default_factory=dict)
    data: DataCard | None = None


def run_trial(trial: Trial, *, command: str, cache: Path | None, report: Report) -> Record:
    """The trial's record. Never raises: what goes wrong is a status with a reason."""
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    found = _Found()
    try:
        with _outcome(found):
            method: Method = load_locator(trial.method_locator, "METHOD").value
            task: TrainedTask = load_locator(trial.task_locator, "TASK").value
            _measure(trial, method, task, cache, report, found)
    except Exception as error:
        # The one place that must survive whatever a method does.
        found.status = "out-of-memory" if is_out_of_memory(error) else "crashed"
        found.reason = _sentence(error)
    provenance = describe_provenance(
        method_file=trial.method_file,
        task_file=trial.task_file,
        command=command,
        started=started.isoformat(timespec="seconds"),
        seconds=time.perf_counter() - clock,
    )
    return as_record(trial, found.status, found.reason, provenance, found)


def as_record(
    trial: Trial,
    status: Status,
    reason: str,
    provenance: Provenance,
    found: "_Found | None" = None,
) -> Record:
    """The record of a trial, also of one that never ran."""
    found = found or _Found()
    return Record(
        identity=trial.identity,
        status=status,
        reason=reason,
        role=trial.role,  # type: ignore[arg-type]
        same_as=trial.same_as,
        metrics=found.metrics,
        training=found.training,
        cost=Cost(**found.cost) if found.cost else None,
        data=found.data,
        settings_resolved=resolved_settings(trial.preset),
        machine=describe_machine(trial.device),
        provenance=provenance,
    )


@contextlib.contextmanager
def _outcome(found: _Found) -> Iterator[None]:
    """Gives each expected failure its status."""
    try:
        yield
    except Diverged as error:
        found.status, found.reason = "diverged", str(error)
    except UnsupportedError as error:
        found.status, found.reason = "unsupported", str(error)
    except (SourceUnavailableError, MissingDependencyError) as error:
        found.status, found.reason = "unavailable", str(error)


def _measure(
    trial: Trial,
    method: Method,
    task: TrainedTask,
    cache: Path | None,
    report: Report,
    found: _Found,
) -> None:
    identity, device = trial.identity, torch.device(trial.device)
    torch.manual_seed(identity.seed)
    if identity.dtype == "float64":
        torch.set_default_dtype(torch.float64)
    report(Progress("gate"))
    failure = _gate(
        method,
        identity.method_options,
        device=trial.device,
        dtype=identity.dtype,
        head_dim=trial.preset.model.qkv_dim // trial.preset.model.num_heads,
        namesake=_namesake(method),
    )
    if failure:
        found.status, found.reason = "failed-gate", failure
        return
    report(Progress("data"))
    dataset = _load(trial, task, cache)
    found.data = _card(trial, task, dataset)
    with PeakMemory(trial.device) as memory:
        _train_and_test(trial, method, task, dataset, device, report, found)
    found.cost |= {"peak_memory_bytes": memory.bytes, "memory_method": memory.method}


def _gate(method: Method, options: Mapping[str, Any], **where: Any) -> str | None:
    try:
        return gate(method, options, **where)
    except ValueError as error:
        # Options that do not fit this task's sizes, such as a rank above the head dimension.
        raise UnsupportedError(str(error)) from error


def _train_and_test(
    trial: Trial,
    method: Method,
    task: TrainedTask,
    dataset: Dataset,
    device: torch.device,
    report: Report,
    found: _Found,
) -> None:
    identity, plan = trial.identity, trial.preset.training
    model = _build(trial, method, task, dataset).to(device)
    batch = first_batch(dataset, plan, device, identity.seed)
    calibrate(model, lambda: model(batch.tokens, batch.padding))
    found.cost |= sizes(model)
    found.cost |= price_of_step(model, batch, identity.dtype)
    runnable: Any = torch.compile(model) if identity.compile else model
    options: dict[str, Any] = {"device": device, "dtype": identity.dtype}
    trained = train(runnable, dataset, plan, seed=identity.seed, report=report, **options)
    found.cost["step_seconds"] = trained.step_seconds
    report(Progress("test"))
    outcome = evaluate(runnable, dataset.test, plan.batch_size, **options)
    found.training = Training(
        curve=trained.curve,
        evaluations=trained.evaluations,
        best_step=trained.best_step,
        outcomes=outcome.packed(),
    )
    found.metrics = [_metric(task, outcome)]
    probe = next(in_order(dataset.validation, plan.batch_size, device))
    found.cost |= after_training(model, probe, identity.dtype)


def _build(trial: Trial, method: Method, task: TrainedTask, dataset: Dataset) -> Classifier:
    splits = (dataset.train, dataset.validation, dataset.test)
    return build_classifier(
        method,
        trial.identity.method_options,
        trial.preset.model,
        vocab_size=dataset.vocab_size,
        num_classes=dataset.num_classes,
        max_time=max(split.tokens.shape[2] for split in splits),
        towers=dataset.train.tokens.shape[1],
        causal=task.causal,
        seed=trial.identity.seed,
    )


def _metric(task: TrainedTask, outcome: Outcome) -> Measured:
    right = int(outcome.right.sum())
    return Measured(
        name=task.metric.name,
        unit=task.metric.unit,
        higher_is_better=task.metric.higher_is_better,
        value=outcome.accuracy,
        proportion=Proportion(successes=right, trials=len(outcome.right)),
    )


def _namesake(method: Method) -> Method | None:
    if method.same_as is None:
        return None
    return load_registry(("METHOD",)).method(method.same_as).value


def _load(trial: Trial, task: TrainedTask, cache: Path | None) -> Dataset:
    name = trial.identity.source
    path = Path(name.removeprefix(RELEASE)) if name.startswith(RELEASE) else None
    source = task.source(name.split(":")[0])
    assert source is not None, "the plan checked the source"
    return source.load(LoadRequest(data=trial.preset.data, path=path, cache=cache))


def _card(trial: Trial, task: TrainedTask, dataset: Dataset) -> DataCard:
    source = task.source(trial.identity.source.split(":")[0])
    assert source is not None
    frequent = int(np.bincount(dataset.train.labels).argmax())
    return DataCard(
        title=source.title,
        what=dataset.what,
        stand_in=source.stand_in,
        digest=dataset.digest,
        num_train=len(dataset.train),
        num_validation=len(dataset.validation),
        num_test=len(dataset.test),
        num_classes=dataset.num_classes,
        vocab_size=dataset.vocab_size,
        max_time=dataset.train.tokens.shape[2],
        majority=Proportion(
            successes=int((dataset.test.labels == frequent).sum()), trials=len(dataset.test)
        ),
    )


def _sentence(error: BaseException) -> str:
    """The error's type and first line, and where it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = ""
    if trace is not None:
        where = f" (in {Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno})"
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return f"{type(error).__name__}: {first}{where}"
