"""What it costs to estimate the proposal, and the kernel that DARKFormer estimates instead."""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from tasks.api import Scalar
from tasks.probe import ProbePoint
from tasks.probes import closed_forms as forms
from tasks.probes import heavy_tails, second_moments
from tasks.probes.estimators import estimate_proposal
from tasks.probes.heavy_tails import Estimate
from tasks.probes.spectra import ISOTROPIC_POLE
from tasks.probes.theory_points import (
    ISOTROPIC,
    LARGEST_EXPONENT,
    Case,
    infinite_from,
    nothing,
    point,
)

ESTIMATED = "estimated proposal"
WHITENED = "own kernel at whitening"
FIRST_ORDER = 1.2
"""Up to this excess its expansion in 1 / n is compared with what is found."""
ROWS = 4096
"""Samples that exist at once: 2 MiB in 64 dimensions."""


def sample_moments(
    sizes: Sequence[int], num_draws: int, dim: int, generator: torch.Generator
) -> dict[int, Float[Tensor, "r d d"]]:
    """Second moments of n samples from N(0, I), for every n the first ones of the same sequence."""
    asked = sorted(set(sizes))
    kept: dict[int, list[Tensor]] = {n: [] for n in asked}
    for _ in range(num_draws):
        total, seen = torch.zeros(dim, dim, dtype=torch.float64), 0
        for n in asked:
            while seen < n:
                size = min(ROWS, n - seen)
                x = torch.randn(size, dim, generator=generator, dtype=torch.float64)
                total, seen = total + x.mT @ x, seen + size
            kept[n].append(total / n)
    return {n: torch.stack(moments) for n, moments in kept.items()}


def estimated_points(
    found: Case,
    moments: dict[int, Float[Tensor, "r d d"]],
    shrinkage: float,
    num_samples: int,
    generator: torch.Generator,
) -> Iterator[ProbePoint]:
    """Second moment under an estimated proposal over that under the true one, against n.

    Of each estimated proposal it is known in closed form; the first one's is measured as well.
    """
    lam = found.lam
    root, best = lam.sqrt(), forms.log_bound(lam)
    for n, unit in moments.items():
        where = {
            "estimator": ESTIMATED,
            **found.where,
            "proposal_samples": n,
            "shrinkage": shrinkage,
        }
        if lam.max() >= forms.KERNEL_POLE:
            yield nothing("excess", where, infinite_from(lam, forms.KERNEL_POLE))
            continue
        proposals = estimate_proposal(root[:, None] * unit * root, shrinkage=shrinkage)
        logs = torch.tensor([forms.log_weighted(lam, s) for s in proposals], dtype=lam.dtype)
        how = f"share of {len(logs)} estimated proposals"
        share = heavy_tails.share_of(int(logs.isinf().sum()), len(logs), how)
        yield point("infinite-share", where, share)
        first_order = math.exp(forms.log_estimation_excess(lam, n)) if shrinkage == 0 else None
        yield _excess(where, logs - best, first_order)
        if shrinkage == 0 and logs[0] < LARGEST_EXPONENT:
            estimate = second_moments.positive_second_moment(
                lam, proposals[0], num_samples, generator
            )
            yield point("second-moment", where, estimate, math.exp(logs[0].item()))


def _excess(where: Mapping[str, Scalar], logs: Tensor, first_order: float | None) -> ProbePoint:
    """The geometric mean, which theory predicts; the median where some are infinite."""
    if bool(logs.isfinite().all()):
        found = heavy_tails.mean_of(logs, "geometric mean over estimated proposals, exact for each")
    else:
        found = heavy_tails.median_of(logs, "median over estimated proposals, exact for each")
        first_order = None
    if not found.value < LARGEST_EXPONENT:
        reason = f"infinite: so is the second moment of most of {len(logs)} estimated proposals"
        return nothing("excess", where, reason)
    return ProbePoint(
        quantity="excess",
        where=where,
        value=math.exp(found.value),
        low=math.exp(found.low),
        high=math.exp(found.high) if found.high < LARGEST_EXPONENT else None,
        # Of first order in 1 / n: far from the optimum it predicts nothing.
        predicted=first_order if first_order and first_order < FIRST_ORDER else None,
        samples=found.samples,
        how=found.how,
    )


def whitened_points(dim: int, num_samples: int, generator: torch.Generator) -> Iterator[ProbePoint]:
    """DARKFormer's own kernel exp(q^T Sigma k) at whitening, the same for every covariance.

    M q and M k are then isotropic with eigenvalues d^(-1/2), whatever theirs were.
    """
    lam = forms.whitened(dim)
    where = {"estimator": WHITENED, "head_dim": dim, "lambda_max": round(float(lam[0]), 12)}
    reason = infinite_from(lam, ISOTROPIC_POLE)
    if reason:
        yield nothing("second-moment", where, reason)
        return
    unit = torch.eye(dim, dtype=lam.dtype)
    estimate = second_moments.positive_second_moment(lam, unit, num_samples, generator)
    yield point("second-moment", where, estimate, math.exp(ISOTROPIC.log_second(lam)))
    kernel = math.exp(forms.log_squared_kernel(lam))
    relative = Estimate(
        estimate.value / kernel - 1,
        estimate.low / kernel - 1,
        estimate.high / kernel - 1,
        estimate.samples,
        estimate.how,
    )
    predicted = ISOTROPIC.relative_variance(lam, 1)
    yield point("relative-variance", {**where, "num_features": 1}, relative, predicted)
