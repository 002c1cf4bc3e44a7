"""What a swapped model is asked for in each pass: refused where it would be left out silently."""

from typing import Any

import torch
from torch import Tensor

from methods.api import UnsupportedError
from methods.core.pretrained_interface import CALIBRATION, NAME
from methods.core.pretrained_layers import SURVEY

OURS = frozenset({NAME, CALIBRATION, SURVEY})


def require_call(
    names: tuple[str, ...], module: torch.nn.Module, args: tuple[Any, ...], given: dict[str, Any]
) -> None:
    """Before each pass of a base model, whose arguments have these names."""
    given = dict(zip(names, args, strict=False)) | given
    _require_ours(module)
    asked = given.get("output_attentions")
    if module.config.output_attentions if asked is None else asked:
        raise UnsupportedError("A swapped model has no attention weights to put out.")
    if given.get("encoder_hidden_states") is not None:
        raise UnsupportedError("A swapped model cannot attend to another sequence.")
    mask, positions = given.get("attention_mask"), given.get("position_ids")
    if mask is not None:
        _require_padding(mask, given)
    if positions is not None and positions.ndim == 2:
        _require_one_sequence(positions, mask)


def _require_ours(module: torch.nn.Module) -> None:
    running = module.config.get_text_config(decoder=True)._attn_implementation
    if running not in OURS:
        raise UnsupportedError(
            f"The attention implementation of this swapped model was set to {running}, which"
            f" computes no method. Call set_attn_implementation({NAME!r}), or restore_attention."
        )


def _require_padding(mask: Any, given: dict[str, Any]) -> None:
    if getattr(mask, "ndim", 0) != 2:
        raise UnsupportedError(
            "A swapped model takes a mask of padding, [batch, time], and no other."
        )
    ids = given.get("input_ids")
    tokens = given.get("inputs_embeds") if ids is None else ids
    if given.get("past_key_values") is None and tokens is not None:
        covered, came = mask.shape[1], tokens.shape[1]
        if covered != came:
            raise ValueError(f"The attention mask covers {covered} tokens, and {came} came.")


def _require_one_sequence(positions: Tensor, mask: Tensor | None) -> None:
    ones = torch.ones_like(positions, dtype=torch.bool)
    kept = ones if mask is None else mask[:, -positions.shape[1] :].to(positions.device).bool()
    if ((positions.diff() != 1) & kept[:, 1:] & kept[:, :-1]).any():
        raise UnsupportedError(
            "A swapped model takes no packed sequences, which begin anew at restarting"
            " positions. Give one sequence in each row, padded."
        )
