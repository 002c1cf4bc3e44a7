"""Methods that look right, each wrong in one way that has been seen in the wild."""

from typing import Any

import torch
from torch import Tensor

from methods.api import (
    KERNEL_ATTENTION,
    AttentionModule,
    Capabilities,
    FeatureMap,
    Features,
    Heads,
    KeyPadding,
    Keys,
    Method,
    Mixer,
    Outputs,
    Queries,
    Values,
)
from methods.core.linear_attention import Exponents
from methods.core.positive_features import positive_features

PLAIN = Capabilities(causal=True, bidirectional=True, key_padding=True)


def _softmax(
    q: Tensor, k: Tensor, v: Tensor, key_padding: Tensor | None, first_hidden: int | None
) -> Tensor:
    """`first_hidden`: the offset of the first later key that is hidden; None: nothing is."""
    logits = q.float() @ k.float().mT / q.shape[-1] ** 0.5
    if key_padding is not None:
        logits = logits.masked_fill(key_padding[:, None, None], -1e9)
    if first_hidden is not None:
        future = torch.ones(logits.shape[-2:], dtype=torch.bool, device=q.device)
        logits = logits.masked_fill(future.triu(first_hidden), -1e9)
    return (logits.softmax(-1) @ v.float()).to(v.dtype)


def off_by_one(
    q: Queries, k: Keys, v: Values, *, causal: bool = False, key_padding: KeyPadding | None = None
) -> Outputs:
    """Its mask begins one key too late."""
    return _softmax(q, k, v, key_padding, 2 if causal else None)


def tidies_up(
    q: Queries, k: Keys, v: Values, *, causal: bool = False, key_padding: KeyPadding | None = None
) -> Outputs:
    """It zeroes the padded values in the caller's own tensor."""
    if key_padding is not None:
        with torch.no_grad():
            v.masked_fill_(key_padding[:, None, :, None], 0.0)
    return _softmax(q, k, v, key_padding, 1 if causal else None)


def forgets_padding(
    q: Queries, k: Keys, v: Values, *, causal: bool = False, key_padding: KeyPadding | None = None
) -> Outputs:
    """It takes the mask and does not use it."""
    del key_padding
    return _softmax(q, k, v, None, 1 if causal else None)


def trusts_the_causal_mask(
    q: Queries, k: Keys, v: Values, *, causal: bool = False, key_padding: KeyPadding | None = None
) -> Outputs:
    """It takes padding to be in the future always, where a causal mask hides it."""
    return _softmax(q, k, v, None if causal else key_padding, 1 if causal else None)


def blanks_padding(
    q: Queries, k: Keys, v: Values, *, causal: bool = False, key_padding: KeyPadding | None = None
) -> Outputs:
    """Causally it makes zeros of padded keys and values, which are then counted all the same."""
    if causal and key_padding is not None:
        k, v = (x.masked_fill(key_padding[:, None, :, None], 0.0) for x in (k, v))
        key_padding = None
    return _softmax(q, k, v, key_padding, 1 if causal else None)


class CountsPlaces(Mixer):
    """A running mean of the tokens that counts the padded places as well."""

    def __init__(
        self, d_model: int, heads: Heads, generator: torch.Generator, *, causal: bool
    ) -> None:
        super().__init__()

    def forward(self, x: Tensor, *, key_padding: KeyPadding | None = None) -> Tensor:
        if key_padding is not None:
            x = x.masked_fill(key_padding[..., None], 0.0)
        count = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]
        return (x.cumsum(1) / count).to(x.dtype)


def whispers(
    q: Queries, k: Keys, v: Values, *, causal: bool = False, key_padding: KeyPadding | None = None
) -> Outputs:
    """A reshape gone wrong: a hundredth of each sequence's output comes from its neighbour."""
    o = _softmax(q, k, v, key_padding, 1 if causal else None)
    return 0.99 * o + 0.01 * o.roll(1, 0)


class RemembersTooWell(AttentionModule):
    """It caches by shape, as a compiled graph or a mask cache might by mistake."""

    def __init__(self, heads: Heads, generator: torch.Generator) -> None:
        super().__init__()
        self._results: dict[Any, Tensor] = {}

    def forward(
        self,
        q: Queries,
        k: Keys,
        v: Values,
        *,
        causal: bool = False,
        key_padding: KeyPadding | None = None,
    ) -> Outputs:
        key = (q.shape, q.dtype, causal, key_padding is None)
        if key not in self._results:
            self._results[key] = _softmax(q, k, v, key_padding, 1 if causal else None)
        return self._results[key]


class _Performer(FeatureMap):
    """Right, for the two below to spoil."""

    omega: Tensor

    def __init__(self, heads: Heads, generator: torch.Generator) -> None:
        super().__init__()
        self.scale = heads.head_dim**-0.25
        self.register_buffer("omega", self.draw(heads, generator))

    def draw(self, heads: Heads, generator: torch.Generator) -> Tensor:
        shape = (heads.num_kv_heads, 4 * heads.head_dim, heads.head_dim)
        return torch.randn(shape, generator=generator)

    def queries(self, q: Queries) -> Features:
        return self.features(q)

    def keys(self, k: Keys) -> Features:
        return self.features(k)

    def features(self, x: Queries) -> Features:
        return positive_features(x, Exponents(omega=self.omega, scale=self.scale))

    def log_kernel(self, q: Queries, k: Keys) -> Tensor:
        return (q * self.scale) @ (k * self.scale).mT


class CountsFromItsFirstKey(_Performer):
    """Keys are taken relative to the first of the call: another one when decoding."""

    def keys(self, k: Keys) -> Features:
        return super().keys(k - k[:, :, :1])

    def log_kernel(self, q: Queries, k: Keys) -> Tensor:
        return super().log_kernel(q, k - k[:, :, :1])


class TrustsQr(_Performer):
    """Orthogonal directions straight from QR, whose sign rule makes them not uniform."""

    def draw(self, heads: Heads, generator: torch.Generator) -> Tensor:
        d = heads.head_dim
        gaussian = torch.randn(heads.num_kv_heads, 4, d, d, generator=generator)
        norms = torch.randn(heads.num_kv_heads, 4, d, d, generator=generator).norm(dim=-1)
        directions = torch.linalg.qr(gaussian).Q.mT
        return (directions * norms[..., None]).flatten(1, 2)


WRONG = {
    "future-not-seen": Method(name="off-by-one", attention=off_by_one, can=PLAIN),
    "inputs-not-written-to": Method(name="tidies-up", attention=tidies_up, can=PLAIN),
    "padding-as-good-as-absent": Method(
        name="forgets-padding", attention=forgets_padding, can=PLAIN
    ),
    "batch-neighbours-not-seen": Method(name="whispers", attention=whispers, can=PLAIN),
    "fresh-output-for-fresh-input": Method(
        name="remembers-too-well", attention=RemembersTooWell, can=PLAIN
    ),
    "stepping-equals-whole": Method(
        name="counts-from-its-first-key", feature_map=CountsFromItsFirstKey, can=KERNEL_ATTENTION
    ),
    "features-unbiased": Method(name="trusts-qr", feature_map=TrustsQr, can=KERNEL_ATTENTION),
}
"""By the law that each breaks."""
