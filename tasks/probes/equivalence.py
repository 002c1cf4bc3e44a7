"""Two theorems in numbers: what learning Sigma amounts to, and what every representation reaches.

It concerns no method: one run with any method tells everything, such as `--methods softmax`.

1. arXiv:2603.04127, proposition 4.1: features of the kernel exp(q^T Sigma k) with directions from
   N(0, Sigma) are isotropic features of M q and M k, Sigma = M^T M (`feature-difference`), and
   estimate without weights what directions from N(0, I) estimate with the weights psi / p
   (`mean-over-kernel`). They do not estimate softmax's kernel (`mean-over-softmax`), which
   directions from N(0, Sigma) estimate with the weights p / psi.
2. arXiv:2406.18802: under its own optimal proposal every representation of exp(q.k) by one number
   reaches the same second moment, (E k(x, x))^2 (`bound`, `second-moment`, and their
   `ratio-of-second-moments`). Paired sines and cosines are two numbers, and go below.
"""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from tasks.api import Scalar
from tasks.probe import (
    ProbePoint,
    ProbePreset,
    ProbeRequest,
    ProbeSubject,
    ProbeTask,
    Report,
    whole_numbers,
)
from tasks.probes import closed_forms as forms
from tasks.probes import estimators, second_moments
from tasks.probes.estimators import draw_independent, draw_proposed, log_positive_estimate
from tasks.probes.heavy_tails import Estimate, exactly, mean_of_logs
from tasks.probes.settings import numbers
from tasks.probes.spectra import SPECTRA
from tasks.probes.theory_points import (
    ESTIMATORS,
    OPTIMAL,
    OPTIMAL_PHASES,
    Case,
    case,
    infinite_from,
    nothing,
    point,
    second_moment_point,
)

LEARNED = (0.8, 1.25)
"""Eigenvalues s of the learned Sigma. Weights psi / p have moments below s / (s - 1) of the
greatest, p / psi below 1 / (1 - s) of the least: here both below 5. Two would make a mean with a
standard error, but with no third moment samples of any usual size come out too low, and too sure
(from 0.7 to 1.6, with moments below 2.7, their distances had a mean of -0.8 standard errors and a
spread of 1.5, in 60 seeds of 4000 samples)."""
SIZE = 0.25
"""|q|^2 = |k|^2 of the pair at which estimates are compared: their tails are light there."""


def check(settings: Mapping[str, Scalar]) -> None:
    """Raises ValueError for settings that make no sense."""
    whole_numbers(settings, "head_dims", least=2)
    numbers(settings, "conditions", least=1.0)
    if not min(numbers(settings, "lambda_max")) > 0:
        raise ValueError("lambda_max must be above 0: it is the largest eigenvalue.")
    if settings["num_samples"] < 32:  # type: ignore[operator]
        raise ValueError(f"num_samples must be 32 or more, got {settings['num_samples']}.")


def run(subject: ProbeSubject, request: ProbeRequest, report: Report) -> Iterator[ProbePoint]:
    """The two theorems in every dimension."""
    del subject
    settings = request.settings
    generator = torch.Generator().manual_seed(request.seed)
    dims, num_samples = whole_numbers(settings, "head_dims"), int(settings["num_samples"])
    for number, dim in enumerate(dims):
        report(f"{dim} dimensions", number, len(dims))
        yield from learned_points(dim, num_samples, generator)
        for name in SPECTRA:
            for condition in (1.0,) if name == "flat" else numbers(settings, "conditions"):
                for largest in numbers(settings, "lambda_max"):
                    found = case(name, dim, largest, condition)
                    yield from representation_points(found, num_samples, generator)


def learned_points(dim: int, num_samples: int, generator: torch.Generator) -> Iterator[ProbePoint]:
    """Proposition 4.1 for one M that is neither diagonal nor symmetric, at one pair."""
    left, right = torch.linalg.qr(
        torch.randn(2, dim, dim, generator=generator, dtype=torch.float64)
    ).Q
    values = torch.linspace(*LEARNED, dim, dtype=torch.float64)
    m = (left * values.sqrt()) @ right
    sigma = m.mT @ m
    random = torch.randn(2, dim, generator=generator, dtype=torch.float64)
    # Near the direction that Sigma stretches most, where the two kernels differ most.
    near = right[-1] + random / (2 * random.norm(dim=-1, keepdim=True))
    q, k = near * math.sqrt(SIZE) / near.norm(dim=-1, keepdim=True)
    log_own, log_softmax = float(q @ sigma @ k), float(q @ k)
    where: dict[str, Scalar] = {"head_dim": dim}

    proposed = draw_proposed(num_samples, dim, covariance=sigma, generator=generator)
    isotropic = draw_independent(num_samples, dim, generator=generator)
    # With w = M^T z the same direction is read in either way.
    own = _log_own_estimate(q, k, isotropic.w @ m, sigma)
    difference = (own - log_positive_estimate(m @ q, m @ k, isotropic)).abs().max().item()
    yield point(
        "feature-difference",
        {**where, "estimator": "learned Sigma"},
        exactly(difference)._replace(samples=num_samples, how="largest difference of logarithms"),
        0.0,
    )
    unweighted = _log_own_estimate(q, k, proposed.w, sigma)
    weighted = _log_own_estimate(q, k, isotropic.w, sigma) + _log_density_ratio(isotropic.w, sigma)
    exact = log_positive_estimate(q, k, proposed)
    for estimator, log_z in (
        ("w from N(0, Sigma), no weights", unweighted),
        ("w from N(0, I), weights psi / p", weighted),
    ):
        here = {**where, "estimator": estimator}
        yield point("mean-over-kernel", here, mean_of_logs(log_z - log_own), 1.0)
    for estimator, log_z, predicted in (
        ("w from N(0, Sigma), no weights", unweighted, math.exp(log_own - log_softmax)),
        ("softmax features, w from N(0, Sigma), weights p / psi", exact, 1.0),
    ):
        here = {**where, "estimator": estimator}
        yield point("mean-over-softmax", here, mean_of_logs(log_z - log_softmax), predicted)


