"""Looks into a model at work: what its attention modules receive, and what their state weighs."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from methods.api import Redraws, UnsupportedError
from methods.core.attention import BuiltAttention
from methods.core.multihead import state_bytes


class Received(NamedTuple):
    """The inputs of one attention module in one forward pass."""

    module: BuiltAttention
    q: Tensor
    k: Tensor
    v: Tensor
    causal: bool
    key_padding: Tensor | None


def received(model: nn.Module, forward: Callable[[], object]) -> list[Received]:
    """What every attention module of the model receives during one forward pass."""
    seen: list[Received] = []
    _watch(model, forward, seen.append)
    return seen


def calibrate(model: nn.Module, forward: Callable[[], object]) -> None:
    """Let every part that asks for it set itself from what it receives while `forward` runs.

    That may be any number of passes over training data: nothing of them is kept but sums. Raises
    UnsupportedError where something asks and there was no pass.
    """
    asking = [m for m in model.modules() if isinstance(m, BuiltAttention) and m.wants_calibration]
    if not asking:
        return
    heard = False

    def observe(one: Received) -> None:
        nonlocal heard
        heard = True
        one.module.observe(one.q, one.k, key_padding=one.key_padding)

    _watch(model, forward, observe)
    if not heard:
        raise UnsupportedError("There is no text to calibrate on: raise calibration_blocks.")
    for module in asking:
        module.settle()


def _watch(
    model: nn.Module, forward: Callable[[], object], see: Callable[[Received], None]
) -> None:
    """Show what attention modules receive while `forward` runs without gradients."""

    def note(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> None:
        assert isinstance(module, BuiltAttention)
        q, k, v = (x.detach() for x in args)
        padding = kwargs.get("key_padding")
        assert padding is None or isinstance(padding, Tensor)
        see(Received(module, q, k, v, bool(kwargs.get("causal")), padding))

    hooks = [
        module.register_forward_pre_hook(note, with_kwargs=True)
        for module in model.modules()
        if isinstance(module, BuiltAttention)
    ]
    try:
        with torch.no_grad():
            forward()
    finally:
        for hook in hooks:
            hook.remove()


def redraw(model: nn.Module, step: int, generator: torch.Generator) -> None:
    """Draw anew in every part whose turn it is after this step."""
    for module in model.modules():
        if isinstance(module, Redraws) and module.redraw_every and step % module.redraw_every == 0:
            module.redraw(generator)


def collapsed_rows(model: nn.Module, forward: Callable[[], object]) -> float | None:
    """Share of attention rows whose normaliser underflowed; None where no method has one."""
    rows = collapsed = 0
    for one in received(model, forward):
        normaliser = one.module.normaliser(
            one.q, one.k, causal=one.causal, key_padding=one.key_padding
        )
        if normaliser is None:
            return None
        # Rows that see no key have an infinite normaliser: they do not count.
        rows += int(normaliser.isfinite().sum())
        collapsed += int((normaliser == 0).sum())
    return collapsed / rows if rows else None


def decoding_state_bytes(model: nn.Module, forward: Callable[[], object]) -> int | None:
    """Bytes of all layers' decoding state for one sequence, measured; None where it has none."""
    total = 0
    for one in received(model, forward):
        if not one.module.method.can.stepwise:
            return None
        _, state = one.module.prefill(one.q[:1], one.k[:1], one.v[:1])
        total += state_bytes(state)
    return total or None
