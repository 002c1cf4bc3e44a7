"""What the estimators of exp(q.k) measure, each number beside its closed form or its infinity."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from tasks.api import Scalar
from tasks.probe import ProbePoint
from tasks.probes import closed_forms as forms
from tasks.probes import estimators, heavy_tails, second_moments
from tasks.probes.estimators import Draw
from tasks.probes.heavy_tails import Estimate
from tasks.probes.spectra import ISOTROPIC_POLE, KERNEL_POLE, require_proposal, spectrum

Where = Mapping[str, Scalar]

LARGEST_EXPONENT = 700.0
"""exp of it is about the largest float64."""
TAIL_BATCH = 2**20
"""Numbers of one batch of plain samples in q, in k and in w: 8 MiB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One covariance, by name and by eigenvalues."""

    name: str
    lam: Float[Tensor, "d"]
    condition: float

    @property
    def where(self) -> dict[str, Scalar]:
        return {
            "spectrum": self.name,
            "condition": self.condition,
            "lambda_max": round(float(self.lam.max()), 12),
            "head_dim": len(self.lam),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimator:
    """A way to estimate exp(q.k) for queries and keys of known covariance."""

    name: str
    pole: float
    """Eigenvalue from which its second moment is infinite."""
    log_second: Callable[[Tensor], float]
    """log E[Z^2] of a single feature in closed form."""
    draw: Callable[[tuple[int, int], Tensor, torch.Generator], Draw]
    """Directions `[n, m, d]` for n and m, given the eigenvalues."""
    proposal: Callable[[Tensor], Tensor] | None = None
    """Eigenvalues of the covariance of w, of positive features; None: trigonometric ones."""
    orthogonal: bool = False

    def relative_variance(self, lam: Float[Tensor, "d"], num_features: int) -> float:
        """In closed form."""
        second = self.log_second(lam)
        return forms.relative_variance(lam, second, num_features, orthogonal=self.orthogonal)


def _isotropic(shape: tuple[int, int], lam: Tensor, generator: torch.Generator) -> Draw:
    return estimators.draw_independent(*shape, len(lam), generator=generator)


def _orthogonal(shape: tuple[int, int], lam: Tensor, generator: torch.Generator) -> Draw:
    return estimators.draw_orthogonal(*shape, len(lam), generator)


def _optimal(shape: tuple[int, int], lam: Tensor, generator: torch.Generator) -> Draw:
    best = torch.diag(forms.optimal_proposal(lam))
    return estimators.draw_proposed(*shape, len(lam), covariance=best, generator=generator)


def _phases(shape: tuple[int, int], lam: Tensor, generator: torch.Generator) -> Draw:
    return estimators.draw_phases(*shape, len(lam), generator=generator)


def _optimal_phases(shape: tuple[int, int], lam: Tensor, generator: torch.Generator) -> Draw:
    return estimators.draw_optimal_phases(*shape, len(lam), lam=lam, generator=generator)


ISOTROPIC = Estimator(
    name="isotropic iid",
    pole=ISOTROPIC_POLE,
    log_second=forms.log_positive,
    draw=_isotropic,
    proposal=torch.ones_like,
)
ORTHOGONAL = replace(ISOTROPIC, name="isotropic orthogonal", draw=_orthogonal, orthogonal=True)
OPTIMAL = Estimator(
    name="optimal proposal",
    pole=KERNEL_POLE,
    log_second=forms.log_bound,
    draw=_optimal,
    proposal=forms.optimal_proposal,
)
PHASES = Estimator(
    name="trigonometric", pole=KERNEL_POLE, log_second=forms.log_trigonometric, draw=_phases
)
OPTIMAL_PHASES = Estimator(
    name="trigonometric, optimal proposal",
    pole=KERNEL_POLE,
    log_second=forms.log_bound,
    draw=_optimal_phases,
)
ESTIMATORS = (ISOTROPIC, ORTHOGONAL, OPTIMAL, PHASES, OPTIMAL_PHASES)


def case(name: str, dim: int, largest: float, condition: float) -> Case:
    """A covariance of a named spectrum; a flat one has condition 1 whatever is asked."""
    condition = 1.0 if name == "flat" else condition
    lam = spectrum(name, dim, largest=largest, condition=condition)
    return Case(name=name, lam=lam, condition=condition)


def point(
    quantity: str, where: Where, estimate: Estimate, predicted: float | None = None
) -> ProbePoint:
    """An estimate as a point of the record."""
    value, low, high, samples, how = estimate
    return ProbePoint(
        quantity=quantity,
        where=where,
        value=value,
        low=low,
        high=high,
        predicted=predicted,
        samples=samples,
        how=how,
    )


def nothing(quantity: str, where: Where, reason: str) -> ProbePoint:
    """A point without a value."""
    return ProbePoint(quantity=quantity, where=where, value=None, reason=reason)


def infinite_from(lam: Float[Tensor, "d"], pole: float) -> str:
    """Why a moment is infinite: the eigenvalue and the pole it has passed; empty below it."""
    largest, count = float(lam.max()), int((lam >= pole).sum())
    if count == 0:
        return ""
    words = {ISOTROPIC_POLE: "1/6", KERNEL_POLE: "1/2"}[pole]
    along = "the first direction" if count == 1 else f"{count} of {len(lam)} directions"
    return f"infinite: lambda_max {largest:.4g} >= {words}, by {largest - pole:.4g}, along {along}"


def second_moment_point(
    estimator: Estimator, found: Case, num_samples: int, generator: torch.Generator
) -> ProbePoint:
    """E[Z^2] of a single feature, finite or not."""
    lam, where = found.lam, {"estimator": estimator.name, **found.where}
    reason = infinite_from(lam, estimator.pole)
    if reason:
        return nothing("second-moment", where, reason)
    log_second = estimator.log_second(lam)
    if log_second > LARGEST_EXPONENT:
        return nothing("second-moment", where, f"finite, above float64: exp({log_second:.4g})")
    if estimator.proposal:
        covariance = torch.diag(estimator.proposal(lam))
        estimate = second_moments.positive_second_moment(lam, covariance, num_samples, generator)
    else:
        draw = estimator.draw((num_samples, 1), lam, generator)
        estimate = second_moments.trigonometric_second_moment(
            lam, draw.only(), estimators.log_abs_trigonometric_estimate, generator
        )
    return point("second-moment", where, estimate, math.exp(log_second))


def pair_moment_point(found: Case, num_samples: int, generator: torch.Generator) -> ProbePoint:
    """E[Z_1 Z_2] of two orthogonal features: below E[exp(2 q.k)], their variances partly cancel."""
    estimate = second_moments.orthogonal_pair_moment(found.lam, num_samples, generator)
    predicted = math.exp(forms.log_orthogonal_pair(found.lam))
    return point("pair-moment", {"estimator": ORTHOGONAL.name, **found.where}, estimate, predicted)


def curve_points(
    estimator: Estimator,
    found: Case,
    num_features: Sequence[int],
    num_draws: Callable[[int], int],
    generator: torch.Generator,
) -> Iterator[ProbePoint]:
    """Relative variance against the number of features, then its slope on logarithms of both."""
    lam, where = found.lam, {"estimator": estimator.name, **found.where}
    reason = infinite_from(lam, estimator.pole) or _unsettled(estimator, lam)
    if reason:
        yield nothing("relative-variance", where, reason)
        return
    error_given = (
        second_moments.positive_error_given
        if estimator.proposal
        else second_moments.trigonometric_error_given
    )
    scale = math.exp(forms.log_squared_kernel(lam))
    measured, predicted = [], []
    for m in num_features:
        draw = estimator.draw((num_draws(m), m), lam, generator)
        how = "mean over draws of features, exact over q and k"
        measured.append(heavy_tails.mean_of(error_given(draw, lam) / scale, how))
        predicted.append(estimator.relative_variance(lam, m))
        here = {**where, "num_features": m}
        yield point("relative-variance", here, measured[-1], predicted[-1])
    if len(num_features) > 1:
        exact = [heavy_tails.exactly(value) for value in predicted]
        expected = heavy_tails.slope(num_features, exact).value
        yield point("slope", where, heavy_tails.slope(num_features, measured), expected)


def _unsettled(estimator: Estimator, lam: Float[Tensor, "d"]) -> str:
    """Why a mean over draws has no standard error, though the variance is finite; or empty."""
    index = (1 + 2 * lam.max().item()) / (8 * lam.max().item())
    if estimator.pole > ISOTROPIC_POLE or index > 2:
        return ""
    return (
        f"finite, and not measured here: over draws of features its tail index is {index:.3g}, not"
        " above 2, so that a mean has no standard error; see second-moment"
    )


def tail_points(
    estimator: Estimator, found: Case, num_samples: int, generator: torch.Generator
) -> Iterator[ProbePoint]:
    """What plain sampling of q, k and w says where the second moment may be infinite.

    The logarithm of the error, log(Z / exp(q.k)), has every moment; Z^2 has the tail index.
    """
    lam, where = found.lam, {"estimator": estimator.name, **found.where}
    assert estimator.proposal, "the logarithm is of positive features"
    if lam.max() >= estimator.pole > ISOTROPIC_POLE:
        yield nothing("tail-index", where, _no_proposal(lam))
        return
    s = estimator.proposal(lam)
    size = max(1, min(num_samples, TAIL_BATCH // len(lam)))
    batches = [_plain_logs(estimator, lam, size, generator) for _ in range(-(-num_samples // size))]
    log_z, log_error = (torch.cat(part) for part in zip(*batches, strict=True))
    index = forms.tail_index(lam.max().item(), s[lam.argmax()].item())
    alone = int((lam == lam.max()).sum()) == 1
    found_index = heavy_tails.hill(2 * log_z)
    if not alone:
        # Powers of log t stand beside t^(-alpha): samples of any sensible number see a fatter tail.
        how = f"{found_index.how}; far below the limit {index:.3g}, as many directions add up"
        found_index = found_index._replace(how=how)
    yield point("tail-index", where, found_index, index if alone else None)
    mean = float((-lam + (s.log() - s + 1) / 2).sum())
    yield point("mean-log-error", where, heavy_tails.mean_of(log_error), mean)
    variance = float((2 * lam * s + 2 * lam**2 + (s - 1) ** 2 / 2).sum())
    squares = (log_error - mean).square()
    yield point("variance-log-error", where, heavy_tails.mean_of(squares), variance)
    if lam.max() >= estimator.pole:
        typical = heavy_tails.median_of_means((2 * log_z).exp())
        yield point("typical-second-moment", where, typical)


def _plain_logs(
    estimator: Estimator, lam: Tensor, size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """log Z and log(Z / exp(q.k))."""
    q, k = torch.randn(2, size, len(lam), generator=generator, dtype=lam.dtype) * lam.sqrt()
    draw = estimator.draw((size, 1), lam, generator).only()
    log_z = estimators.log_positive_estimate(q, k, draw)
    return log_z, log_z - (q * k).sum(-1)


def _no_proposal(lam: Float[Tensor, "d"]) -> str:
    try:
        require_proposal(torch.diag(lam))
    except ValueError as error:
        return str(error).removesuffix(".")
    raise AssertionError("only called past the pole")
