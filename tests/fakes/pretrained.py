"""Tiny models of the package transformers with random weights, one for each shape of attention."""

import importlib
from typing import Any

import torch

from methods.api import Method
from methods.core.pretrained import Swap, swap_attention

VOCABULARY = 97
LENGTH = 24
WINDOW = 8

_LIKE_LLAMA = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    # Large enough that attention decides something.
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": None,
}
_GPT2 = {
    "vocab_size": VOCABULARY,
    "n_embd": 32,
    "n_layer": 3,
    "n_head": 4,
    "n_positions": 64,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": None,
    "attn_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "resid_pdrop": 0.0,
}
_ALTERNATING = {
    "head_dim": 16,
    "sliding_window": WINDOW,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}

KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", _LIKE_LLAMA),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", _GPT2),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", _LIKE_LLAMA),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", _LIKE_LLAMA | {"head_dim": 16}),
    "gemma": (
        "GemmaConfig",
        "GemmaForCausalLM",
        _LIKE_LLAMA | {"num_key_value_heads": 1, "head_dim": 256, "initializer_range": 0.1},
    ),
    "gemma2": (
        "Gemma2Config",
        "Gemma2ForCausalLM",
        _LIKE_LLAMA | _ALTERNATING | {"attn_logit_softcapping": None, "query_pre_attn_scalar": 24},
    ),
    "gemma3": (
        "Gemma3TextConfig",
        "Gemma3ForCausalLM",
        _LIKE_LLAMA | _ALTERNATING | {"query_pre_attn_scalar": 24},
    ),
    "mistral": ("MistralConfig", "MistralForCausalLM", _LIKE_LLAMA | {"sliding_window": LENGTH}),
}
"""Mistral's window is as long as the sequences of the tests: swapped with that `max_time`."""


def tiny(kind: str, **changes: Any) -> Any:
    """A model of this kind, the same each time."""
    import transformers

    config, model, sizes = KINDS[kind]
    torch.manual_seed(0)
    return getattr(transformers, model)(getattr(transformers, config)(**sizes | changes)).eval()


def text(batch: int = 3, length: int = LENGTH, seed: int = 1) -> torch.Tensor:
    """Token numbers, none of them padding."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCABULARY, (batch, length), generator=generator)


def padded(ids: torch.Tensor) -> torch.Tensor:
    """A mask with padding on the left of the first row, and on the right of the second."""
    mask = torch.ones_like(ids)
    mask[0, :5], mask[1, -4:] = 0, 0
    return mask


def logits(model: Any, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Of a whole sequence, without gradient."""
    with torch.no_grad():
        return model(ids, attention_mask=mask, use_cache=False).logits


def named(name: str) -> Method:
    """The method of this module."""
    return importlib.import_module(f"methods.{name}").METHOD


PERFORMER, SOFTMAX, DARKFORMER = map(named, ("performer", "softmax", "darkformer"))


def swapped(kind: str, method: Method = PERFORMER, **how: Any) -> tuple[Any, Swap]:
    """Of sequences up to `LENGTH`. Few features are far from softmax, and quick."""
    if method in (PERFORMER, DARKFORMER):
        how = {"num_features": 32} | how
    model = tiny(kind)
    return model, swap_attention(model, method, max_time=LENGTH, **how)
