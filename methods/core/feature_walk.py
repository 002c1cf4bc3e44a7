"""The walk over a sequence that linear attention is: stretch by stretch, forward and back.

Memory grows with the inputs and outputs alone: features are computed for a stretch at a time, and
the backward pass computes them again, from states kept every few stretches.

Sums are relative to a scale, the largest key *before* a stretch, so that nothing depends on the
future, as in online softmax. Where keys rise by more than `REACH` above it the stretch ends there
and the next begins with a scale of its own. All scales are powers of 2.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from methods.core.feature_source import FeatureSource, Workspace

REACH = 43.0
"""Powers of 2 that keys may rise within a stretch: with a million tokens and as many features still
2 ** 45 below float32's largest number."""

GRADIENT_HEADROOM = 2.0**24
"""A normaliser within this factor of the smallest normal number counts as collapsed: dividing by
a smaller one would overflow in the backward pass."""

SEGMENT = 8
"""Stretches between two states that are kept for the backward pass."""

ALIGNMENT = 8
"""Columns that values and normaliser are padded to: full vectors in every matrix product."""


class Stretch(NamedTuple):
    """A slice of time and the scale that its key features are relative to."""

    time: slice
    reference: Tensor
    enter: Tensor | None
    """`[n]`: what the sums are multiplied by before, if the reference moved."""
    leave: Tensor | None
    """`[n]`: what they are multiplied by after."""
    log_scale: Tensor
    """`[n]`: the largest key scale seen at its end."""


