"""Stand-ins for GPU kernels: their layouts and signatures, computed on a processor.

Each checks what it is given as its package does, and rounds the weights to the inputs' dtype.
"""

from collections.abc import Callable
from importlib.machinery import ModuleSpec
from itertools import pairwise
from types import ModuleType

import torch
from torch import Tensor

HALVES = (torch.float16, torch.bfloat16)


def attend(q: Tensor, k: Tensor, v: Tensor, seen: Tensor, scale: float | None) -> Tensor:
    """`[t, h, d]` against `[s, g, d]`: query heads in turn share key-value heads."""
    repeats = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(repeats, 1) for x in (k, v))
    logits = torch.einsum("thd,shd->hts", q.double(), k.double())
    logits = logits * (q.shape[-1] ** -0.5 if scale is None else scale)
    weights = logits.masked_fill(~seen, -torch.inf).softmax(-1).to(q.dtype)
    return torch.einsum("hts,shd->thd", weights.double(), v.double()).to(q.dtype)


def past(query_time: int, key_time: int) -> Tensor:
    """The lower triangle, aligned at the last query and the last key."""
    return torch.ones(query_time, key_time, dtype=torch.bool).tril(key_time - query_time)


def module(name: str, **members: object) -> ModuleType:
    """An importable module."""
    made = ModuleType(name)
    made.__spec__ = ModuleSpec(name, None)
    vars(made).update(members)
    return made


def _flash_takes(q: Tensor, k: Tensor, v: Tensor) -> None:
    for x in (q, k, v):
        assert x.dtype in HALVES, "it takes half precision alone"
        assert x.stride(-1) == 1
        assert x.shape[-1] <= 256
        assert x.shape[-1] % 8 == 0
    assert q.shape[-2] % k.shape[-2] == 0
    assert k.shape == v.shape


def _flash_dense(q: Tensor, k: Tensor, v: Tensor, scale: float | None, causal: bool) -> Tensor:
    assert q.ndim == k.ndim == 4
    _flash_takes(q, k, v)
    times = q.shape[1], k.shape[1]
    seen = past(*times) if causal else torch.ones(*times, dtype=torch.bool)
    return torch.stack([attend(*x, seen, scale) for x in zip(q, k, v, strict=True)])


def _flash_packed(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    starts: tuple[Tensor, Tensor],
    longest: tuple[int, int],
    scale: float | None,
    causal: bool,
) -> Tensor:
    assert q.ndim == k.ndim == 3
    _flash_takes(q, k, v)
    spans = []
    for row, start, most in zip((q, k), starts, longest, strict=True):
        assert start.dtype == torch.int32
        assert int(start[-1]) == len(row)
        assert int(start.diff().max()) == most
        assert int(start.diff().min()) > 0, "kernels differ on a sequence without keys"
        spans.append([(int(a), int(b)) for a, b in pairwise(start)])
    parts = []
    for (i, j), (m, n) in zip(*spans, strict=True):
        seen = past(j - i, n - m) if causal else torch.ones(j - i, n - m, dtype=torch.bool)
        parts.append(attend(q[i:j], k[m:n], v[m:n], seen, scale))
    return torch.cat(parts)


def flash_attn_2() -> ModuleType:
    """The package flash_attn."""

    def flash_attn_func(
        q, k, v, dropout_p=0.0, softmax_scale=None, causal=False, window_size=(-1, -1)
    ):
        assert dropout_p == 0.0
        return _flash_dense(q, k, v, softmax_scale, causal)

    def flash_attn_varlen_func(
        q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, dropout_p=0.0,
        softmax_scale=None, causal=False, window_size=(-1, -1),
    ):  # fmt: skip
        assert dropout_p == 0.0
        starts, longest = (cu_seqlens_q, cu_seqlens_k), (max_seqlen_q, max_seqlen_k)
        return _flash_packed(q, k, v, starts, longest, softmax_scale, causal)

    return module(
        "flash_attn",
        flash_attn_func=flash_attn_func,
        flash_attn_varlen_func=flash_attn_varlen_func,
    )


