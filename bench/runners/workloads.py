"""What a cost cell times: one call of a method on random inputs of one length, nothing around it.

Inputs are normal numbers in the trial's dtype; a half precision runs under autocast, as in
training. What is built, drawn and filled beforehand stays outside the call.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bench.runners.train import precision
from methods.api import Heads, Method, UnsupportedError
from methods.core import capabilities
from methods.core.attention import BuiltAttention, build_attention
from methods.core.multihead import BuiltMixer, MultiHeadMixer, build_mixer, state_bytes, tensors
from results.curve import Mode
from tasks.sweep import Sweep


class Contestant(NamedTuple):
    """A method with its options."""

    method: Method
    options: Mapping[str, Any]


class Place(NamedTuple):
    """Where a cell stands on a curve."""

    mode: Mode
    causal: bool
    length: int


class Conditions(NamedTuple):
    """What is the same for every cell of a trial."""

    sweep: Sweep
    dtype: str
    device: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A call, and all that it reads."""

    call: Callable[[], Any]
    """Returns its results as tensors in tuples."""
    given: tuple[Tensor, ...]
    """Inputs, weights and, when decoding, the state."""
    inputs: tuple[Tensor, ...]
    """What may be changed between two calls, time before last; when decoding, the token."""
    state: Any = None
    """What decoding keeps; None in the other modes."""

    @property
    def given_bytes(self) -> int:
        return state_bytes(self.given)

    @property
    def state_bytes(self) -> int | None:
        return None if self.state is None else state_bytes(self.state)


def build_workload(
    contestant: Contestant, place: Place, conditions: Conditions, state: Any = None
) -> Workload:
    """The call of this cell. Raises what the method raises where it cannot be built like this.

    `state`: what decoding goes on from; None: what the method makes of the context itself.
    """
    method, sweep = contestant.method, conditions.sweep
    capabilities.require_direction(method, place.causal)
    heads = Heads(
        num_heads=sweep.num_heads,
        head_dim=sweep.head_dim,
        num_kv_heads=sweep.num_heads,
        max_time=place.length + (place.mode == "decode"),
    )
    inputs = _Inputs(conditions)
    generator = torch.Generator().manual_seed(conditions.seed)
    if sweep.level == "kernel":
        attention = build_attention(method, heads, generator, **contestant.options)
        return _on_kernel(inputs.placed(attention), place, inputs, state)
    d_model = sweep.num_heads * sweep.head_dim
    mixer = build_mixer(
        method,
        d_model=d_model,
        qkv_dim=d_model,
        heads=heads,
        causal=place.causal,
        generator=generator,
        **contestant.options,
    )
    return _on_layer(inputs.placed(mixer), method, place, inputs, state)


class _Inputs:
    """Draws tensors as a trial's conditions ask."""

    def __init__(self, conditions: Conditions) -> None:
        self.sweep = conditions.sweep
        self.device = torch.device(conditions.device)
        self.dtype_name = conditions.dtype
        self.dtype: torch.dtype = getattr(torch, conditions.dtype)
        # Weights stay in float32 where the trial computes in half precision.
        self.wide = torch.promote_types(self.dtype, torch.float32)
        self._generator = torch.Generator(self.device).manual_seed(conditions.seed)

    def placed(self, module: Any) -> Any:
        """The module on the device; in float64, in that."""
        return module.to(self.device, self.dtype if self.dtype == torch.float64 else None)

    def heads(self, time: int) -> Tensor:
        sweep = self.sweep
        return self._normal(sweep.batch, sweep.num_heads, time, sweep.head_dim, dtype=self.dtype)

    def tokens(self, time: int) -> Tensor:
        sweep = self.sweep
        return self._normal(sweep.batch, time, sweep.num_heads * sweep.head_dim, dtype=self.wide)

    def precision(self) -> Any:
        return precision(self.device, self.dtype_name)

    def _normal(self, *shape: int, dtype: torch.dtype) -> Tensor:
        return torch.randn(shape, generator=self._generator, dtype=dtype, device=self.device)


def _on_kernel(attention: BuiltAttention, place: Place, inputs: _Inputs, state: Any) -> Workload:
    method = attention.method
    attention.train(place.mode == "training")
    if place.mode == "decode":
        if _decodes_from_cache(method):
            return _kernel_from_cache(attention, place.length, inputs)
        capabilities.require_stepwise(method)
        context = tuple(inputs.heads(place.length) for _ in "qkv")
        return _stepwise(attention, context, inputs, state)
    qkv = tuple(inputs.heads(place.length) for _ in "qkv")

    def attend() -> Tensor:
        with inputs.precision():
            o: Tensor = attention(*qkv, causal=place.causal)
        return o

    return _whole(attention, attend, qkv, place, inputs.heads)


