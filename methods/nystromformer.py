"""Nystromformer: softmax attention by way of a few landmarks, the means of segments in time."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from methods.api import AttentionModule, Capabilities, Heads, KeyPadding, Method
from methods.core.pseudo_inverse import iterated_pseudo_inverse

Tokens = Float[Tensor, "b h t d"]
Values = Float[Tensor, "b h t v"]


class NystromAttention(AttentionModule):
    """softmax(q k~^T) softmax(q~ k~^T)^+ softmax(q~ k^T) v, every product over sqrt(d).

    Landmarks q~ and k~ are the means of `num_landmarks` segments of the live tokens; the paper asks
    for equal segments, and here their lengths differ by at most one. The pseudo-inverse is the
    paper's iteration. A sequence of no more tokens than landmarks gets exact softmax, as in the
    authors' code. conv_kernel: the paper's residual, a depthwise convolution of the values over
    time, one filter a head, added to either; 0 leaves it out. Padded values count as zeros in it:
    padding at either end is as good as absent.
    """

    def __init__(
        self,
        heads: Heads,
        generator: torch.Generator,
        *,
        num_landmarks: int = 64,
        pinv_iterations: int = 6,
        conv_kernel: int = 33,
    ) -> None:
        super().__init__()
        for name, count in (("num_landmarks", num_landmarks), ("pinv_iterations", pinv_iterations)):
            if count < 1:
                raise ValueError(f"{name} must be at least 1, and it is {count}.")
        if conv_kernel < 0 or (conv_kernel > 0 and conv_kernel % 2 == 0):
            raise ValueError(f"conv_kernel must be odd, or 0 for none; it is {conv_kernel}.")
        self.num_landmarks = num_landmarks
        self.pinv_iterations = pinv_iterations
        # Torch's own start of a convolution: uniform within 1 / sqrt(inputs of one output).
        drawn = 2 * torch.rand(heads.num_heads, 1, conv_kernel, 1, generator=generator) - 1
        self.conv = torch.nn.Parameter(drawn / math.sqrt(conv_kernel)) if conv_kernel else None

    def forward(
        self,
        q: Tokens,
        k: Tokens,
        v: Values,
        *,
        causal: bool = False,
        key_padding: KeyPadding | None = None,
    ) -> Values:
        # Refused before it comes here: each landmark holds tokens of several times.
        del causal
        dtype = torch.promote_types(q.dtype, torch.float32)
        with torch.autocast(q.device.type, enabled=False):
            q, k, values = q.to(dtype) / math.sqrt(q.shape[-1]), k.to(dtype), v.to(dtype)
            if key_padding is not None:
                values = values.masked_fill(key_padding[:, None, :, None], 0.0)
            o = self._attend(q, k, values, key_padding)
            if self.conv is not None:
                filters = self.conv.to(dtype).mT
                margin = (0, filters.shape[3] // 2)
                # Time last: along the other dimension torch 2.13 gets the gradient of the filters
                # wrong on a processor in float32, by a twentieth at 256 tokens.
                o = (
                    o
                    + torch.nn.functional.conv2d(
                        values.mT, filters, padding=margin, groups=len(filters)
                    ).mT
                )
        return o.to(v.dtype)

    def _attend(self, q: Tokens, k: Tokens, v: Values, key_padding: KeyPadding | None) -> Values:
        if key_padding is None and q.shape[2] <= self.num_landmarks:
            return _weights(q, k, None) @ v
        if key_padding is None:
            key_padding = torch.zeros(len(q), q.shape[2], dtype=torch.bool, device=q.device)
        segments = _segments(key_padding, min(self.num_landmarks, q.shape[2]))
        q_marks, k_marks, v_marks = (_means(x, segments) for x in (q, k, v))
        empty = ~segments.inside.any(-1)
        short = ((~key_padding).sum(1) <= self.num_landmarks)[:, None, None, None]
        between = _weights(q_marks, k_marks, empty)
        inverse = iterated_pseudo_inverse(between, self.pinv_iterations)
        gathered = inverse @ (_weights(q_marks, k, key_padding) @ v)
        # Where every token is a landmark the rest is exact without the inverse.
        return _weights(q, k_marks, empty) @ torch.where(short, v_marks, gathered)


class _Segments(NamedTuple):
    """Runs of live tokens, as many as landmarks; some are empty where there are fewer tokens."""

    token: Int[Tensor, "b m w"]
    inside: Bool[Tensor, "b m w"]
    """False where a segment is shorter than the longest: the token there is none of its own."""


def _segments(key_padding: KeyPadding, num_segments: int) -> _Segments:
    """The j-th of m segments of n live tokens has those from ceil(j n / m) to ceil((j+1) n / m)."""
    time = key_padding.shape[1]
    live_first = key_padding.to(torch.uint8).argsort(dim=1, stable=True)
    edge = torch.arange(num_segments + 1, device=key_padding.device)
    start = (edge * (~key_padding).sum(1, keepdim=True) + num_segments - 1) // num_segments
    rank = start[:, :-1, None] + torch.arange(-(-time // num_segments), device=key_padding.device)
    token = live_first.gather(1, rank.clamp(max=time - 1).flatten(1)).view_as(rank)
    return _Segments(token, rank < start[:, 1:, None])


def _means(x: Tokens, segments: _Segments) -> Float[Tensor, "b h m d"]:
    """Zeros for an empty segment."""
    index = segments.token.flatten(1)[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[-1])
    grouped = x.gather(2, index).unflatten(2, segments.token.shape[1:])
    inside = segments.inside[:, None, ..., None]
    count = inside.sum(3).clamp(min=1)
    return grouped.masked_fill(~inside, 0.0).sum(3) / count


def _weights(
    q: Tokens, k: Float[Tensor, "b h s d"], hidden: Bool[Tensor, "b s"] | None
) -> Float[Tensor, "b h t s"]:
    """Softmax over the keys that are not hidden; zeros where all are."""
    logits = q @ k.mT
    if hidden is None:
        return logits.softmax(-1)
    blind = hidden.all(-1)[:, None, None, None]
    logits = logits.masked_fill(hidden[:, None, None] & ~blind, -torch.inf)
    return logits.softmax(-1).masked_fill(blind, 0.0)


METHOD = Method(
    name="nystromformer",
    attention=NystromAttention,
    can=Capabilities(bidirectional=True, key_padding=True),
    family="low rank",
    time="T m d + m^3",
    paper="arXiv:2102.03902",
)
