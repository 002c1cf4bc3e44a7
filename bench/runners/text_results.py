"""What a language trial found, in the words of its record."""

import base64
from dataclasses import replace

import numpy as np

from bench.runners.schedule import learning_rate
from bench.runners.text_training import Run
from results.language import RateRun, TextOutcome
from results.record import CurvePoint, DataCard, Evaluation, Measured, Proportion, Training
from results.spikes import spikes
from tasks.api import Metric
from tasks.api import Training as Plan
from tasks.language import LOSS, PERPLEXITY, Corpus, LanguagePreset, TextSource

CURVE_POINTS = 200


def as_training(run: Run, plan: Plan, right: np.ndarray) -> Training:
    """The curve, thinned, the evaluations, and one bit for every prediction of the test."""
    plan = replace(plan, steps=run.steps, learning_rate=run.rate)
    every = max(1, run.steps // CURVE_POINTS)
    points = range(every, len(run.losses) + 1, every)
    return Training(
        curve=[
            CurvePoint(
                step=step,
                loss=float(np.mean(run.losses[step - every : step])),
                learning_rate=learning_rate(plan, step),
            )
            for step in points
        ],
        evaluations=[
            Evaluation(step=step, loss=loss, accuracy=accuracy)
            for step, loss, accuracy in run.evaluations
        ],
        best_step=run.steps,
        outcomes=base64.b64encode(np.packbits(right.ravel()).tobytes()).decode(),
    )


def metrics(after: TextOutcome, right: np.ndarray, accuracy: Metric) -> list[Measured]:
    """Accuracy, loss and perplexity on the test split."""
    first = Measured(
        name=accuracy.name,
        unit=accuracy.unit,
        higher_is_better=accuracy.higher_is_better,
        value=after.accuracy,
        proportion=Proportion(successes=int(right.sum()), trials=right.size),
    )
    return [first, *measured_loss(after.loss)]


def best_rate(runs: list[Run]) -> float:
    """That of the lowest validation loss; where all diverged the smallest, which says so."""
    finished = [run for run in runs if not run.diverged_at]
    if not finished:
        return min(run.rate for run in runs)
    return min(finished, key=lambda run: run.evaluations[-1][1]).rate


def as_rate_run(run: Run) -> RateRun:
    """A run of the grid, for the record."""
    loss, accuracy = run.evaluations[-1][1:] if run.evaluations else (None, None)
    return RateRun(
        learning_rate=run.rate,
        losses=[loss for loss in run.losses if np.isfinite(loss)],
        diverged_at=run.diverged_at,
        spikes=spikes(run.losses),
        loss=None if run.diverged_at else loss,
        accuracy=None if run.diverged_at else accuracy,
    )


def measured_loss(loss: float) -> list[Measured]:
    """The loss, and the perplexity."""
    return [
        Measured(name=metric.name, unit=metric.unit, higher_is_better=False, value=value)
        for metric, value in ((LOSS, loss), (PERPLEXITY, float(np.exp(loss))))
    ]


def protocol(preset: LanguagePreset, length: int) -> str:
    """What is the same for every method of a table, in words."""
    plan, regime = preset.training, preset.regime
    tokens = plan.steps * plan.batch_size * length
    return (
        f"{tokens} tokens in {plan.steps} steps of {plan.batch_size} blocks of"
        f" {length}; AdamW (betas {plan.beta1:g} and {plan.beta2:g}, weight decay"
        f" {plan.weight_decay:g}), {plan.schedule} schedule after {plan.warmup_steps} steps of"
        f" warm-up, gradients clipped at {plan.clip_norm:g} (0: not at all); trained:"
        f" {regime.train}"
    )


def data_card(source: TextSource, corpus: Corpus, vocab_size: int) -> DataCard:
    """The text that was really read. Its floor is the most frequent token of the training text."""
    asked = corpus.test[:, 1:]
    frequent = int(np.bincount(corpus.train[:, 1:].ravel()).argmax())
    return DataCard(
        title=source.title,
        what=corpus.what,
        stand_in=source.stand_in,
        digest=corpus.digest,
        num_train=len(corpus.train),
        num_validation=len(corpus.validation),
        num_test=len(corpus.test),
        num_classes=vocab_size,
        vocab_size=vocab_size,
        max_time=corpus.train.shape[1],
        majority=Proportion(successes=int((asked == frequent).sum()), trials=asked.size),
    )