def _on_layer(
    mixer: BuiltMixer, method: Method, place: Place, inputs: _Inputs, state: Any
) -> Workload:
    mixer.train(place.mode == "training")
    if place.mode == "decode":
        if isinstance(mixer, MultiHeadMixer) and _decodes_from_cache(method):
            return _layer_from_cache(mixer, place.length, inputs)
        capabilities.require_stepwise(method)
        return _stepwise(mixer, (inputs.tokens(place.length),), inputs, state)
    x = inputs.tokens(place.length)

    def mix() -> Tensor:
        with inputs.precision():
            y: Tensor = mixer(x)
        return y

    return _whole(mixer, mix, (x,), place, inputs.tokens)


def _whole(
    module: nn.Module,
    forward: Callable[[], Tensor],
    given: tuple[Tensor, ...],
    place: Place,
    draw: Callable[[int], Tensor],
) -> Workload:
    """A whole sequence, forward or forward and backward."""
    read = (*given, *module.parameters(), *module.buffers())
    if place.mode == "forward":

        def call() -> Tensor:
            with torch.no_grad():
                return forward()

        return Workload(call=call, given=read, inputs=given)
    wanted = [x.requires_grad_() for x in given]
    wanted += [p for p in module.parameters() if p.requires_grad]
    grad = draw(place.length)

    def call_both() -> tuple[Tensor | None, ...]:
        o = forward()
        if not o.requires_grad:
            raise UnsupportedError("What it returns has no gradient: it cannot be trained.")
        return (o.detach(), *torch.autograd.grad(o, wanted, grad.to(o.dtype), allow_unused=True))

    return Workload(call=call_both, given=(*read, grad), inputs=given)


def _stepwise(module: Any, context: tuple[Tensor, ...], inputs: _Inputs, state: Any) -> Workload:
    """Of a built attention or mixer: one token more, from the state that the context has left."""
    if state is None:
        with torch.no_grad(), inputs.precision():
            _, state = module.prefill(*context)
    draw = inputs.heads if isinstance(module, BuiltAttention) else inputs.tokens
    token = tuple(draw(1) for _ in context)

    def call() -> Any:
        with torch.no_grad(), inputs.precision():
            return module.step(*token, state)

    read = (*token, *module.parameters(), *module.buffers())
    return Workload(call=call, given=(*read, *tensors(state)), inputs=token, state=state)


def _decodes_from_cache(method: Method) -> bool:
    """Exact attention without a state of its own keeps every key and value, and one query sees
    them all: cross attention."""
    return is_exact(method) and method.can.cross and not method.can.stepwise


def is_exact(method: Method) -> bool:
    """Whether it is softmax attention, or says so."""
    return "softmax" in (method.name, method.same_as)


def _kernel_from_cache(attention: BuiltAttention, context: int, inputs: _Inputs) -> Workload:
    cache = inputs.heads(context + 1), inputs.heads(context + 1)
    token = tuple(inputs.heads(1) for _ in "qkv")

    def call() -> Tensor:
        with torch.no_grad(), inputs.precision():
            return _attend_cache(attention, token, cache)

    return Workload(call=call, given=(*token, *cache), inputs=token, state=cache)


def _layer_from_cache(mixer: MultiHeadMixer, context: int, inputs: _Inputs) -> Workload:
    cache = inputs.heads(context + 1), inputs.heads(context + 1)
    token = inputs.tokens(1)

    def call() -> Tensor:
        with torch.no_grad(), inputs.precision():
            o = _attend_cache(mixer.attention, mixer.project(token), cache)
            y: Tensor = mixer.o_proj(o.transpose(1, 2).flatten(2))
        return y

    given = (token, *mixer.parameters(), *cache)
    return Workload(call=call, given=given, inputs=(token,), state=cache)


def _attend_cache(
    attention: BuiltAttention, token: tuple[Tensor, ...], cache: tuple[Tensor, Tensor]
) -> Tensor:
    """The token's key and value take the last place, which was kept free for them."""
    q, *key_and_value = token
    for kept, new in zip(cache, key_and_value, strict=True):
        kept[:, :, -1:] = new
    o: Tensor = attention(q, *cache, causal=False)
    return o
