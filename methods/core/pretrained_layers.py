"""The attention layers of a pretrained model: found by watching one pass, and judged."""

import contextlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from methods.api import Method, UnsupportedError
from methods.core import capabilities

SURVEY = "attention-bench-survey"
"""The name under which transformers finds what watches."""

SEEN = "bench_seen"
"""Where the watcher leaves its notes, on each attention module."""

HARMLESS = frozenset({"position_ids", "cache_position", "position_embeddings"})
"""Tensors that reach an attention function and do not change its scores."""

PASSED_ON = frozenset({"s_aux"})
"""Those that do, and that the attention which the model had before takes as they come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One attention layer, as it was seen."""

    number: int
    name: str
    """As in `model.get_submodule`."""
    module: torch.nn.Module
    num_heads: int
    num_kv_heads: int
    head_dim: int
    window: int | None
    """Keys that a query sees at most, its own among them; None: all up to its own."""
    problem: str
    """Why no method can stand in for it, whatever the length; else empty."""
    lost: str
    """What even a layer left exact would no longer have; else empty."""

    def reason(self, max_time: int) -> str:
        """Why it must stay as it is on sequences of up to `max_time` tokens; else empty."""
        if self.problem:
            return f"{self.name} {self.problem}"
        if self.window is not None and self.window < max_time:
            return (
                f"{self.name} sees the last {self.window} tokens only, fewer than the {max_time}"
                " of the longest sequence"
            )
        return ""


def survey(model: torch.nn.Module) -> dict[int, Place]:
    """Every layer that calls transformers' attention interface, by number.

    One pass over two tokens, without dropout: weights, gradients, random numbers and training flags
    are as they were. Raises UnsupportedError where no layer calls it, and where one could not even
    be left exact.
    """
    model.set_attn_implementation(SURVEY)
    if model.config.get_text_config(decoder=True)._attn_implementation != SURVEY:
        raise UnsupportedError(_none_found(model))
    ids = torch.zeros((1, 2), dtype=torch.long, device=next(model.parameters()).device)
    with undisturbed(model):
        model.base_model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    places: dict[int, Place] = {}
    for name, module in model.named_modules():
        seen = module.__dict__.pop(SEEN, None)
        if seen is None:
            continue
        place = Place(name=name, module=module, **seen)
        if place.lost:
            raise UnsupportedError(
                f"{name} {place.lost}, which would be lost even if this layer were left exact."
            )
        if place.number in places:
            raise UnsupportedError(
                f"{place.name} has the number {place.number}, as {places[place.number].name} has:"
                " which of a layer's two attentions to replace is not known."
            )
        places[place.number] = place
    if not places:
        raise UnsupportedError(_none_found(model))
    return places


