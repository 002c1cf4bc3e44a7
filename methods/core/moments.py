"""What calibration keeps of the queries and keys that it saw: sums of a fixed size, in float64.

Batches come one after another, each of whole sequences. Sums are of products about an origin, the
mean of the first batch, so that little cancels where data lie far from zero; the moments about any
other centre, which is known only in the end, follow from them exactly.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from methods.api import KeyPadding, Keys
from methods.core.attended import FoldedQueries, weigh
from methods.core.exponents import Shift

Moment = Float[Tensor, "g d d"]
Products = Float[Tensor, "g n n"]
Tokens = Float[Tensor, "b g t d"]
Kept = Bool[Tensor, "#b t"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is kept beside the counts, means and second moments of queries and of keys."""

    noise: bool = False
    """The fourth moments that tell how far a second moment is from the true one."""
    attended: bool = False
    """The keys that queries attend to."""
    pairs: bool = False
    """q + k of attended pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Sums over vectors x, per key-value head, that give their moments about any centre."""

    origin: Shift
    products: Products
    """Of w w^T, w = (1, x - origin), with |x - origin|^2 as a last entry where it is asked for."""

    def plus(self, products: Products) -> "Sums":
        """With the products of more vectors, about the same origin."""
        return Sums(origin=self.origin, products=self.products + products)

    def mean(self) -> Shift:
        """E[x]; zero of no vectors."""
        return self.origin + self._about(self.origin)[:, 0, 1 : 1 + self._dim]

    def moment(self, centre: Shift) -> Moment:
        """E[(x - centre) (x - centre)^T]."""
        return self._about(centre)[:, 1 : 1 + self._dim, 1 : 1 + self._dim]

    def noise(self, centre: Shift) -> Float[Tensor, " g"]:
        """The expected squared distance (Frobenius) of `moment` from the true one, as if vectors
        were independent. Only of sums with the last entry."""
        fourth = self._about(centre)[:, -1, -1]
        return (fourth - self.moment(centre).square().sum((-2, -1))) / self._count

    @property
    def _dim(self) -> int:
        return self.origin.shape[-1]

    @property
    def _count(self) -> Float[Tensor, " g"]:
        return self.products[:, 0, 0].clamp(min=1.0)

    def _about(self, centre: Shift) -> Products:
        """E[w w^T] with this centre for an origin: the new w is a linear function of the old."""
        num_heads, n = self.products.shape[:2]
        e = (centre - self.origin).to(self.products)
        change = torch.eye(n).to(e).repeat(num_heads, 1, 1)
        change[:, 1 : 1 + self._dim, 0] = -e
        if n > 1 + self._dim:
            change[:, -1, 0] = e.square().sum(-1)
            change[:, -1, 1:-1] = -2 * e
        return change @ (self.products / self._count[:, None, None]) @ change.mT


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Of all queries and keys seen so far, query heads of a key-value head taken together."""

    queries: Sums
    keys: Sums
    attended: Sums | None
    """Of keys, by the attention that each receives; None where it was not asked for."""
    pairs: Sums | None
    """Of q + k, by the attention of the query to the key."""


def observed(
    before: Moments | None,
    q: FoldedQueries,
    k: Keys,
    key_padding: KeyPadding | None,
    *,
    asked: Asked,
) -> Moments | None:
    """What was known before, and this batch of whole sequences; padded places do not count.

    Queries of padded places are left out where queries and keys are of one sequence, query heads
    folded into time. A batch without any key says nothing.
    """
    of_keys = ~(k.new_zeros(1, k.shape[2]).bool() if key_padding is None else key_padding)
    if not of_keys.any():
        return before
    of_queries = q.new_ones(1, q.shape[2]).bool()
    if q.shape[2] % k.shape[2] == 0:
        of_queries = of_keys.repeat(1, q.shape[2] // k.shape[2])
    q, k = _hidden(q.double(), of_queries), _hidden(k.double(), of_keys)
    if before is None:
        before = _nothing(_mean(q, of_queries), _mean(k, of_keys), asked)
    attended, pairs = _with_attention(before, q, k, key_padding)
    return Moments(
        queries=_with_tokens(before.queries, q, of_queries),
        keys=_with_tokens(before.keys, k, of_keys),
        attended=attended,
        pairs=pairs,
    )


def _nothing(of_queries: Shift, of_keys: Shift, asked: Asked) -> Moments:
    def empty(origin: Shift, fourth: bool = False) -> Sums:
        num_heads, n = origin.shape[0], 1 + origin.shape[1] + fourth
        return Sums(origin=origin, products=origin.new_zeros(num_heads, n, n))

    return Moments(
        queries=empty(of_queries, asked.noise),
        keys=empty(of_keys, asked.noise),
        attended=empty(of_keys) if asked.attended else None,
        pairs=empty(of_queries + of_keys) if asked.pairs else None,
    )


def _with_tokens(sums: Sums, x: Tokens, kept: Kept) -> Sums:
    fourth = sums.products.shape[-1] > 1 + x.shape[-1]
    w = _lifted(x, sums.origin, fourth=fourth)
    return sums.plus(_products(w, kept[:, None].to(w)))


def _with_attention(
    before: Moments, q: FoldedQueries, k: Keys, key_padding: KeyPadding | None
) -> tuple[Sums | None, Sums | None]:
    """The attended keys and the pairs, with those of this batch where they are asked for."""
    attended, pairs = before.attended, before.pairs
    if attended is None and pairs is None:
        return None, None
    u, y = _lifted(q, before.queries.origin), _lifted(k, before.keys.origin)
    # With a zero for the leading one, so that u + y is the vector of a pair.
    added = torch.cat([torch.zeros_like(y[..., :1]), y[..., 1:]], -1)
    weighed = weigh(q, k, key_padding, of_pairs=None if pairs is None else (u, added))
    if attended is not None:
        attended = attended.plus(_products(y, weighed.by_key))
    if pairs is not None:
        assert weighed.of_pairs is not None
        alone = _products(u, weighed.by_query) + _products(added, weighed.by_key)
        pairs = pairs.plus(alone + weighed.of_pairs + weighed.of_pairs.mT)
    return attended, pairs


def _products(w: Tokens, weight: Float[Tensor, "#b #g t"]) -> Products:
    return torch.einsum("bgtn,bgtm->gnm", w * weight[..., None], w)


def _lifted(x: Tokens, origin: Shift, *, fourth: bool = False) -> Tensor:
    y = x - origin[:, None]
    parts = [y.new_ones(*y.shape[:-1], 1), y]
    if fourth:
        parts.append(y.square().sum(-1, keepdim=True))
    return torch.cat(parts, -1)


def _hidden(x: Tokens, kept: Kept) -> Tokens:
    return x.masked_fill(~kept[:, None, :, None], 0.0)


def _mean(x: Tokens, kept: Kept) -> Shift:
    count = kept.sum() * (x.shape[0] // kept.shape[0])
    return x.sum((0, 2)) / count
