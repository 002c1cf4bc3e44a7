"""What transformers calls in a swapped model: attention functions and their mask.

transformers keeps both under a name, for all models. What a call needs to know stands on the
attention module that makes it, so models share nothing but these functions.
"""

import math
import sys
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from methods.api import KeyPadding, Keys, Outputs, Queries, UnsupportedError, Values
from methods.core import capabilities
from methods.core.attention import BuiltAttention, KernelAttention
from methods.core.pretrained_layers import SURVEY, watch

NAME = "attention-bench"
CALIBRATION = "attention-bench-calibration"

ATTENTION = "bench_attention"
"""The name of a method's attention within the attention module that it stands in for."""

LAYER = "bench_layer"
CONTINUED = "bench_continued"

PaddingMask = Bool[Tensor, "b all"]
"""As transformers has it, True where there is a token: of all tokens, those in a cache too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What an attention module of a swapped model knows about itself."""

    number: int
    exactly: str
    """The attention implementation that the model had before."""
    window: int | None
    """Tokens that may come at most, since the model would see no further back."""


@dataclass(slots=True)
class Continuation:
    """What the cache of one layer keeps: the state, and the keys that just came."""

    state: Any = None
    fresh: Keys | None = None
    """So that the attention can tell that it is given what the cache was given."""


def register() -> None:
    """Tell transformers. As often as one likes."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, padding_mask)
    AttentionInterface.register(CALIBRATION, listen)
    AttentionMaskInterface.register(CALIBRATION, padding_mask)
    AttentionInterface.register(SURVEY, watch)
    AttentionMaskInterface.register(SURVEY, _no_mask)


def attend(
    module: torch.nn.Module,
    query: Queries,
    key: Keys,
    value: Values,
    attention_mask: PaddingMask | None,
    **given: Any,
) -> tuple[Float[Tensor, "b t h v"], Any]:
    """The method of this layer, or the model's own attention where the layer was left exact.

    Dropout of attention weights is left out of every method: most have no weights.
    """
    layer = _layer(module)
    attention = getattr(module, ATTENTION, None)
    if attention is None:
        return attend_exactly(module, query, key, value, attention_mask, **given)
    q, k, v = as_ours(attention, query, key, value, given.get("scaling"))
    continuation = module.__dict__.pop(CONTINUED, None)
    if continuation is not None:
        o = _go_on(attention, continuation, key, (q, k, v), attention_mask)
    else:
        if layer.window is not None and k.shape[2] > layer.window:
            raise UnsupportedError(
                f"Layer {layer.number} sees the last {layer.window} tokens only, and {k.shape[2]}"
                " came. Give shorter sequences, or swap with the max_time that they have."
            )
        o = _whole(attention, q, k, v, _key_padding(attention_mask))
    return o.transpose(1, 2).contiguous(), None


def listen(
    module: torch.nn.Module,
    query: Queries,
    key: Keys,
    value: Values,
    attention_mask: PaddingMask | None,
    **given: Any,
) -> tuple[Tensor, Any]:
    """The model's own attention; methods that calibrate themselves hear its queries and keys."""
    attention = getattr(module, ATTENTION, None)
    if attention is not None and attention.wants_calibration:
        q, k, _ = as_ours(attention, query, key, value, given.get("scaling"))
        attention.observe(q, k, key_padding=_key_padding(attention_mask))
    return attend_exactly(module, query, key, value, attention_mask, **given)


