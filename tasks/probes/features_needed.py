"""Typical errors over draws, and the number of features from which they stay below a target."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Errors = NDArray[np.float64]

HOW_ERROR = "geometric mean over draws, interval by Student's t of the logarithm"
HOW_NEEDED = (
    "where the geometric mean over draws crosses the target for good, between doublings by a"
    " straight line in logarithms; low and high: where the ends of its interval cross"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Typical:
    """A geometric mean over draws with its 95 % interval, or why there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """A number of features, or why it is not known; an end that lies outside the search is None."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def typical(errors: Errors) -> Typical:
    """Of independent draws `[n]`. No interval from one draw, no value where one is not finite."""
    if not np.isfinite(errors).all():
        wrong = int(np.sum(~np.isfinite(errors)))
        return Typical(value=None, reason=f"outputs of {wrong} of {len(errors)} draws not finite")
    if not errors.all():
        # A draw without any error has no logarithm.
        return Typical(value=float(errors.mean()))
    middle, half = _logarithms(errors[:, None])
    value = math.exp(middle[0])
    if len(errors) == 1:
        return Typical(value=value)
    return Typical(
        value=value, low=math.exp(middle[0] - half[0]), high=math.exp(middle[0] + half[0])
    )


def features_needed(num_features: Sequence[int], errors: Errors, target: float) -> Needed:
    """The least number of features from which the error stays at or below the target.

    `num_features` ascending; `errors` `[draw, len(num_features)]`. It is never less than the first
    and never known beyond the last: then the reason says what was reached.
    """
    if not 0 < target < math.inf:
        raise ValueError(f"the target must be a positive number, and it is {target:g}.")
    if list(num_features) != sorted(set(num_features)) or not num_features:
        raise ValueError(f"numbers of features must ascend, and they are {list(num_features)}.")
    # Zero would be minus infinity, between which and anything no line runs.
    middle, half = _logarithms(np.maximum(errors, 1e-300))
    value = _crossing(num_features, middle, math.log(target))
    low, high = (
        _crossing(num_features, end, math.log(target)) if len(errors) > 1 else None
        for end in (middle - half, middle + half)
    )
    reason = ""
    if value is None:
        last = math.exp(middle[-1]) if math.isfinite(middle[-1]) else math.inf
        reason = f"more than {num_features[-1]} features: there the error is {last:.3g}"
    return Needed(value=value, low=low, high=high, reason=reason)


def _logarithms(errors: Errors) -> tuple[Errors, Errors]:
    """Mean over draws of the logarithm, and half its 95 % interval; both per column."""
    logs = np.log(errors)
    middle = logs.mean(0)
    n = len(errors)
    if n == 1:
        return middle, np.zeros_like(middle)
    finite = np.isfinite(logs).all(0)
    spread = np.where(finite, logs, 0.0).std(0, ddof=1) / math.sqrt(n)
    return middle, np.where(finite, stats.t.ppf(0.975, n - 1) * spread, 0.0)


def _crossing(num_features: Sequence[int], logs: Errors, target: float) -> float | None:
    above = [i for i, log in enumerate(logs) if not log <= target]
    if not above:
        return float(num_features[0])
    last = above[-1]
    if last == len(num_features) - 1:
        return None
    if not math.isfinite(logs[last]):
        return float(num_features[last + 1])
    share = (logs[last] - target) / (logs[last] - logs[last + 1])
    first, second = math.log(num_features[last]), math.log(num_features[last + 1])
    return math.exp(first + share * (second - first))