def flash_attn_3(*, gives_normalisers: bool = False) -> ModuleType:
    """FlashAttention-3's flash_attn_interface; its early releases give the normalisers as well."""

    def given(o: Tensor) -> object:
        return (o, None) if gives_normalisers else o

    def flash_attn_func(q, k, v, softmax_scale=None, causal=False, qv=None, window_size=(-1, -1)):
        return given(_flash_dense(q, k, v, softmax_scale, causal))

    def flash_attn_varlen_func(
        q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, seqused_q=None,
        seqused_k=None, softmax_scale=None, causal=False, qv=None,
    ):  # fmt: skip
        starts, longest = (cu_seqlens_q, cu_seqlens_k), (max_seqlen_q, max_seqlen_k)
        return given(_flash_packed(q, k, v, starts, longest, softmax_scale, causal))

    return module(
        "flash_attn_interface",
        flash_attn_func=flash_attn_func,
        flash_attn_varlen_func=flash_attn_varlen_func,
    )


class LowerTriangularMask:
    """Causal, from the first query and the first key on."""

    def seen(self, query_time: int, key_time: int) -> Tensor:
        return torch.ones(query_time, key_time, dtype=torch.bool).tril()


class BlockDiagonalMask:
    """Packed sequences, each seeing itself alone."""

    def __init__(self, query_lengths: list[int], key_lengths: list[int]) -> None:
        self.lengths = list(zip(query_lengths, key_lengths, strict=True))

    @classmethod
    def from_seqlens(cls, q_seqlen, kv_seqlen=None, *, device=None):
        assert not isinstance(q_seqlen, Tensor)
        return cls(list(q_seqlen), list(q_seqlen if kv_seqlen is None else kv_seqlen))

    def block(self, query_time: int, key_time: int) -> Tensor:
        return torch.ones(query_time, key_time, dtype=torch.bool)

    def seen(self, query_time: int, key_time: int) -> Tensor:
        seen = torch.block_diag(*(self.block(*pair) for pair in self.lengths)).bool()
        assert seen.shape == (query_time, key_time)
        return seen


class BlockDiagonalCausalMask(BlockDiagonalMask):
    """Each block causal, from its first query and its first key on."""

    def block(self, query_time: int, key_time: int) -> Tensor:
        return torch.ones(query_time, key_time, dtype=torch.bool).tril()


def xformers() -> dict[str, ModuleType]:
    """The package's modules by name."""

    def memory_efficient_attention(
        query, key, value, attn_bias=None, p=0.0, scale=None, *, op=None
    ):
        assert query.ndim == key.ndim == 4
        assert query.shape[2] == key.shape[2], "the backward pass takes no shared heads"
        assert p == 0.0
        for x in (query, key, value):
            assert x.dtype in (torch.float32, *HALVES)
            assert x.stride(-1) == 1
            assert x.shape[-1] % 8 == 0
        times = query.shape[1], key.shape[1]
        seen = torch.ones(times, dtype=torch.bool) if attn_bias is None else attn_bias.seen(*times)
        rows = zip(query, key, value, strict=True)
        return torch.stack([attend(*row, seen, scale) for row in rows])

    masks = module(
        "xformers.ops.fmha.attn_bias",
        LowerTriangularMask=LowerTriangularMask,
        BlockDiagonalMask=BlockDiagonalMask,
        BlockDiagonalCausalMask=BlockDiagonalCausalMask,
    )
    ops = module("xformers.ops", memory_efficient_attention=memory_efficient_attention)
    fmha = module("xformers.ops.fmha")
    return {m.__name__: m for m in (module("xformers"), ops, fmha, masks)}


def flex_attention() -> tuple[Callable[..., Tensor], Callable[..., object]]:
    """What is compiled of torch's FlexAttention: a kernel of ours, torch's own maker of masks."""
    from torch.nn.attention.flex_attention import create_block_mask

    def kernel(q: Tensor, k: Tensor, v: Tensor, block_mask=None, enable_gqa=False) -> Tensor:
        assert enable_gqa == (q.shape[1] != k.shape[1])
        times = q.shape[2], k.shape[2]
        seen = torch.ones(len(q), *times, dtype=torch.bool)
        if block_mask is not None:
            assert block_mask.shape[-2:] == times
            batch, now, key = (torch.arange(n) for n in seen.shape)
            where = batch[:, None, None], torch.tensor(0), now[:, None], key
            seen = block_mask.mask_mod(*where).expand(seen.shape)
        assert seen.any(-1).all(), "kernels differ on rows that see nothing"
        rows = zip(*(x.transpose(1, 2) for x in (q, k, v)), seen, strict=True)
        return torch.stack([attend(*row, None) for row in rows]).transpose(1, 2)

    return kernel, create_block_mask