def as_ours(
    attention: BuiltAttention, query: Queries, key: Keys, value: Values, scaling: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values such that softmax(q.k / sqrt(d)) are the model's own weights.

    In dtypes that the method takes; keys are repeated only where it cannot share them among heads.
    """
    if isinstance(attention, KernelAttention):
        wide = torch.promote_types(query.dtype, torch.float32)
        query, key = query.to(wide), key.to(wide)
    else:
        # Under autocast rotated queries and keys are wider than values.
        query, key = query.to(value.dtype), key.to(value.dtype)
    factor = 1.0 if scaling is None else scaling * math.sqrt(query.shape[-1])
    if not math.isclose(factor, 1.0):
        query = query * factor
    repeats = attention.heads.num_kv_heads // key.shape[1]
    if repeats > 1:
        key, value = (x.repeat_interleave(repeats, 1) for x in (key, value))
    return query, key, value


def attend_exactly(
    module: torch.nn.Module,
    query: Queries,
    key: Keys,
    value: Values,
    attention_mask: PaddingMask | None,
    **given: Any,
) -> tuple[Tensor, Any]:
    """What the model did before the swap, with the mask that it had."""
    from transformers.masking_utils import (
        ALL_MASK_ATTENTION_FUNCTIONS,
        causal_mask_function,
        sliding_window_causal_mask_function,
    )
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    name = _layer(module).exactly
    # Written out, it stands in the module of each model.
    written_out = vars(sys.modules[type(module).__module__]).get("eager_attention_forward")
    function = written_out if name == "eager" else ALL_ATTENTION_FUNCTIONS[name]
    window, times = given.get("sliding_window"), (query.shape[2], key.shape[2])
    mask = ALL_MASK_ATTENTION_FUNCTIONS[name](
        batch_size=len(query),
        q_length=times[0],
        kv_length=times[1],
        q_offset=times[1] - times[0],
        mask_function=sliding_window_causal_mask_function(window)
        if window
        else causal_mask_function,
        attention_mask=attention_mask,
        local_size=window,
        dtype=query.dtype,
        config=module.config,
        device=query.device,
    )
    return function(module, query, key, value, mask, **given)


def padding_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: Any = 0,
    kv_offset: Any = 0,
    *,
    attention_mask: PaddingMask | None = None,
    local_size: int | None = None,
    allow_is_causal_skip: bool = True,
    config: Any = None,
    **rest: Any,
) -> Bool[Tensor, "b s"] | None:
    """Which keys are no padding, or None for all; never a tensor of time x time.

    Raises UnsupportedError for what is more than causality, padding and a window.
    """
    del batch_size, rest
    if not allow_is_causal_skip:
        raise UnsupportedError(
            "A swapped model takes causal attention with padding, and no packed sequences, other"
            " masks or attention both ways. Give one sequence in each row, padded."
        )
    if local_size is not None and local_size != getattr(config, "sliding_window", None):
        raise UnsupportedError("A swapped model takes no attention in chunks.")
    if q_offset + q_length != kv_offset + kv_length:
        raise UnsupportedError(
            "A swapped model takes no cache of a fixed length, nor keys before the first token."
            " Use the default cache, or recurrent_cache."
        )
    if attention_mask is None:
        return None
    if attention_mask.shape[1] < kv_offset + kv_length:
        raise ValueError(
            f"The attention mask covers {attention_mask.shape[1]} tokens, and there are"
            f" {kv_offset + kv_length} with those in the cache."
        )
    kept = attention_mask[:, kv_offset : kv_offset + kv_length]
    return None if kept.all() else kept


def _no_mask(**given: Any) -> None:
    del given


def _layer(module: torch.nn.Module) -> Layer:
    layer = module.__dict__.get(LAYER)
    if layer is None:
        raise UnsupportedError(
            f"A {type(module).__name__} was called that took no part when attention was swapped,"
            " such as cross attention, or that of another model. Use swap_attention."
        )
    return layer


def _key_padding(mask: PaddingMask | None) -> KeyPadding | None:
    return None if mask is None else ~mask


def _whole(
    attention: BuiltAttention, q: Queries, k: Keys, v: Values, key_padding: KeyPadding | None
) -> Outputs:
    """Fewer queries than keys come from a cache of keys: they are the last, and what comes before
    them is computed for nothing."""
    missing = k.shape[2] - q.shape[2]
    if missing:
        q = pad(q, (0, 0, missing, 0))
    return attention(q, k, v, causal=True, key_padding=key_padding)[:, :, missing:]


def _go_on(
    attention: BuiltAttention,
    continuation: Continuation,
    key: Keys,
    inputs: tuple[Queries, Keys, Values],
    mask: PaddingMask | None,
) -> Outputs:
    fresh, continuation.fresh = continuation.fresh, None
    if fresh is not key:
        raise UnsupportedError(
            "The cache of a layer was given other keys than its attention: the model changes them,"
            " or an error came in between. Use the default cache, or make a new one."
        )
    padding = None if mask is None else ~mask[:, -key.shape[2] :]
    if padding is not None and not padding.any():
        padding = None
    if continuation.state is None:
        o, continuation.state = attention.prefill(*inputs, key_padding=padding)
        return o
    if padding is not None:
        raise UnsupportedError(
            f"{attention.method.name} cannot go on with padding among the next tokens. Pad the"
            " first ones, on their left."
        )
    capabilities.require_stepwise(attention.method)
    o, continuation.state = attention.step(*inputs, continuation.state)
    return o
