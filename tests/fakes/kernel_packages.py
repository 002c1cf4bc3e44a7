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


def flash_attn(version: str = "2", *, gives_normalisers: bool = False) -> ModuleType:
    """flash_attn 2, or flash_attn_interface, which takes no dropout."""

    def check(*tensors: Tensor) -> None:
        for x in tensors:
            assert x.dtype in HALVES, "FlashAttention only support fp16 and bf16 data type"
            assert x.stride(-1) == 1, "Input tensor must have contiguous last dimension"
            assert x.shape[-1] <= 256
            assert x.shape[-1] % 8 == 0
        q, k, v = tensors
        assert q.shape[-2] % k.shape[-2] == 0
        assert k.shape == v.shape

    def dense(q: Tensor, k: Tensor, v: Tensor, scale: float | None, causal: bool) -> object:
        assert q.ndim == k.ndim == 4
        check(q, k, v)
        times = q.shape[1], k.shape[1]
        seen = past(*times) if causal else torch.ones(*times, dtype=torch.bool)
        o = torch.stack([attend(*x, seen, scale) for x in zip(q, k, v, strict=True)])
        return (o, None) if gives_normalisers else o

    def packed(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        starts: tuple[Tensor, Tensor],
        longest: tuple[int, int],
        scale: float | None,
        causal: bool,
    ) -> object:
        assert q.ndim == k.ndim == 3
        check(q, k, v)
        spans = []
        for row, start, most in zip((q, k), starts, longest, strict=True):
            assert start.dtype == torch.int32
            assert int(start[-1]) == len(row)
            assert int(start.diff().max()) == most
            assert int(start.diff().min()) > 0
            spans.append([(int(a), int(b)) for a, b in pairwise(start)])
        parts = []
        for (i, j), (m, n) in zip(*spans, strict=True):
            seen = past(j - i, n - m) if causal else torch.ones(j - i, n - m, dtype=torch.bool)
            parts.append(attend(q[i:j], k[m:n], v[m:n], seen, scale))
        return (torch.cat(parts), None) if gives_normalisers else torch.cat(parts)

    def dense_2(q, k, v, dropout_p=0.0, softmax_scale=None, causal=False, window_size=(-1, -1)):
        assert dropout_p == 0.0
        return dense(q, k, v, softmax_scale, causal)

    def packed_2(
        q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, dropout_p=0.0,
        softmax_scale=None, causal=False, window_size=(-1, -1),
    ):  # fmt: skip
        assert dropout_p == 0.0
        starts, longest = (cu_seqlens_q, cu_seqlens_k), (max_seqlen_q, max_seqlen_k)
        return packed(q, k, v, starts, longest, softmax_scale, causal)

    def dense_3(q, k, v, softmax_scale=None, causal=False, qv=None, window_size=(-1, -1)):
        return dense(q, k, v, softmax_scale, causal)

    def packed_3(
        q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, seqused_q=None,
        seqused_k=None, softmax_scale=None, causal=False, qv=None,
    ):  # fmt: skip
        starts, longest = (cu_seqlens_q, cu_seqlens_k), (max_seqlen_q, max_seqlen_k)
        return packed(q, k, v, starts, longest, softmax_scale, causal)

    if version == "2":
        return module("flash_attn", flash_attn_func=dense_2, flash_attn_varlen_func=packed_2)
    return module("flash_attn_interface", flash_attn_func=dense_3, flash_attn_varlen_func=packed_3)


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
