"""Estimators of exp(q.k) by random features: how they draw, and what one feature says of a pair.

Own code, apart from that of the methods, so that the two check each other. docs/variance.md.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

LARGEST_ESTIMATED = 0.45
"""Where eigenvalues of an estimated second moment are clipped: the proposal diverges at 1/2."""

Vectors = Float[Tensor, "*n d"]


class Draw(NamedTuple):
    """Directions with log(p / psi); `phase` only for trigonometric features."""

    w: Float[Tensor, "*n d"]
    log_weight: Float[Tensor, "*n"]
    phase: Float[Tensor, "*n"] | None = None

    def only(self) -> "Draw":
        """`[n, 1, d]` as `[n, d]`: one direction for each pair of a query and a key."""
        phase = None if self.phase is None else self.phase[:, 0]
        return Draw(self.w[:, 0], self.log_weight[:, 0], phase)


def draw_independent(*shape: int, generator: torch.Generator) -> Draw:
    """w ~ N(0, I) of shape `shape`, the dimension last."""
    w = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return Draw(w, w.new_zeros(shape[:-1]))


def draw_orthogonal(draws: int, num_features: int, dim: int, generator: torch.Generator) -> Draw:
    """Each w ~ N(0, I), orthogonal to the others of its block of `dim`.

    Directions are the orthogonal part of a Gaussian matrix's polar form, which is uniform: the
    distribution of the matrix, and so of that part, does not change under a rotation. Lengths are
    those of other Gaussian vectors.
    """
    rows = min(num_features, dim)
    shape = (draws, -(-num_features // rows), rows, dim)
    gaussian, other = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    left, _, right = torch.linalg.svd(gaussian, full_matrices=False)
    w = (left @ right) * other.norm(dim=-1, keepdim=True)
    w = w.flatten(1, 2)[:, :num_features]
    return Draw(w, w.new_zeros(w.shape[:-1]))


def draw_proposed(
    *shape: int, covariance: Float[Tensor, "d d"], generator: torch.Generator
) -> Draw:
    """w ~ N(0, S) with exact log(p / psi) = (log det S + w^T S^(-1) w - w^T w) / 2."""
    root = torch.linalg.cholesky(covariance)
    z = torch.randn(*shape, generator=generator, dtype=torch.float64)
    w = z @ root.mT
    log_det = 2 * root.diagonal().log().sum()
    return Draw(w, (log_det + z.square().sum(-1) - w.square().sum(-1)) / 2)


def estimate_proposal(
    moment: Float[Tensor, "*n d d"], *, shrinkage: float = 0.0
) -> Float[Tensor, "*n d d"]:
    """Sigma* of an estimated second moment, shrunk towards its mean eigenvalue, then clipped.

    shrinkage: from 0, the estimate itself, to 1, a multiple of the identity.
    """
    if not 0 <= shrinkage <= 1:
        raise ValueError(f"shrinkage must lie between 0 and 1, got {shrinkage:g}.")
    mean = moment.diagonal(dim1=-2, dim2=-1).mean(-1)
    values, vectors = torch.linalg.eigh(moment)
    values = (1 - shrinkage) * values + shrinkage * mean[..., None]
    values = values.clamp(0, LARGEST_ESTIMATED)
    values = (1 + 2 * values) / (1 - 2 * values)
    return (vectors * values[..., None, :]) @ vectors.mT


def draw_phases(*shape: int, generator: torch.Generator) -> Draw:
    """Trigonometric features: w ~ N(0, I) of shape `shape`, phase uniform on a circle."""
    w = torch.randn(*shape, generator=generator, dtype=torch.float64)
    phase = torch.rand(shape[:-1], generator=generator, dtype=torch.float64) * (2 * torch.pi)
    return Draw(w, torch.zeros_like(phase), phase)


def draw_optimal_phases(*shape: int, lam: Float[Tensor, "d"], generator: torch.Generator) -> Draw:
    """The optimal proposal of trigonometric features: density p(w) (1 + c(w) cos 2b) / (2 pi),
    c = exp(-2 w^T Lambda (I - 2 Lambda)^(-1) w). Only the phase is tilted.

    A uniform phase is kept with probability (1 + c cos 2b) / 2, else turned by a right angle,
    which changes the sign of cos 2b: that has the density without rejecting anything.
    """
    w, _, phase = draw_phases(*shape, generator=generator)
    assert phase is not None
    tilt = torch.exp(-2 * (w * w) @ (lam / (1 - 2 * lam)))
    chance = (1 + tilt * torch.cos(2 * phase)) / 2
    keep = torch.rand(phase.shape, generator=generator, dtype=torch.float64) < chance
    phase = torch.where(keep, phase, phase + torch.pi / 2)
    return Draw(w, -torch.log1p(tilt * torch.cos(2 * phase)), phase)


def log_positive_estimate(q: Vectors, k: Vectors, draw: Draw) -> Float[Tensor, "*n"]:
    """log of (p / psi) phi(q; w) phi(k; w), phi(x; w) = exp(w.x - |x|^2 / 2), arXiv:2009.14794."""
    norms = q.square().sum(-1) + k.square().sum(-1)
    return draw.log_weight + (draw.w * (q + k)).sum(-1) - norms / 2


def log_abs_trigonometric_estimate(q: Vectors, k: Vectors, draw: Draw) -> Float[Tensor, "*n"]:
    """log of |(p / psi) f(q) f(k)|, f(x) = sqrt(2) cos(w.x + b) exp(|x|^2 / 2)."""
    assert draw.phase is not None, "trigonometric features have a phase"
    norms = q.square().sum(-1) + k.square().sum(-1)
    cosines = torch.cos((draw.w * q).sum(-1) + draw.phase)
    cosines = cosines * torch.cos((draw.w * k).sum(-1) + draw.phase)
    return draw.log_weight + torch.log(2 * cosines.abs()) + norms / 2


def log_abs_paired_estimate(q: Vectors, k: Vectors, draw: Draw) -> Float[Tensor, "*n"]:
    """log of |f(q).f(k)|, f(x) = (cos w.x, sin w.x) exp(|x|^2 / 2)."""
    norms = q.square().sum(-1) + k.square().sum(-1)
    return torch.log(torch.cos((draw.w * (q - k)).sum(-1)).abs()) + norms / 2
