"""Swap the attention of a pretrained model: a method in place of softmax, all else as it was.

    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(...)
    swap_attention(model, METHOD, num_features=256)

The projections, the rotation by position and the groups of heads stay the model's own. A method's
numbers become part of each layer, under `bench_attention`: of `state_dict`, of `parameters`, of
what is saved. To load what was saved, swap with the same method, sizes and options, and then call
`load_state_dict`.
"""

import contextlib
import functools
import inspect
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from methods.api import Heads, Method, UnsupportedError
from methods.core import capabilities
from methods.core.attention import BuiltAttention, KernelAttention, build_attention
from methods.core.pretrained_calls import require_call
from methods.core.pretrained_configs import Taken, give_back, take_configs
from methods.core.pretrained_interface import (
    ATTENTION,
    CALIBRATION,
    CONTINUED,
    LAYER,
    NAME,
    Layer,
    register,
)
from methods.core.pretrained_layers import (
    SEEN,
    Place,
    choose,
    longest_sequence,
    require_swappable,
    survey,
    undisturbed,
)
from methods.core.recurrent_cache import layer_class

INSTALL = "pip install 'attention-bench[models]'"
UNDO = "bench_undo"
TOKEN_TYPES = (torch.int32, torch.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """What was done to a model."""

    layers: tuple[int, ...]
    """Those whose attention is the method's now."""
    exact: dict[int, str]
    """Those left as they were, each with the reason."""
    attentions: tuple[BuiltAttention, ...]
    """One for each of `layers`, in their order; they are parts of the model."""


@dataclass(slots=True, kw_only=True)
class _Undo:
    """What `restore_attention` puts back."""

    configs: list[Taken]
    guard: Any


def swap_attention(
    model: torch.nn.Module,
    method: Method,
    *,
    layers: Sequence[int] | None = None,
    seed: int = 0,
    max_time: int | None = None,
    calibration: Iterable[Tensor] | None = None,
    **options: Any,
) -> Swap:
    """Put `method` into the attention layers of a causal model of the package transformers.

    layers: their numbers; by default every layer that can be swapped, and the others are named in
    `Swap.exact`. A layer cannot be swapped that sees only a window shorter than the sequence or
    caps its scores. max_time: the longest sequence in tokens, by default what the model was made
    for. calibration: batches of token numbers `[batch, time]`, read one at a time through the model
    as it was, for methods that set themselves from queries and keys: these warn where it is None.
    Dropout of attention weights is left out, whatever the method: most have no weights.

    Raises UnsupportedError, which names layer and reason, and leaves the model as it was.
    """
    capabilities.import_package("swap_attention", "transformers", INSTALL)
    can = require_swappable(method, options).can
    _require_untouched(model)
    time = longest_sequence(model, max_time)
    register()
    with contextlib.ExitStack() as failed:
        _take_over(model)
        failed.callback(restore_attention, model)
        places = survey(model)
        chosen, exact = choose(model, places, layers, max_time=time)
        _tell(model, places)
        generator = torch.Generator().manual_seed(seed)
        build = functools.partial(_build, method, can.grouped_query, time, options, generator)
        attentions = tuple(build(place) for place in chosen)
        for place, attention in zip(chosen, attentions, strict=True):
            place.module.add_module(ATTENTION, attention)
        _calibrate(model, attentions, calibration)
        model.set_attn_implementation(NAME)
        failed.pop_all()
    numbers = tuple(place.number for place in chosen)
    return Swap(layers=numbers, exact=exact, attentions=attentions)


def restore_attention(model: torch.nn.Module) -> None:
    """Undo `swap_attention`: the model computes what it did before, to the bit.

    What was changed in its configuration since stays changed.
    """
    _require_swapped(model)
    undo = model.__dict__.pop(UNDO)
    undo.guard.remove()
    give_back(undo.configs)
    for module in list(model.modules()):
        for note in (SEEN, LAYER, CONTINUED):
            module.__dict__.pop(note, None)
        module._modules.pop(ATTENTION, None)


def recurrent_cache(model: torch.nn.Module) -> Any:
    """An empty cache for `model.generate(..., past_key_values=...)`, of class transformers.Cache.

    Swapped layers keep their method's state in it, of a size that does not grow with time; layers
    left exact keep their keys. Raises UnsupportedError where a method cannot go step by step.
    """
    from transformers.cache_utils import (
        Cache,
        DynamicCache,
        DynamicLayer,
        DynamicSlidingWindowLayer,
    )

    _require_swapped(model)
    layers = DynamicCache(config=model.config.get_text_config(decoder=True)).layers
    for name, module, attention in _swapped(model):
        capabilities.require_stepwise(attention.method)
        number = module.__dict__[LAYER].number
        keeps = type(layers[number]) if number < len(layers) else None
        if keeps not in (DynamicLayer, DynamicSlidingWindowLayer):
            raise UnsupportedError(
                f"{name} keeps something else than keys of its own, which a state cannot replace."
            )
        layers[number] = layer_class()(module)
    return Cache(layers=layers)


def method_parameters(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    """What the method brought along, by name in the model."""
    _require_swapped(model)
    return [
        (f"{name}.{ATTENTION}.{part}", parameter)
        for name, _, attention in _swapped(model)
        for part, parameter in attention.named_parameters()
    ]


def attention_parameters(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    """All of the swapped layers' attention, projections and method, by name in the model."""
    _require_swapped(model)
    return [
        (f"{name}.{part}", parameter)
        for name, module, _ in _swapped(model)
        for part, parameter in module.named_parameters()
    ]


def _require_untouched(model: torch.nn.Module) -> None:
    from transformers import PreTrainedModel

    if not isinstance(model, PreTrainedModel):
        raise ValueError(f"A {type(model).__name__} is no model of the package transformers.")
    # A part of the model may have been swapped, or a model that this one is a part of.
    if any(module.__dict__.keys() & {UNDO, LAYER} for module in model.modules()):
        raise ValueError(
            "This model's attention is swapped already: call restore_attention first, on the very"
            " module that was given to swap_attention."
        )
    if model.config.is_encoder_decoder:
        raise UnsupportedError(
            f"{type(model).__name__} has an encoder, and the swap is for causal models."
        )


def _require_swapped(model: torch.nn.Module) -> None:
    if UNDO not in model.__dict__:
        raise ValueError("This model's attention is not swapped: call swap_attention first.")


def _swapped(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module, BuiltAttention]]:
    for name, module in model.named_modules():
        if ATTENTION in module._modules:
            yield name, module, getattr(module, ATTENTION)


def _take_over(model: torch.nn.Module) -> None:
    """Give the model configurations of its own, where which attention runs stands, and watch its
    calls."""
    base = model.base_model
    names = tuple(inspect.signature(base.forward).parameters)
    guard = base.register_forward_pre_hook(functools.partial(require_call, names), with_kwargs=True)
    setattr(model, UNDO, _Undo(configs=take_configs(model), guard=guard))


def _tell(model: torch.nn.Module, places: dict[int, Place]) -> None:
    """Every attention module what it is, and how it attended before."""
    taken = model.__dict__[UNDO].configs
    exactly = {one.module: one.before._attn_implementation for one in taken}
    for place in places.values():
        layer = Layer(number=place.number, exactly=exactly[place.module], window=place.window)
        setattr(place.module, LAYER, layer)


def _build(
    method: Method,
    shares: bool,
    max_time: int,
    options: dict[str, Any],
    generator: torch.Generator,
    place: Place,
) -> BuiltAttention:
    """On the layer's device; features keep float32 numbers even in a model of half precision."""
    heads = Heads(
        num_heads=place.num_heads,
        head_dim=place.head_dim,
        num_kv_heads=place.num_kv_heads if shares else place.num_heads,
        max_time=max_time,
    )
    attention = build_attention(method, heads, generator, **options)
    weight = next((p for p in place.module.parameters() if p.is_floating_point()), None)
    if weight is not None:
        wide = isinstance(attention, KernelAttention)
        dtype = torch.promote_types(weight.dtype, torch.float32) if wide else weight.dtype
        attention.to(weight.device, dtype)
    return attention.train(place.module.training)


def _calibrate(
    model: torch.nn.Module,
    attentions: Sequence[BuiltAttention],
    calibration: Iterable[Tensor] | None,
) -> None:
    """Every layer hears what the model gives it that computes exactly in all layers."""
    wanting = [attention for attention in attentions if attention.wants_calibration]
    if not wanting:
        return
    if calibration is None:
        warnings.warn(
            f"{wanting[0].method.name} sets itself from text with these options and was given none:"
            " pass calibration=, or load the state of a model that was calibrated.",
            stacklevel=3,
        )
        return
    model.set_attn_implementation(CALIBRATION)
    device, ids = next(model.parameters()).device, None
    with undisturbed(model):
        for ids in calibration:
            if not isinstance(ids, Tensor) or ids.ndim != 2 or ids.dtype not in TOKEN_TYPES:
                raise ValueError(
                    "calibration must be batches of token numbers: tensors [batch, time] of"
                    " integers, one after another."
                )
            model.base_model(input_ids=ids.to(device), use_cache=False)
    if ids is None:
        raise UnsupportedError("There is no text to calibrate on: calibration is empty.")
    for attention in wanting:
        attention.settle()
