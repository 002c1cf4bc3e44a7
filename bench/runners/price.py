"""Measures what a training step costs beside its time: operations, bytes, parameters, state."""

import copy
from typing import Any

import torch
from torch import nn

from bench.counters import analytic_attention_flops, count_call
from bench.model import Classifier
from bench.runners.batches import Batch
from bench.runners.inspection import collapsed_rows, decoding_state_bytes, received
from bench.runners.train import precision


def price_of_step(model: Classifier, batch: Batch, dtype: str) -> dict[str, Any]:
    """Operations, bytes moved and kernels of one forward and backward pass.

    On a copy, with the random state put back: measuring must not change what is measured.
    """
    twin = copy.deepcopy(model)

    def step() -> None:
        with precision(batch.tokens.device, dtype):
            loss = nn.functional.cross_entropy(twin(batch.tokens, batch.padding), batch.labels)
        loss.backward()  # type: ignore[no-untyped-call]

    with torch.random.fork_rng():
        counts = count_call(step)
    flops: int | None = counts.flops
    how = "counted, forward and backward, 2 per multiply-add"
    if counts.blind:
        unseen = _unseen_flops(twin, batch, dtype)
        flops = None if unseen is None else counts.flops + unseen
        how += f"; the counter is blind to {', '.join(counts.blind)}"
        how += "" if unseen is None else ", which is added by the formula of exact attention"
    return {
        "tokens_per_step": batch.num_tokens,
        "flops_per_step": flops,
        "flops_method": how,
        "bytes_moved_per_step": counts.bytes_moved,
        "kernels": list(counts.kernels),
    }


def _unseen_flops(model: Classifier, batch: Batch, dtype: str) -> int | None:
    """What attention kernels unknown to the counter compute, by formula; None if none is known."""

    def forward() -> None:
        with precision(batch.tokens.device, dtype):
            model(batch.tokens, batch.padding)

    total = 0
    for one in received(model, forward):
        if "softmax" not in (one.module.method.name, one.module.method.same_as):
            return None
        total += analytic_attention_flops(
            "exact",
            batch=one.q.shape[0],
            heads=one.q.shape[1],
            query_time=one.q.shape[2],
            key_time=one.k.shape[2],
            head_dim=one.q.shape[3],
            value_dim=one.v.shape[3],
            backward=True,
        )
    return total or None


def sizes(model: Classifier) -> dict[str, int]:
    """Parameters, with and without the tables that only look up."""
    total = sum(p.numel() for p in model.parameters() if p.requires_grad)
    tables = model.embedding.weight.numel()
    if model.positions is not None and model.positions.requires_grad:
        tables += model.positions.numel()
    return {"parameters": total, "non_embedding_parameters": total - tables}


def after_training(model: Classifier, batch: Batch, dtype: str) -> dict[str, Any]:
    """What the trained attention shows on validation data."""

    def forward() -> None:
        with precision(batch.tokens.device, dtype):
            model(batch.tokens, batch.padding)

    model.eval()
    return {
        "collapsed_rows": collapsed_rows(model, forward),
        "state_bytes": decoding_state_bytes(model, forward),
    }
