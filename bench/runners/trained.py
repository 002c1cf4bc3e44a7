"""What a trained model must still keep. The gate sees a method before it has learned anything, and
before its hundredth call; what only shows later would be in the accuracy."""

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import FailedGateError
from bench.runners.batches import Batch, take
from bench.runners.train import precision
from methods.core.laws import LawBrokenError, require_close
from methods.core.subject import SECRET
from tasks.api import Split

TOLERANCE = 1e-3
"""Of the largest number, in float32: many layers, each with its rounding."""
EXAMPLES = 4
"""Test examples or blocks that are looked at."""


@torch.no_grad()
def require_past_kept(
    model: nn.Module, blocks: np.ndarray, *, num: int, device: torch.device, dtype: str
) -> None:
    """Raises FailedGateError where later tokens of a block move what a causal model makes of
    earlier ones. blocks: tokens, `[block, time]`, of which `num` at most are looked at."""
    length = blocks.shape[1]
    rows = [SECRET.randrange(len(blocks)) for _ in range(min(num, EXAMPLES))]
    now = SECRET.randint(length // 2, length - 1)
    tokens = torch.from_numpy(blocks[rows].astype(np.int64)).to(device)
    changed = tokens.clone()
    # Tokens of the text, but at other places.
    changed[:, now:] = tokens[:, : length - now].flip(0, 1)
    model.eval()
    with precision(device, dtype):
        before, after = (model(x)[:, :now] for x in (tokens, changed))
    model.train()
    what = f"of {length} tokens, what the trained model makes of those before {now} moved when the"
    _require(after, before, "future-not-seen", f"{what} later ones changed,", dtype)


@torch.no_grad()
def require_example_alone(
    model: nn.Module, split: Split, *, device: torch.device, dtype: str
) -> None:
    """Raises FailedGateError where an example's scores move with its neighbours in the batch, or
    with any label."""
    batch = take(split, np.array([SECRET.randrange(len(split)) for _ in range(EXAMPLES)]), device)
    tokens, place = batch.tokens.flip(0, -1), SECRET.randrange(EXAMPLES)
    if batch.padding is not None:
        tokens = tokens.masked_fill(batch.padding, 0)
    tokens[place] = batch.tokens[place]
    labels = (batch.labels + 1) % (int(split.labels.max()) + 1)
    model.eval()
    before = _scores(model, batch, device, dtype)[place]
    after = _scores(model, batch._replace(tokens=tokens, labels=labels), device, dtype)[place]
    model.train()
    what = "the trained model's scores of an example moved when its neighbours and labels changed,"
    _require(after, before, "batch-neighbours-not-seen", what, dtype)


def _scores(model: nn.Module, batch: Batch, device: torch.device, dtype: str) -> Tensor:
    with precision(device, dtype):
        scores: Tensor = model(batch.tokens, batch.padding)
    return scores


def _require(after: Tensor, before: Tensor, law: str, what: str, dtype: str) -> None:
    # The autocast's precision, in which a tensor of float32 may have been computed.
    narrow = getattr(torch, dtype)
    try:
        require_close(after.to(narrow), before.to(narrow), what, TOLERANCE)
    except LawBrokenError as error:
        raise FailedGateError(f"{law}: {error}") from error
