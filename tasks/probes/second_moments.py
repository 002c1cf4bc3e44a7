"""Second moments measured by sampling that stays meaningful up to the poles; docs/variance.md.

Two ways. Joint: queries, keys and directions are drawn together from a wider form of the Gaussian
that their squared estimate weighs, so that the weights are bounded; every sample is the square of
a real estimate. Given directions: the mean over queries and keys is taken exactly and directions
alone are drawn, which measures the mean of many features.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from tasks.probes.closed_forms import log_bound, log_squared_kernel
from tasks.probes.estimators import Draw, log_positive_estimate
from tasks.probes.heavy_tails import Estimate, mean_of_logs

WIDTH = 1.05
"""Variance of the sampling Gaussian over that of the integrand: weights stay bounded."""
ROWS = 128
"""Rows of a matrix of features by features that exist at once: 4 MiB at 4096 features."""
JOINT = "mean by importance sampling of q, k and w together"
TILTED = "mean by importance sampling of q and k"
PAIRED = "mean by importance sampling of the sum of both directions, exact over q and k"

Eigenvalues = Float[Tensor, "d"]


def positive_second_moment(
    lam: Eigenvalues,
    proposal: Float[Tensor, "d d"],
    num_samples: int,
    generator: torch.Generator,
) -> Estimate:
    """E[Z^2] of positive features from N(0, S) with weights p / psi, where it is finite.

    Raises torch.linalg.LinAlgError where it is infinite: the integrand is then no Gaussian.
    """
    dim = len(lam)
    part = lam / (1 + 2 * lam)
    proposal_root = torch.linalg.cholesky(proposal)
    inverse = torch.cholesky_inverse(proposal_root)
    # Of w alone, q and k integrated out of p(q) p(k) psi(w) Z^2.
    precision = 2 * torch.eye(dim, dtype=lam.dtype) - inverse - 8 * torch.diag(part)
    root = torch.linalg.cholesky(precision / WIDTH)
    z, a, b = torch.randn(3, num_samples, dim, generator=generator, dtype=lam.dtype)
    w = torch.linalg.solve_triangular(root.mT, z.mT, upper=True).mT
    spread = (WIDTH * part).sqrt()
    q, k = (2 * part * w + spread * noise for noise in (a, b))
    log_sampled = _log_normal(z, root.diagonal().reciprocal())
    log_sampled = log_sampled + _log_normal(a, spread) + _log_normal(b, spread)
    unit = w.new_ones(dim)
    y = torch.linalg.solve_triangular(proposal_root, w.mT, upper=False).mT
    log_psi = _log_normal(y, proposal_root.diagonal())
    estimate = log_positive_estimate(q, k, Draw(w, _log_normal(w, unit) - log_psi))
    log_true = _log_normal(q / lam.sqrt(), lam.sqrt()) + _log_normal(k / lam.sqrt(), lam.sqrt())
    return mean_of_logs(2 * estimate + log_psi + log_true - log_sampled, JOINT)


def trigonometric_second_moment(
    lam: Eigenvalues,
    draw: Draw,
    log_abs_estimate: Callable[[Tensor, Tensor, Draw], Tensor],
    generator: torch.Generator,
) -> Estimate:
    """E[Z^2] of trigonometric features, lambda_max below 1/2: q and k come from the Gaussian that
    exp(|q|^2) makes of their own, N(0, Lambda (I - 2 Lambda)^(-1)). draw: one direction a sample.
    """
    spread = (lam / (1 - 2 * lam)).sqrt()
    a, b = torch.randn(2, *draw.w.shape, generator=generator, dtype=lam.dtype)
    q, k = spread * a, spread * b
    estimate = log_abs_estimate(q, k, draw)
    log_true = _log_normal(q / lam.sqrt(), lam.sqrt()) + _log_normal(k / lam.sqrt(), lam.sqrt())
    log_sampled = _log_normal(a, spread) + _log_normal(b, spread)
    return mean_of_logs(2 * estimate + log_true - log_sampled, TILTED)


def orthogonal_pair_moment(
    lam: Eigenvalues, num_samples: int, generator: torch.Generator
) -> Estimate:
    """E[Z_1 Z_2] of two directions of one block, for every lam; equation 7.

    The direction u of w_1 + w_2 is uniform, and the mean over its squared length, chi-squared with
    2 d degrees of freedom, and over q and k is exact. u is drawn along (1 + 2 lam) g, g Gaussian,
    which leaves weights between 1 and a bound of Kantorovich's.
    """
    square = torch.randn(num_samples, len(lam), generator=generator, dtype=lam.dtype).square()
    stretch = 1 + 2 * lam
    ratio = square.sum(-1) * (square @ stretch.square()) / (square @ stretch).square()
    return mean_of_logs(len(lam) / 2 * ratio.log(), PAIRED)


def positive_error_given(draw: Draw, lam: Eigenvalues) -> Float[Tensor, "n"]:
    """E[(mean of m estimates - exp(q.k))^2 | directions] over q and k, exactly; equation 14.

    draw: `[n, m, d]`. Its mean over draws is the variance of the mean of m features.
    """
    norm = torch.log1p(2 * lam).sum()
    part = lam / (1 + 2 * lam)
    square = draw.w.square() @ part + draw.log_weight - norm / 2
    with_kernel = torch.exp(draw.log_weight + draw.w.square() @ lam - norm / 2).mean(-1)

    def block(n: int, rows: slice, columns: slice) -> Tensor:
        w, own = draw.w[n], square[n]
        exponent = (2 * w[rows] * part) @ w[columns].mT
        return exponent.add_(own[rows, None]).add_(own[columns]).exp_()

    return _squared_error(_mean_of_blocks(draw, block), with_kernel, lam)


def trigonometric_error_given(draw: Draw, lam: Eigenvalues) -> Float[Tensor, "n"]:
    """The same of trigonometric features, equation 15; lambda_max below 1/2."""
    phase = draw.phase
    assert phase is not None, "trigonometric features have a phase"
    tilted = lam / (1 - 2 * lam)
    scale, weight = math.exp(log_bound(lam)), draw.log_weight.exp()
    square = draw.w.square() @ tilted
    with_kernel = torch.exp(-draw.w.square() @ lam) + torch.cos(2 * phase) * torch.exp(-square)
    with_kernel = (weight * with_kernel).mean(-1) * scale**0.5

    def block(n: int, rows: slice, columns: slice) -> Tensor:
        """r_i r_j (E[f_i f_j])^2, without the constant."""
        w, own, at = draw.w[n], square[n], phase[n]
        inner = (w[rows] * tilted) @ w[columns].mT
        both = (own[rows, None] + own[columns]) / 2
        cosines = torch.cos(at[rows, None]) * torch.cos(at[columns])
        sines = torch.sin(at[rows, None]) * torch.sin(at[columns])
        mean = torch.exp(inner - both).mul_(cosines + sines)
        mean += torch.exp(-inner - both).mul_(cosines - sines)
        return mean.square_().mul_(weight[n, rows, None]).mul_(weight[n, columns])

    return _squared_error(_mean_of_blocks(draw, block) * scale, with_kernel, lam)


def _mean_of_blocks(draw: Draw, block: Callable[[int, slice, slice], Tensor]) -> Tensor:
    """Mean of a symmetric matrix of features by features for each draw, its upper half computed."""
    draws, size = draw.w.shape[:2]
    means = []
    for n in range(draws):
        total = 0.0
        for start in range(0, size, ROWS):
            rows, later = slice(start, start + ROWS), slice(start + ROWS, size)
            total += float(block(n, rows, rows).sum()) + 2 * float(block(n, rows, later).sum())
        means.append(total / size**2)
    return torch.tensor(means, dtype=draw.w.dtype)


def _squared_error(squared: Tensor, with_kernel: Tensor, lam: Eigenvalues) -> Tensor:
    return squared - 2 * with_kernel + math.exp(log_squared_kernel(lam))


def _log_normal(standard: Float[Tensor, "n d"], scale: Eigenvalues) -> Float[Tensor, "n"]:
    """log density of scale * standard, up to the power of 2 pi, which every use here divides."""
    return -standard.square().sum(-1) / 2 - scale.log().sum()