@contextlib.contextmanager
def undisturbed(model: torch.nn.Module) -> Iterator[None]:
    """Within, without gradients or dropout; training flags are then as they were, each its own."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, flag in flags:
            module.training = flag


def watch(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any,
    **given: Any,
) -> tuple[Tensor, None]:
    """An attention function for transformers: notes what it is given, and returns zeros."""
    setattr(
        module,
        SEEN,
        {
            "number": getattr(module, "layer_idx", None),
            "num_heads": query.shape[1],
            "num_kv_heads": key.shape[1],
            "head_dim": query.shape[-1],
            "window": _window(module, given),
            "problem": _problem(module, query, key, given),
            "lost": _lost(module, attention_mask, given),
        },
    )
    b, h, time, _ = query.shape
    return value.new_zeros((b, time, h, value.shape[-1])), None


def choose(
    model: torch.nn.Module,
    places: dict[int, Place],
    layers: Sequence[int] | None,
    *,
    max_time: int,
) -> tuple[list[Place], dict[int, str]]:
    """What to replace, and the reason why each other layer stays as it is.

    Raises UnsupportedError for a layer that was asked for and cannot be replaced, and where none
    can; ValueError for one that the model does not have.
    """
    name = type(model).__name__
    count = getattr(model.config.get_text_config(decoder=True), "num_hidden_layers", 0)
    reasons = {
        number: places[number].reason(max_time)
        if number in places
        else f"layer {number} does not call transformers' attention interface"
        for number in range(max(count, 1 + max(places)))
    }
    if layers is None:
        chosen = [number for number, reason in reasons.items() if not reason]
        if not chosen:
            raise UnsupportedError(f"No layer of {name} can be swapped: {_briefly(reasons)}.")
    else:
        chosen = sorted(set(layers))
        wrong = [number for number in chosen if number not in reasons]
        if wrong or not chosen:
            raise ValueError(
                f"layers must be some of 0 to {max(reasons)} in {name}, not {list(layers)}."
            )
        if refused := next((reasons[n] for n in chosen if reasons[n]), ""):
            raise UnsupportedError(f"This layer of {name} cannot be swapped: {refused}.")
    exact = {n: reasons[n] or "not asked for" for n in sorted(reasons) if n not in chosen}
    return [places[number] for number in chosen], exact


def require_swappable(method: Method, options: dict[str, Any]) -> Method:
    """The method with the capabilities that it has under these options, if it can be put in."""
    if method.mixer is not None:
        raise UnsupportedError(
            f"{method.name} is a whole mixer: it has no queries and keys, which are what a"
            " pretrained model gives. Choose a feature map or an attention."
        )
    capabilities.require_options(method, options)
    method = capabilities.under_options(method, options)
    capabilities.require_direction(method, True)
    return method


def longest_sequence(model: torch.nn.Module, max_time: int | None) -> int:
    """`max_time`, or what the model was made for."""
    config = model.config.get_text_config(decoder=True)
    longest = getattr(config, "max_position_embeddings", None) if max_time is None else max_time
    if not isinstance(longest, int) or longest < 1:
        raise ValueError(
            "max_time must be a number of tokens, at least 1; the model tells none itself."
            if max_time is None
            else f"max_time must be at least 1, and it is {max_time}."
        )
    return longest


def _problem(module: torch.nn.Module, query: Tensor, key: Tensor, given: dict[str, Any]) -> str:
    is_causal = given.get("is_causal")
    if is_causal is None:
        is_causal = getattr(module, "is_causal", True)
    sizes = query.shape[-1], key.shape[-1]
    if not isinstance(getattr(module, "layer_idx", None), int):
        return "does not tell the number of its layer"
    if getattr(module, "is_cross_attention", False) or query.shape[2] != key.shape[2]:
        return "attends to another sequence"
    if not is_causal:
        return "sees the future"
    if given.get("softcap"):
        return "caps its scores, so that they are no inner products of queries and keys"
    if sizes[0] != sizes[1]:
        return f"has queries of {sizes[0]} and keys of {sizes[1]} dimensions"
    return _added(given, PASSED_ON)


def _lost(module: torch.nn.Module, mask: Any, given: dict[str, Any]) -> str:
    """The mask is None while watching, unless the model makes one itself."""
    kind = _kind(module)
    if kind not in ("", "full_attention", "sliding_attention"):
        return f"has attention of the kind {kind}"
    if mask is not None:
        return "adds a mask of its own"
    return _added(given, given.keys() - HARMLESS - PASSED_ON)


def _added(given: dict[str, Any], names: Set[str]) -> str:
    added = sorted(name for name in names if isinstance(given.get(name), Tensor))
    return f"adds {' and '.join(added)} to its attention" if added else ""


def _kind(module: torch.nn.Module) -> str:
    kinds = getattr(module.config, "layer_types", None)
    number = getattr(module, "layer_idx", None)
    return kinds[number] if kinds and isinstance(number, int) and number < len(kinds) else ""


def _window(module: torch.nn.Module, given: dict[str, Any]) -> int | None:
    """As the layer says, or where it does not, as its kind and the configuration do."""
    window = given.get("sliding_window")
    if window is None and _kind(module) == "sliding_attention":
        window = getattr(module.config, "sliding_window", None)
    return window


def _none_found(model: torch.nn.Module) -> str:
    modules = ((n, type(m).__name__) for n, m in model.named_modules())
    found = next((f"{name} ({kind})" for name, kind in modules if "Attention" in kind), "")
    who = f"{found} does not call" if found else "none of its layers calls"
    return (
        f"The attention of {type(model).__name__} cannot be swapped: {who} transformers' attention"
        " interface."
    )


def _briefly(reasons: dict[int, str]) -> str:
    """The first reason, and how many more layers there are."""
    first, *rest = reasons.values()
    return f"{first}, and {len(rest)} more layers are no better" if rest else first
