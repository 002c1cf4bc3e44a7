"""Trains a classifier on one dataset and measures what it reached and what it cost."""

import base64
import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bench.model import Classifier
from bench.runners.batches import Batch, in_order, training_batches
from bench.runners.inspection import redraw
from bench.runners.schedule import learning_rate
from bench.stopwatch import StepClock
from results.record import CurvePoint, Evaluation
from tasks.api import Dataset, Split, Training

CURVE_POINTS = 200
LOSS_BOUND = 20.0
"""A loss this many times the one of guessing has diverged."""


class Diverged(Exception):  # noqa: N818
    """The loss is not a number, or beyond every bound."""


class Progress(NamedTuple):
    """How far a trial is."""

    phase: str
    step: int = 0
    steps: int = 0
    loss: float = float("nan")


Report = Callable[[Progress], None]


@dataclass(slots=True, kw_only=True)
class Trained:
    """What training left: the best weights are in the model."""

    curve: list[CurvePoint]
    evaluations: list[Evaluation]
    best_step: int
    step_seconds: list[float]
    tokens: int


class Outcome(NamedTuple):
    """A split's loss and which examples were right."""

    loss: float
    right: np.ndarray

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    def packed(self) -> str:
        """Base64 of one bit an example."""
        return base64.b64encode(np.packbits(self.right).tobytes()).decode()


def precision(device: torch.device, dtype: str) -> AbstractContextManager[Any]:
    """Autocast for half precisions: weights stay in float32."""
    if dtype in ("bfloat16", "float16"):
        return torch.autocast(device.type, dtype=getattr(torch, dtype))
    return nullcontext()


def train(
    model: Classifier,
    dataset: Dataset,
    plan: Training,
    *,
    device: torch.device,
    dtype: str,
    seed: int,
    report: Report,
) -> Trained:
    """Run the whole schedule; the weights that did best on validation data end up in the model."""
    optimiser = make_optimiser(model, plan)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == "float16")
    generator = torch.Generator().manual_seed(seed + 1)
    batches = training_batches(dataset.train, plan.batch_size, device, seed)
    clock = StepClock(device)
    watch = _Watch(model, dataset, plan, device=device, dtype=dtype, report=report)
    tokens = 0
    for step in range(1, plan.steps + 1):
        clock.start()
        batch = next(batches)
        rate = learning_rate(plan, step)
        loss = training_step(model, batch, optimiser, scaler, rate, plan.clip_norm, dtype)
        redraw(model, step, generator)
        clock.stop()
        tokens += batch.num_tokens
        watch.after(step, loss, rate)
    watch.restore_best()
    return Trained(
        curve=watch.curve,
        evaluations=watch.evaluations,
        best_step=watch.best_step,
        step_seconds=clock.seconds(),
        tokens=tokens,
    )


def make_optimiser(model: nn.Module, plan: Training) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay over everything that learns."""
    return torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=learning_rate(plan, 1),
        betas=(plan.beta1, plan.beta2),
        eps=plan.epsilon,
        weight_decay=plan.weight_decay,
    )


def batch_loss(batch: Batch) -> Callable[[nn.Module], Tensor]:
    """A model to its mean loss over a batch."""
    return lambda model: nn.functional.cross_entropy(
        model(batch.tokens, batch.padding), batch.labels
    )


def training_step(
    model: nn.Module,
    batch: Batch,
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    rate: float,
    clip_norm: float,
    dtype: str,
) -> Tensor:
    """Forward, backward, clip, step. Returns the loss, still on the device."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    with precision(batch.tokens.device, dtype):
        loss = batch_loss(batch)(model)
    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    if clip_norm:
        scaler.unscale_(optimiser)
        nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    scaler.step(optimiser)
    scaler.update()
    return loss.detach()


def evaluate(
    model: nn.Module, split: Split, batch_size: int, *, device: torch.device, dtype: str
) -> Outcome:
    """Loss and hits over a whole split, in its order."""
    model.eval()
    total = 0.0
    right: list[np.ndarray] = []
    with torch.no_grad():
        for batch in in_order(split, batch_size, device):
            with precision(device, dtype):
                scores = model(batch.tokens, batch.padding).float()
            total += float(nn.functional.cross_entropy(scores, batch.labels, reduction="sum"))
            right.append((scores.argmax(-1) == batch.labels).cpu().numpy())
    model.train()
    return Outcome(total / len(split), np.concatenate(right))


class _Watch:
    """Keeps the curve, evaluates, remembers the best weights and notices divergence."""

    def __init__(
        self,
        model: Classifier,
        dataset: Dataset,
        plan: Training,
        *,
        device: torch.device,
        dtype: str,
        report: Report,
    ) -> None:
        self.curve: list[CurvePoint] = []
        self.evaluations: list[Evaluation] = []
        self.best_step = 0
        self._best: Mapping[str, Tensor] = {}
        self._model, self._dataset, self._plan = model, dataset, plan
        self._device, self._dtype, self._report = device, dtype, report
        self._bound = LOSS_BOUND * np.log(max(2, dataset.num_classes))
        self._every = max(1, plan.steps // CURVE_POINTS)
        self._evaluate_every = plan.evaluate_every or max(1, plan.steps // 10)
        self._pending: list[Tensor] = []

    def after(self, step: int, loss: Tensor, rate: float) -> None:
        """To be called after every training step."""
        self._pending.append(loss)
        last = step == self._plan.steps
        if step % self._every == 0 or last:
            mean = float(torch.stack(self._pending).mean())
            self._pending.clear()
            if not mean <= self._bound:
                raise Diverged(
                    f"The training loss was {mean:.4g} at step {step} of {self._plan.steps}."
                    " Try a lower learning_rate, a longer warm-up or clip_norm with --set."
                )
            self.curve.append(CurvePoint(step=step, loss=mean, learning_rate=rate))
            self._report(Progress("train", step, self._plan.steps, mean))
        if step % self._evaluate_every == 0 or last:
            self._evaluate(step)

    def _evaluate(self, step: int) -> None:
        outcome = evaluate(
            self._model,
            self._dataset.validation,
            self._plan.batch_size,
            device=self._device,
            dtype=self._dtype,
        )
        better = not self.evaluations or outcome.accuracy > max(
            e.accuracy for e in self.evaluations
        )
        self.evaluations.append(Evaluation(step=step, loss=outcome.loss, accuracy=outcome.accuracy))
        if better:
            self.best_step = step
            self._best = copy.deepcopy(self._model.state_dict())

    def restore_best(self) -> None:
        self._model.load_state_dict(self._best)


def first_batch(dataset: Dataset, plan: Training, device: torch.device, seed: int) -> Batch:
    """The batch that training starts with."""
    batches: Iterator[Batch] = training_batches(dataset.train, plan.batch_size, device, seed)
    return next(batches)
