"""The walk over a sequence that linear attention is: stretch by stretch, forward and back.

Memory grows with the inputs and outputs alone: features are computed for a stretch at a time, and
the backward pass computes them again, from states kept every few stretches.

Sums are relative to the scale of the stretch, see `methods.core.key_stretches`.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from methods.core.feature_source import FeatureSource, Workspace
from methods.core.key_stretches import Stretch, finite, key_stretches

GRADIENT_HEADROOM = 2.0**24
"""A normaliser within this factor of the smallest normal number counts as collapsed: dividing by
a smaller one would overflow in the backward pass."""

SEGMENT = 8
"""Stretches between two states that are kept for the backward pass."""

ALIGNMENT = 8
"""Columns that values and normaliser are padded to: full vectors in every matrix product."""


class Walk:
    """One group of heads. `v` is `[n, s, v]`, sums `[n, f, width]`, log_scale `[n]`."""

    def __init__(
        self, source: FeatureSource, v: Tensor, sharing: int, work: Workspace, chunk: int
    ) -> None:
        self._source, self._v, self._work = source, v, work
        self._sharing, self._chunk = sharing, chunk
        self.width = padded_width(v.shape[-1])
        self._mask: Tensor | None = None
        self._extended = work.take("values", len(v), chunk, self.width).zero_()
        self._extended[..., v.shape[-1]] = 1.0

    def causal(
        self, sums: Tensor, log_scale: Tensor, o: Tensor, inverse: Tensor, *, keep: bool
    ) -> tuple[Tensor, list[Stretch], list[Tensor]]:
        """Fills `o` and `inverse` (1 / normaliser; 0: collapsed); advances `sums` in place.

        Returns the last log_scale and, if `keep`, what the backward pass needs: the stretches and
        the sums at the start of each segment.
        """
        stretches: list[Stretch] = []
        kept: list[Tensor] = []
        for stretch, keys in key_stretches(self._source, self._v.shape[1], self._chunk, log_scale):
            if keep and len(stretches) % SEGMENT == 0:
                kept.append(sums.clone())
            if keep:
                stretches.append(stretch)
            _scale(sums, stretch.enter)
            queries = self._source.query_features(stretch.time)
            v = self._values(stretch.time)
            scores = self._visible(queries, keys, "scores")
            top = torch.bmm(scores, v, out=self._work.take("top", *scores.shape[:2], self.width))
            top.baddbmm_(queries, sums)
            self._divide(top, o[:, :, stretch.time], inverse[:, :, stretch.time])
            sums.baddbmm_(keys.mT, v)
            _scale(sums, stretch.leave)
            log_scale = stretch.log_scale
        return log_scale, stretches, kept

    def absorb(self, sums: Tensor, log_scale: Tensor) -> Tensor:
        """Adds all keys to `sums` in place; returns their log_scale."""
        for stretch, keys in key_stretches(self._source, self._v.shape[1], self._chunk, log_scale):
            _scale(sums, stretch.enter)
            sums.baddbmm_(keys.mT, self._values(stretch.time))
            _scale(sums, stretch.leave)
            log_scale = stretch.log_scale
        return log_scale

    def read(self, sums: Tensor, o: Tensor, inverse: Tensor) -> None:
        """Every query sees all of `sums`."""
        for time in self._slices(o.shape[2]):
            queries = self._source.query_features(time)
            top = self._work.take("top", *queries.shape[:2], self.width)
            torch.bmm(queries, sums, out=top)
            self._divide(top, o[:, :, time], inverse[:, :, time])

    def backward_causal(
        self,
        stretches: list[Stretch],
        kept: list[Tensor],
        o: Tensor,
        inverse: Tensor,
        gradient: Tensor,
        dv: Tensor,
        dsums: Tensor,
    ) -> None:
        """Fills `dv` and the source's gradients; turns `dsums` from that of the last sums into that
        of the first, in place."""
        for first in range(len(kept) - 1, -1, -1):
            segment = stretches[first * SEGMENT : (first + 1) * SEGMENT]
            for stretch, sums, keys in reversed(self._again(segment, kept[first])):
                dtop = self._dtop(stretch.time, o, inverse, gradient)
                _scale(dsums, stretch.leave)
                self._backward_stretch(stretch, sums, keys, dtop, dv, dsums)
                _scale(dsums, stretch.enter)

    def backward_read(
        self, sums: Tensor, o: Tensor, inverse: Tensor, gradient: Tensor, dsums: Tensor
    ) -> None:
        """The way back through `read`: adds to `dsums` in place."""
        for time in self._slices(o.shape[2]):
            dtop = self._dtop(time, o, inverse, gradient)
            queries = self._source.query_features(time)
            dqueries = torch.bmm(dtop, sums.mT, out=self._work.take("dq", *queries.shape))
            dsums.baddbmm_(queries.mT, dtop)
            self._source.backward_queries(time, queries, dqueries)

    def backward_absorb(self, log_scale: Tensor, dv: Tensor, dsums: Tensor) -> None:
        """The way back through `absorb`, everything relative to the last log_scale."""
        reference = finite(log_scale)
        for time in self._slices(self._v.shape[1]):
            self._source.key_scales(time, reference)
            keys = self._source.key_features(time.stop - time.start, None)
            self._backward_keys(time, reference, keys, self._values(time), dv, dsums)

    def _backward_stretch(
        self,
        stretch: Stretch,
        sums: Tensor,
        keys: Tensor,
        dtop: Tensor,
        dv: Tensor,
        dsums: Tensor,
    ) -> None:
        time = stretch.time
        queries = self._source.query_features(time)
        v = self._values(time)
        dscores = self._visible(dtop, v, "dscores")
        dqueries = torch.bmm(dscores, keys, out=self._work.take("dq", *queries.shape))
        dqueries.baddbmm_(dtop, sums.mT)
        scores = self._visible(queries, keys, "scores")
        more_v = self._work.take("dv", *v.shape[:2], dv.shape[-1])
        torch.bmm(scores.mT, dtop[..., : dv.shape[-1]], out=more_v)
        more_keys = torch.bmm(dscores.mT, queries, out=self._work.take("dk", *keys.shape))
        self._backward_keys(time, stretch.reference, keys, v, dv, dsums, more_keys, more_v)
        dsums.baddbmm_(queries.mT, dtop)
        self._source.backward_queries(time, queries, dqueries)

    def _backward_keys(
        self,
        time: slice,
        reference: Tensor,
        keys: Tensor,
        v: Tensor,
        dv: Tensor,
        dsums: Tensor,
        dkeys: Tensor | None = None,
        more_v: Tensor | None = None,
    ) -> None:
        """From the sums' gradient, and what came from within the stretch, to keys and values."""
        if dkeys is None:
            dkeys = torch.bmm(v, dsums.mT, out=self._work.take("dk", *keys.shape))
        else:
            dkeys.baddbmm_(v, dsums.mT)
        from_sums = dsums[..., : dv.shape[-1]]
        if more_v is None:
            dv[:, time] = torch.bmm(keys, from_sums)
        else:
            dv[:, time] = more_v.baddbmm_(keys, from_sums)
        self._source.backward_keys(time, reference, keys, dkeys)

    def _again(self, segment: list[Stretch], sums: Tensor) -> list[tuple[Stretch, Tensor, Tensor]]:
        """Each stretch with the sums before it, relative to its reference, and its key features."""
        found = []
        sums = sums.clone()
        for slot, stretch in enumerate(segment):
            time, reference = stretch.time, stretch.reference
            self._source.key_scales(time, reference, slot)
            keys = self._source.key_features(time.stop - time.start, None)
            _scale(sums, stretch.enter)
            found.append((stretch, sums, keys))
            if stretch is not segment[-1]:
                sums = torch.baddbmm(sums, keys.mT, self._values(time))
                _scale(sums, stretch.leave)
        return found

    def _visible(self, rows: Tensor, keys: Tensor, name: str) -> Tensor:
        """`[n, r * c, c]`: products of each row with the keys up to its own time."""
        n, c = keys.shape[:2]
        products = self._work.take(name, n, rows.shape[1], c)
        torch.bmm(rows, keys.mT, out=products)
        if self._mask is None or self._mask.shape[0] != c:
            self._mask = products.new_ones(c, c).tril_()
        products.view(n, self._sharing, c, c).mul_(self._mask)
        return products

    def _values(self, time: slice) -> Tensor:
        """`[n, c, width]`: the values, a column of ones, and zeros."""
        extended = self._extended[:, : time.stop - time.start]
        extended[..., : self._v.shape[-1]] = self._v[:, time]
        return extended

    def _divide(self, top: Tensor, o: Tensor, inverse: Tensor) -> None:
        dim = o.shape[-1]
        top = top.view(*o.shape[:3], self.width)
        bottom = top[..., dim]
        collapsed = bottom.abs() < torch.finfo(top.dtype).tiny * GRADIENT_HEADROOM
        torch.reciprocal(bottom, out=inverse).masked_fill_(collapsed, 0.0)
        if o.dtype == top.dtype:
            torch.mul(top[..., :dim], inverse[..., None], out=o)
        else:
            o.copy_(top[..., :dim].mul_(inverse[..., None]))

    def _dtop(self, time: slice, o: Tensor, inverse: Tensor, gradient: Tensor) -> Tensor:
        """The gradient of numerator and normaliser, `[n, r * c, width]`."""
        o, inverse, gradient = o[:, :, time], inverse[:, :, time], gradient[:, :, time]
        dim = o.shape[-1]
        dtop = self._work.take("dtop", *o.shape[:3], self.width)
        torch.mul(gradient, inverse[..., None], out=dtop[..., :dim])
        dtop[..., dim + 1 :] = 0.0
        product = torch.mul(dtop[..., :dim], o, out=self._work.take("product", *o.shape))
        torch.sum(product, -1, out=dtop[..., dim]).neg_()
        return dtop.flatten(1, 2)

    def _slices(self, time: int) -> Iterator[slice]:
        for start in range(0, time, self._chunk):
            yield slice(start, min(start + self._chunk, time))


def padded_width(dim: int) -> int:
    """Columns of the sums: the values', one for the normaliser, and padding."""
    return -(-(dim + 1) // ALIGNMENT) * ALIGNMENT


def _scale(sums: Tensor, factor: Tensor | None) -> None:
    if factor is not None:
        sums.mul_(factor[:, None, None])
