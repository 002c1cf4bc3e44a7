"""Trains a model on next tokens, a run for each learning rate, and goes on where it was stopped."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.decoder import NextTokenModel
from bench.errors import FailedGateError
from bench.next_token import next_token_loss, read_next_tokens
from bench.runners.checkpoints import Checkpoint
from bench.runners.distributed import ALONE, Ranks, load_model, load_optimiser, settle, whole
from bench.runners.inspection import redraw
from bench.runners.schedule import learning_rate
from bench.runners.train import Progress, Report, make_optimiser, precision
from bench.runners.trained import require_past_kept
from bench.stopwatch import StepClock
from results.language import TextOutcome
from tasks.api import Training
from tasks.language import Blocks, Corpus

LOSS_BOUND = 2.0
"""A loss this many times that of guessing has diverged."""


@dataclass(slots=True, kw_only=True)
class Run:
    """One training run so far: plain values, as they go into a checkpoint."""

    rate: float
    steps: int
    recovery: bool = True
    """Whether validation data are read along the way, and not only at the end."""
    earlier: int = 0
    """Steps of the runs before it, and `later` of those after it: progress is told of them all."""
    later: int = 0
    losses: list[float] = field(default_factory=list)
    evaluations: list[tuple[int, float, float]] = field(default_factory=list)
    """Step, loss and accuracy on validation data."""
    seconds: list[float] = field(default_factory=list)
    """Of steps, but for the first few after each start."""

    @property
    def diverged_at(self) -> int | None:
        """The step whose loss, or the validation loss after it, was beyond the bound: the last."""
        return len(self.losses) if self.losses and not math.isfinite(self.losses[-1]) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """What every run of a trial shares."""

    model: NextTokenModel
    corpus: Corpus
    plan: Training
    micro_batch: int
    device: torch.device
    dtype: str
    seed: int
    report: Report
    ranks: Ranks = ALONE

    @property
    def bound(self) -> float:
        """The largest loss that a run goes on from."""
        return LOSS_BOUND * math.log(max(2, len(self.model.head.weight)))


def train_run(
    here: Workplace, run: Run, checkpoint: Checkpoint, notes: dict[str, Any], saved: Any = None
) -> None:
    """Make the steps of a run that it has not made, from the model's weights as they are.

    It ends early where the loss diverges, in training or on validation data: the last of its losses
    is then infinity. Raises FailedGateError where what was trained sees the future.
    saved: of a checkpoint that this run left, put back first. notes: go into checkpoints as well.
    """
    settle(here.model)
    optimiser = make_optimiser(here.model, here.plan)
    generator = torch.Generator().manual_seed(here.seed + 1)
    if saved is not None:
        _put_back(here, optimiser, generator, saved)
    elif run.recovery:
        _evaluate(here, run, 0)
    clock, timed = StepClock(here.device), list(run.seconds)
    for step in range(len(run.losses) + 1, run.steps + 1):
        clock.start()
        loss = _step(here, optimiser, step, run)
        redraw(here.model, step, generator)
        run.losses.append(loss if loss <= here.bound else math.inf)
        clock.stop()
        run.seconds = timed + clock.seconds()
        here.report(
            Progress("train", run.earlier + step, run.earlier + run.steps + run.later, loss)
        )
        if run.diverged_at:
            return
        if step == run.steps or (run.recovery and step % _between(here.plan, run) == 0):
            _evaluate(here, run, step)
            if math.isinf(run.losses[-1]):
                return
        if step < run.steps and here.ranks.agrees(checkpoint.is_due):
            state = _kept(here, optimiser, generator, run)
            if here.ranks.rank == 0:
                checkpoint.save(notes | state)
    _require_sound(here, checkpoint)


def _require_sound(here: Workplace, checkpoint: Checkpoint) -> None:
    """A trial that ends here must not go on from its checkpoint when it is run again."""
    places: dict[str, Any] = {"device": here.device, "dtype": here.dtype}
    try:
        require_past_kept(here.model, here.corpus.validation, num=here.micro_batch, **places)
    except FailedGateError:
        checkpoint.forget()
        raise


def _between(plan: Training, run: Run) -> int:
    """Steps from one evaluation to the next."""
    return plan.evaluate_every or max(1, run.steps // 10)


def _step(here: Workplace, optimiser: torch.optim.Optimizer, step: int, run: Run) -> float:
    """The mean loss over the batch; parameters are left alone where it is beyond the bound."""
    plan = here.plan
    rows = order(len(here.corpus.train), plan.batch_size, step, here.seed)
    blocks = here.corpus.train[rows]
    predictions = blocks[:, 1:].size
    optimiser.zero_grad(set_to_none=True)
    total = torch.zeros((), device=here.device)
    for part in _parts(here.ranks.part(blocks), here.micro_batch):
        loss = block_loss(here.model, part, here.device, here.dtype) / predictions
        loss.backward()
        total += loss.detach()
    value = float(here.ranks.total(total))
    if not value <= here.bound:
        return value
    if plan.clip_norm:
        torch.nn.utils.clip_grad_norm_(here.model.parameters(), plan.clip_norm)
    rate = learning_rate(replace(plan, learning_rate=run.rate, steps=run.steps), step)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    return value


def _parts(blocks: np.ndarray, size: int) -> list[np.ndarray]:
    return np.split(blocks, range(size, len(blocks), size))


def order(num_blocks: int, batch_size: int, step: int, seed: int) -> np.ndarray:
    """The blocks of a step, from 1: every epoch holds each block once, in an order of its own. It
    follows from step and seed alone, so that nothing of it need be kept."""
    first = (step - 1) * batch_size
    epochs = range(first // num_blocks, (first + batch_size - 1) // num_blocks + 1)
    shuffled = [np.random.default_rng([seed, 0x7465, e]).permutation(num_blocks) for e in epochs]
    start = first % num_blocks
    return np.concatenate(shuffled)[start : start + batch_size]


def block_loss(model: NextTokenModel, blocks: Blocks, device: torch.device, dtype: str) -> Tensor:
    """The sum over all predictions of these blocks, differentiable."""
    tokens = torch.from_numpy(blocks.astype(np.int64)).to(device)
    with precision(device, dtype):
        # The last token is read too: stretches stay whole, and its own prediction is dropped.
        hidden = model(tokens)[:, :-1]
        return next_token_loss(hidden.flatten(0, 1), model.head, tokens[:, 1:].flatten())


def outcome(here: Workplace, blocks: Blocks) -> tuple[TextOutcome, np.ndarray]:
    """Losses of blocks, and which predictions were right, `[block, prediction]`."""
    model = here.model
    model.eval()
    losses, hits = [], []
    with torch.no_grad():
        for part in _parts(here.ranks.part(blocks), here.micro_batch):
            tokens = torch.from_numpy(part.astype(np.int64)).to(here.device)
            with precision(here.device, here.dtype):
                hidden = model(tokens)[:, :-1]
            read = read_next_tokens(hidden.flatten(0, 1), model.head, tokens[:, 1:].flatten())
            losses.append(read.losses.view(len(part), -1).double().mean(1).cpu())
            hits.append(read.hits.view(len(part), -1).byte().cpu())
    model.train()
    by_block, right = (
        here.ranks.all_of(torch.cat(parts))[: len(blocks)].numpy() for parts in (losses, hits)
    )
    right = right.astype(bool)
    return (
        TextOutcome(
            loss=float(by_block.mean()),
            accuracy=float(right.mean()),
            block_losses=by_block.tolist(),
            block_hits=right.sum(1).tolist(),
        ),
        right,
    )


def _evaluate(here: Workplace, run: Run, step: int) -> None:
    here.report(Progress("validate", step, run.steps))
    found, _ = outcome(here, here.corpus.validation)
    if step and not found.loss <= here.bound:
        # The last update was too much, which its own loss, taken before it, does not show.
        run.losses[-1] = math.inf
        return
    run.evaluations.append((step, found.loss, found.accuracy))


def _kept(
    here: Workplace, optimiser: torch.optim.Optimizer, generator: torch.Generator, run: Run
) -> dict[str, Any]:
    return {
        "run": asdict(run),
        "model": whole(here.model.state_dict()),
        "optimiser": whole(optimiser.state_dict()),
        "generator": generator.get_state(),
        "random": here.ranks.all_of(torch.get_rng_state()[None]),
        "gpu": here.ranks.all_of(torch.cuda.get_rng_state(here.device)[None])
        if here.device.type == "cuda"
        else None,
    }


def _put_back(
    here: Workplace,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    saved: dict[str, Any],
) -> None:
    load_model(here.model, saved["model"])
    load_optimiser(optimiser, saved["optimiser"])
    generator.set_state(saved["generator"].cpu())
    rank = here.ranks.rank
    # Saved by fewer processes, it leaves the others as they began.
    if rank < len(saved["random"]):
        torch.set_rng_state(saved["random"][rank].cpu())
    if saved["gpu"] is not None and rank < len(saved["gpu"]):
        torch.cuda.set_rng_state(saved["gpu"][rank].cpu(), here.device)
