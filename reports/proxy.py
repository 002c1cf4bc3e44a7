"""Whether operations or bytes moved predict time: fits, cross-validated over methods.

Sernau's remark that counts of operations estimate time poorly and copies of memory well is put to
the test on the cells of a run. Each model is a sum of shares that are never negative,
time = operations / rate + bytes / rate + a constant a call. Times span five powers of ten, so only
relative errors are heard: with r = predicted / measured, the fit minimises the sum of log(r)^2, in
which twice too long and half too short weigh the same. The sum of (r - 1)^2 alone would favour
models that predict too little, whose error is never above 1. The constant stands for what a call
costs however small it is; models are fitted with and without.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Model = Literal["operations", "bytes moved", "both"]
MODELS: Final[tuple[Model, ...]] = ("operations", "bytes moved", "both")
FEWEST_METHODS: Final = 3
"""One is left out, and one method alone would be its own proxy."""
_SHORTEST: Final = 1e-9
"""No call takes less than a nanosecond: a prediction of nothing has no logarithm."""
_LEAST_RATIO: Final = 1e-6
"""Keeps the weight of a cell of which a model knows nothing finite."""
_MOST_ROUNDS: Final = 200
_STILL: Final = 1e-7
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One completed cell with its counts."""

    method: str
    """What is left out together: a method with all its options."""
    mode: str
    seconds: float
    flops: int
    bytes_moved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A model fitted on all cells, and judged on cells of methods that it was not fitted on."""

    model: Model
    overhead: bool
    seconds_per_flop: float | None
    """None where the model has no such share; so are those that follow."""
    seconds_per_byte: float | None
    seconds_per_call: float | None
    median_error: float
    """Median of |predicted - measured| / measured."""
    rank_correlation: float
    """Spearman's, of the fit on all cells; not a number where its prediction does not vary.

    Of one count it does not depend on the fit. Predictions for methods left out would not do: those
    of a constant go up when a fast method is left out, and so rank against the times.
    """
    log_r2: float
    """1 - residual over total sum of squares of log time; below 0: worse than the mean."""
    errors: Mapping[str, float]
    """The median error in the cells of each method."""


def fit_models(cells: Sequence[Timed]) -> list[Fit]:
    """Every model with and without a constant. Raises ValueError with too few methods."""
    methods = {cell.method for cell in cells}
    if len(methods) < FEWEST_METHODS:
        raise ValueError(f"a fit needs {FEWEST_METHODS} methods; there are {len(methods)}.")
    return [_fit(cells, model, overhead) for overhead in (True, False) for model in MODELS]


def compare_fits(one: Fit, other: Fit) -> tuple[int, int, float]:
    """For how many methods `one` is nearer, of how many, and the sign test's two-sided p.

    Methods are the unit: cells of one method stand or fall together.
    """
    from scipy import special

    gaps = [other.errors[name] - one.errors[name] for name in one.errors]
    wins, losses = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
    n = wins + losses
    p_value = min(1.0, 2 * float(special.bdtr(min(wins, losses), n, 0.5))) if n else 1.0
    return wins, n, p_value


def _fit(cells: Sequence[Timed], model: Model, overhead: bool) -> Fit:
    seconds = np.array([cell.seconds for cell in cells], dtype=np.float64)
    work = _work(cells, model, overhead)
    owners = np.array([cell.method for cell in cells])
    predicted = np.empty_like(seconds)
    for method in np.unique(owners):
        held = owners == method
        predicted[held] = work[held] @ _coefficients(work[~held], seconds[~held])
    predicted = np.maximum(predicted, _SHORTEST)
    errors = np.abs(predicted - seconds) / seconds
    coefficients = _coefficients(work, seconds)
    shares = iter(coefficients.tolist())
    has_flops, has_bytes = model != "bytes moved", model != "operations"
    return Fit(
        model=model,
        overhead=overhead,
        seconds_per_flop=next(shares) if has_flops else None,
        seconds_per_byte=next(shares) if has_bytes else None,
        seconds_per_call=next(shares) if overhead else None,
        median_error=float(np.median(errors)),
        rank_correlation=_correlation(_ranks(work @ coefficients), _ranks(seconds)),
        log_r2=_r2(np.log(predicted), np.log(seconds)),
        errors={str(m): float(np.median(errors[owners == m])) for m in np.unique(owners)},
    )


def _work(cells: Sequence[Timed], model: Model, overhead: bool) -> Floats:
    """What the coefficients multiply, `[cell, share]`."""
    shares: list[Callable[[Timed], float]] = []
    shares += [lambda cell: cell.flops] if model != "bytes moved" else []
    shares += [lambda cell: cell.bytes_moved] if model != "operations" else []
    shares += [lambda _: 1.0] if overhead else []
    return np.array([[share(cell) for share in shares] for cell in cells], dtype=np.float64)


def _coefficients(work: Floats, seconds: Floats) -> Floats:
    """Non-negative, of least squared error in log time.

    By reweighting: least squares on r - 1 with weights log(r) / (r (r - 1)), which are positive,
    has the gradient of log(r)^2 / 2 where it comes to rest.
    """
    # scipy.optimize is slow to import, and few commands fit anything.
    from scipy import optimize

    relative = work / seconds[:, None]
    # Coefficients lie twelve powers of ten apart: columns of one length keep the solver exact.
    lengths = np.linalg.norm(relative, axis=0)
    lengths[lengths == 0.0] = 1.0
    relative /= lengths
    weights = np.ones(len(seconds))
    solution = np.zeros(relative.shape[1])
    for _ in range(_MOST_ROUNDS):
        root = np.sqrt(weights)
        new = optimize.nnls(relative * root[:, None], root)[0]
        still = np.abs(new - solution).max() <= _STILL * new.max()
        solution = new
        if still:
            break
        r = np.maximum(relative @ solution, _LEAST_RATIO)
        weights = 0.5 * (weights + np.where(np.abs(r - 1) < 1e-9, 1.0, np.log(r) / (r * (r - 1))))
    return np.asarray(solution / lengths, dtype=np.float64)


def _ranks(values: Floats) -> Floats:
    """From 1; equal values share the mean of theirs."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[where], dtype=np.float64)


def _correlation(a: Floats, b: Floats) -> float:
    """Pearson's; not a number where either does not vary."""
    if np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return float("nan")
    return statistics.correlation(a.tolist(), b.tolist())


def _r2(predicted: Floats, measured: Floats) -> float:
    total = float(((measured - measured.mean()) ** 2).sum())
    residual = float(((measured - predicted) ** 2).sum())
    return 1 - residual / total if total > 0.0 else float("nan")