class Walk:
    """One group of heads. `v` is `[n, s, v]`, sums `[n, f, width]`, log_scale `[n]`."""

    def __init__(
        self, source: FeatureSource, v: Tensor, sharing: int, work: Workspace, chunk: int
    ) -> None:
        self._source, self._v, self._work = source, v, work
        self._sharing, self._chunk = sharing, chunk
        self.width = padded_width(v.shape[-1])
        self._mask: Tensor | None = None

    def causal(
        self, sums: Tensor, log_scale: Tensor, o: Tensor, inverse: Tensor, *, keep: bool
    ) -> tuple[Tensor, list[Stretch], list[Tensor]]:
        """Fills `o` and `inverse` (1 / normaliser; 0: collapsed); advances `sums` in place.

        Returns the last log_scale and, if `keep`, what the backward pass needs: the stretches and
        the sums at the start of each segment.
        """
        stretches: list[Stretch] = []
        kept: list[Tensor] = []
        for stretch, keys in self._key_stretches(log_scale):
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
        for stretch, keys in self._key_stretches(log_scale):
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
            states = self._states(segment, kept[first])
            for stretch, sums in zip(reversed(segment), reversed(states), strict=True):
                dtop = self._dtop(stretch.time, o, inverse, gradient)
                _scale(dsums, stretch.leave)
                self._backward_stretch(stretch, sums, dtop, dv, dsums)
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
        reference = _finite(log_scale)
        for time in self._slices(self._v.shape[1]):
            self._source.key_scales(time, reference)
            keys = self._source.key_features(time.stop - time.start, None)
            self._backward_keys(time, keys, self._values(time), dv, dsums)

    def _backward_stretch(
        self, stretch: Stretch, sums: Tensor, dtop: Tensor, dv: Tensor, dsums: Tensor
    ) -> None:
        time = stretch.time
        keys, queries = self._keys_again(stretch), self._source.query_features(time)
        v = self._values(time)
        dscores = self._visible(dtop, v, "dscores")
        dqueries = torch.bmm(dscores, keys, out=self._work.take("dq", *queries.shape))
        dqueries.baddbmm_(dtop, sums.mT)
        scores = self._visible(queries, keys, "scores")
        more_v = torch.bmm(scores.mT, dtop[..., : dv.shape[-1]])
        more_keys = torch.bmm(dscores.mT, queries, out=self._work.take("dk", *keys.shape))
        self._backward_keys(time, keys, v, dv, dsums, more_keys, more_v)
        dsums.baddbmm_(queries.mT, dtop)
        self._source.backward_queries(time, queries, dqueries)

    def _backward_keys(
        self,
        time: slice,
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
        self._source.backward_keys(time, keys, dkeys)

    def _key_stretches(self, log_scale: Tensor) -> Iterator[tuple[Stretch, Tensor]]:
        """Stretches with their key features; `log_scale` is the largest scale so far."""
        start, time = 0, self._v.shape[1]
        some_unseen = bool((log_scale == -torch.inf).any())
        while start < time:
            stop = min(start + self._chunk, time)
            reference = _finite(log_scale)
            scales = self._source.key_scales(slice(start, stop), reference)
            lift = None
            if some_unseen:
                lift = torch.where(log_scale == -torch.inf, _first_live(scales), 0.0)
                scales = scales - lift[:, None]
            rise = float(scales.amax())
            if rise > REACH:
                stop, lift, scales = _shorten(start, scales, lift)
                rise = float(scales.amax())
            keys = self._source.key_features(stop - start, lift)
            enter = leave = None
            before = log_scale
            if lift is not None:
                reference = reference + lift
                enter = torch.exp2(before - reference)
            log_scale = torch.maximum(before, reference + scales.amax(-1))
            if lift is not None or rise > 0:
                leave = torch.exp2(reference - _finite(log_scale))
            yield Stretch(slice(start, stop), reference, enter, leave, log_scale), keys
            some_unseen = some_unseen and bool((log_scale == -torch.inf).any())
            start = stop

    def _keys_again(self, stretch: Stretch) -> Tensor:
        self._source.key_scales(stretch.time, stretch.reference)
        return self._source.key_features(stretch.time.stop - stretch.time.start, None)

    def _states(self, segment: list[Stretch], sums: Tensor) -> list[Tensor]:
        """The sums before each stretch, relative to its reference."""
        states = []
        sums = sums.clone()
        for stretch in segment:
            _scale(sums, stretch.enter)
            states.append(sums)
            if stretch is not segment[-1]:
                sums = torch.baddbmm(sums, self._keys_again(stretch).mT, self._values(stretch.time))
                _scale(sums, stretch.leave)
        return states

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
        v = self._v[:, time]
        n, c, dim = v.shape
        extended = self._work.take("values", n, c, self.width)
        extended[..., :dim] = v
        extended[..., dim:] = 0.0
        extended[..., dim] = 1.0
        return extended

    def _divide(self, top: Tensor, o: Tensor, inverse: Tensor) -> None:
        dim = o.shape[-1]
        top = top.view(*o.shape[:3], self.width)
        bottom = top[..., dim]
        collapsed = bottom.abs() < torch.finfo(top.dtype).tiny * GRADIENT_HEADROOM
        torch.reciprocal(bottom, out=inverse).masked_fill_(collapsed, 0.0)
        o.copy_(top[..., :dim].mul_(inverse[..., None]))

    def _dtop(self, time: slice, o: Tensor, inverse: Tensor, gradient: Tensor) -> Tensor:
        """The gradient of numerator and normaliser, `[n, r * c, width]`."""
        o, inverse, gradient = o[:, :, time], inverse[:, :, time], gradient[:, :, time]
        dim = o.shape[-1]
        dtop = self._work.take("dtop", *o.shape[:3], self.width)
        torch.mul(gradient, inverse[..., None], out=dtop[..., :dim])
        dtop[..., dim:] = 0.0
        dtop[..., dim] = -(dtop[..., :dim] * o).sum(-1)
        return dtop.flatten(1, 2)

    def _slices(self, time: int) -> Iterator[slice]:
        for start in range(0, time, self._chunk):
            yield slice(start, min(start + self._chunk, time))


def padded_width(dim: int) -> int:
    """Columns of the sums: the values', one for the normaliser, and padding."""
    return -(-(dim + 1) // ALIGNMENT) * ALIGNMENT


def _finite(log_scale: Tensor) -> Tensor:
    """Where no key was seen yet any reference will do, but -inf - -inf is NaN."""
    return log_scale.masked_fill(log_scale == -torch.inf, 0.0)


def _first_live(scales: Tensor) -> Tensor:
    """The scale of the first key that is not hidden; 0 where all are."""
    first = (scales > -torch.inf).to(torch.uint8).argmax(-1, keepdim=True)
    return _finite(scales.gather(-1, first))[:, 0]


def _shorten(start: int, scales: Tensor, lift: Tensor | None) -> tuple[int, Tensor | None, Tensor]:
    """Ends a stretch before the first key beyond reach; a first key beyond it lifts the scale."""
    beyond = int((scales > REACH).any(0).to(torch.uint8).argmax())
    if beyond == 0:
        more = scales[:, 0].clamp(min=0.0)
        lift = more if lift is None else lift + more
        scales = scales - more[:, None]
        if not bool((scales > REACH).any()):
            return start + scales.shape[1], lift, scales
        beyond = int((scales > REACH).any(0).to(torch.uint8).argmax())
    return start + beyond, lift, scales[:, :beyond]


def _scale(sums: Tensor, factor: Tensor | None) -> None:
    if factor is not None:
        sums.mul_(factor[:, None, None])
