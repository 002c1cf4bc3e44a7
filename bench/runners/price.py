"""Measures what a training step costs beside its time: operations, bytes, parameters, state."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from bench.counters import TORCH_OPERATIONS, analytic_attention_flops, count_call
from bench.runners.distributed import is_sharded
from bench.runners.inspection import collapsed_rows, decoding_state_bytes, received
from bench.runners.train import precision

Model = TypeVar("Model", bound=nn.Module)


def price_of_step(
    model: Model, loss_of: Callable[[Model], Tensor], *, device: torch.device, dtype: str
) -> dict[str, Any]:
    """Operations, bytes moved and kernels of one forward and backward pass.

    On a copy, with the random state put back: measuring must not change what is measured. A model
    in parts over several devices, which may be too large for one, is measured itself.
    """
    twin = model if is_sharded(model) else copy.deepcopy(model)

    def step() -> None:
        with precision(device, dtype):
            loss = loss_of(twin)
        loss.backward()  # type: ignore[no-untyped-call]

    with torch.random.fork_rng():
        counts = count_call(step)
    # What gathers the parts of a model fills tensors that no operation is seen to write.
    outside = counts.outside and not is_sharded(model)
    flops: int | None = counts.flops
    how = "counted, forward and backward, 2 per multiply-add"
    if outside:
        flops, how = None, "not counted: work is done outside torch's operations"
    elif counts.blind:
        unseen = _unseen_flops(twin, lambda: loss_of(twin), device, dtype)
        flops = None if unseen is None else counts.flops + unseen
        how += f"; the counter is blind to {', '.join(counts.blind)}"
        how += "" if unseen is None else ", which is added by the formula of exact attention"
    twin.zero_grad(set_to_none=True)
    return {
        "flops_per_step": flops,
        "flops_method": how,
        "bytes_moved_per_step": None if outside else counts.bytes_moved,
        "kernels": list(counts.kernels) or ([] if outside else [TORCH_OPERATIONS]),
    }


def _unseen_flops(
    model: nn.Module, forward: Callable[[], object], device: torch.device, dtype: str
) -> int | None:
    """What attention kernels unknown to the counter compute, by formula; None if none is known."""
    total = 0
    with precision(device, dtype):
        calls = received(model, forward)
    for one in calls:
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


def sizes(model: nn.Module, tables: Sequence[Tensor]) -> dict[str, int]:
    """Parameters that learn, with and without the tables that only look up."""
    total = sum(p.numel() for p in model.parameters() if p.requires_grad)
    looked_up = sum(p.numel() for p in tables if p.requires_grad)
    return {"parameters": total, "non_embedding_parameters": total - looked_up}


def after_training(
    model: nn.Module, forward: Callable[[], object], *, device: torch.device, dtype: str
) -> dict[str, Any]:
    """What the trained attention shows on validation data."""

    def in_precision() -> None:
        with precision(device, dtype):
            forward()

    model.eval()
    return {
        "collapsed_rows": collapsed_rows(model, in_precision),
        "state_bytes": decoding_state_bytes(model, in_precision),
    }
