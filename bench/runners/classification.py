"""Runs a trial of sequence classification: loads the data, trains, tests and prices."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.memory import PeakMemory
from bench.model import Classifier, build_classifier
from bench.plan import RELEASE, Trial
from bench.runners.batches import in_order
from bench.runners.found import Found
from bench.runners.inspection import calibrate
from bench.runners.price import after_training, price_of_step, sizes
from bench.runners.train import (
    Outcome,
    Progress,
    Report,
    batch_loss,
    evaluate,
    first_batch,
    train,
)
from bench.runners.trained import require_example_alone
from methods.api import Method
from results.record import DataCard, Measured, Proportion, Training
from tasks.api import Dataset, LoadRequest, Preset, TrainedTask


def classify(
    trial: Trial,
    method: Method,
    task: TrainedTask,
    *,
    cache: Path | None,
    report: Report,
    found: Found,
) -> None:
    """Everything that a trained trial measures, put into `found`."""
    report(Progress("data"))
    dataset = _load(trial, task, cache)
    found.data = _card(trial, task, dataset)
    with PeakMemory(trial.device) as memory:
        _train_and_test(trial, method, task, dataset, report, found)
    found.cost |= {"peak_memory_bytes": memory.bytes, "memory_method": memory.method}


def _train_and_test(
    trial: Trial,
    method: Method,
    task: TrainedTask,
    dataset: Dataset,
    report: Report,
    found: Found,
) -> None:
    identity, plan = trial.identity, _preset(trial).training
    device = torch.device(trial.device)
    model = _build(trial, method, task, dataset).to(device)
    batch = first_batch(dataset, plan, device, identity.seed)
    calibrate(model, lambda: model(batch.tokens, batch.padding))
    places: dict[str, Any] = {"device": device, "dtype": identity.dtype}
    found.cost |= sizes(model, model.tables())
    found.cost |= {"tokens_per_step": batch.num_tokens}
    found.cost |= price_of_step(model, batch_loss(batch), **places)
    runnable: Any = torch.compile(model) if identity.compile else model
    trained = train(runnable, dataset, plan, seed=identity.seed, report=report, **places)
    found.cost["step_seconds"] = trained.step_seconds
    report(Progress("test"))
    outcome = evaluate(runnable, dataset.test, plan.batch_size, **places)
    require_example_alone(model, dataset.test, **places)
    found.training = Training(
        curve=trained.curve,
        evaluations=trained.evaluations,
        best_step=trained.best_step,
        outcomes=outcome.packed(),
    )
    found.metrics = [_metric(task, outcome)]
    probe = next(in_order(dataset.validation, plan.batch_size, device))
    found.cost |= after_training(model, lambda: model(probe.tokens, probe.padding), **places)


def _build(trial: Trial, method: Method, task: TrainedTask, dataset: Dataset) -> Classifier:
    splits = (dataset.train, dataset.validation, dataset.test)
    return build_classifier(
        method,
        trial.identity.method_options,
        _preset(trial).model,
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


def _load(trial: Trial, task: TrainedTask, cache: Path | None) -> Dataset:
    name = trial.identity.source
    path = Path(name.removeprefix(RELEASE)) if name.startswith(RELEASE) else None
    source = task.source(name.split(":")[0])
    assert source is not None, "the plan checked the source"
    return source.load(LoadRequest(data=_preset(trial).data, path=path, cache=cache))


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


def _preset(trial: Trial) -> Preset:
    assert isinstance(trial.preset, Preset), "a trained task has presets of training"
    return trial.preset