def representation_points(
    found: Case, num_samples: int, generator: torch.Generator
) -> Iterator[ProbePoint]:
    """Second moments of positive and of trigonometric features, and the bound."""
    lam, moments = found.lam, {}
    reason = infinite_from(lam, forms.KERNEL_POLE)
    if reason:
        yield nothing("bound", {"estimator": "any", **found.where}, reason)
        return
    bound = _bound(lam, num_samples, generator)
    where = {"estimator": "any", **found.where}
    yield point("bound", where, bound, math.exp(forms.log_bound(lam)))
    for estimator in ESTIMATORS:
        if not estimator.orthogonal:
            moments[estimator.name] = second_moment_point(estimator, found, num_samples, generator)
            yield moments[estimator.name]
    draw = draw_independent(num_samples, len(lam), generator=generator)
    paired = second_moments.trigonometric_second_moment(
        lam, draw, estimators.log_abs_paired_estimate, generator
    )
    where = {"estimator": "paired trigonometric", **found.where}
    yield point("second-moment", where, paired, math.exp(forms.log_paired(lam)))
    ratio = _ratio(moments[OPTIMAL.name], moments[OPTIMAL_PHASES.name])
    where = {"estimator": f"{OPTIMAL.name} / {OPTIMAL_PHASES.name}", **found.where}
    yield point("ratio-of-second-moments", where, ratio, 1.0)


def _log_own_estimate(q: Tensor, k: Tensor, w: Tensor, sigma: Tensor) -> Tensor:
    """log phi_Sigma(q; w) phi_Sigma(k; w), phi_Sigma(x; w) = exp(w.x - x^T Sigma x / 2)."""
    return w @ (q + k) - (q @ sigma @ q + k @ sigma @ k) / 2


def _log_density_ratio(w: Tensor, sigma: Tensor) -> Tensor:
    """log psi(w) / p(w) of psi = N(0, Sigma), p = N(0, I)."""
    standard = torch.linalg.solve(sigma, w.mT).mT
    return (w.square().sum(-1) - (w * standard).sum(-1) - torch.logdet(sigma)) / 2


def _bound(lam: Tensor, num_samples: int, generator: torch.Generator) -> Estimate:
    """(E exp(|x|^2))^2 as the mean over independent x and y of exp(|x|^2 + |y|^2), both drawn from
    a wider form of the Gaussian that exp(|x|^2) makes of theirs."""
    wider = second_moments.WIDTH * lam / (1 - 2 * lam)
    z = torch.randn(2, num_samples, len(lam), generator=generator, dtype=lam.dtype)
    square = z.square() * wider
    # log of exp(|x|^2) times the density of x over the one that it was drawn from.
    log_x = square - square / (2 * lam) + z.square() / 2 + (wider / lam).log() / 2
    return mean_of_logs(log_x.sum(-1).sum(0), "mean by importance sampling of x and y")


def _ratio(top: ProbePoint, bottom: ProbePoint) -> Estimate:
    """Of two independent estimates, the relative half widths added as squares."""
    relative = []
    for found in (top, bottom):
        assert None not in (found.value, found.low, found.high), "finite below 1/2"
        relative.append((found.high - found.low) / (2 * found.value))  # type: ignore[operator]
    value = top.value / bottom.value  # type: ignore[operator]
    half = value * math.hypot(*relative)
    samples = top.samples + bottom.samples
    return Estimate(value, value - half, value + half, samples, "ratio of two means")


def _preset(name: str, note: str, **changed: Scalar) -> ProbePreset:
    settings: dict[str, Scalar] = {
        "head_dims": "8",
        "conditions": "100",
        "lambda_max": "0.05,0.16,0.2,0.3,0.45,0.6",
        "num_samples": 20_000,
    }
    return ProbePreset(name=name, note=note, settings=settings | changed)


TASK = ProbeTask(
    name="probes/equivalence",
    version=2,
    title="Learning Sigma against importance sampling; positive against trigonometric features",
    presets=(
        _preset("quick", "8 dimensions: seconds."),
        _preset(
            "small",
            "8 and 64 dimensions, conditions to 100 000: about a minute.",
            head_dims="8,64",
            conditions="100,100000",
            lambda_max="0.02,0.1,0.16,0.17,0.3,0.45,0.49,0.6",
        ),
    ),
    needs="attention",
    run=run,
    check=check,
    paper="arXiv:2406.18802",
)
