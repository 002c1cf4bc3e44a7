"""The constants that queries and keys may be shifted by, from calibration data.

Softmax over keys does not change by k -> k - a, and exp(q.k) = exp((q - b).k) exp(b.k). Either is
exact, and in a product of positive features only a + b stands, see `methods.core.exponents`: the
relative variance for a pair is (exp(|q + k - a - b|^2 / sqrt(d)) - 1) / m.
"""

from typing import Literal, NamedTuple

import torch

from methods.core.exponents import Shift
from methods.core.moments import Moments

KeyShift = Literal["none", "keys", "queries", "both", "attended"]
"""a: 0, E[k], E[q], E[q] + E[k], or E[q] + the mean of the keys that queries attend to.

The last is the constant that minimises the mean of |q + k - a|^2 over the pairs that attention
weighs most, where both is the one for all pairs alike: with sinks, keys that most queries attend to
and that lie far from the other keys, the two are far apart.
"""

QueryShift = Literal["none", "queries"]
"""b: 0 or E[q]."""


class Shifts(NamedTuple):
    """What is subtracted from queries and from keys, in float64, and about what they lie then."""

    query: Shift
    key: Shift
    query_centre: Shift
    """With `key_centre`, the parts of the same sum that leave queries and keys equal means."""
    key_centre: Shift


def find_shifts(moments: Moments, *, key_shift: KeyShift, query_shift: QueryShift) -> Shifts:
    """The constants under these names. Zeros for centres where nothing is shifted.

    `attended` needs moments that were asked for it.
    """
    of_queries, of_keys = moments.queries.mean(), moments.keys.mean()
    nothing = torch.zeros_like(of_keys)
    b = of_queries if query_shift == "queries" else nothing
    if key_shift == "attended":
        assert moments.attended is not None
        a = of_queries + moments.attended.mean()
    else:
        a = nothing + of_keys * (key_shift in ("keys", "both"))
        a = a + of_queries * (key_shift in ("queries", "both"))
    if key_shift == query_shift == "none":
        return Shifts(b, a, nothing, nothing)
    left = (of_queries + of_keys - a - b) / 2
    return Shifts(b, a, of_queries - left, of_keys - left)
