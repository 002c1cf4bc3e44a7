"""Positive random features: phi(x; w) = exp(w.x - |x|^2 / 2), arXiv:2009.14794, lemma 1."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import Features
from methods.core.projections import Omega


def positive_features(
    x: Float[Tensor, "b g t d"],
    omega: Omega,
    log_weight: Float[Tensor, "g m"] | None = None,
) -> Features:
    """E[phi(q) . phi(k)] = exp(q.k) for rows of omega from N(0, I); `x` comes scaled.

    `log_weight` is added to the exponents: half the logarithm of an importance weight. Each row's
    largest feature is split off into the scale, together with the 1 / sqrt(m) of the mean.
    """
    omega = omega.to(x.dtype)
    exponent = x @ omega.transpose(-1, -2) - x.square().sum(-1, keepdim=True) / 2
    if log_weight is not None:
        exponent = exponent + log_weight.to(x.dtype)[:, None]
    # A constant to the gradient: what is split off here is multiplied back through the scale.
    largest = exponent.detach().amax(-1)
    return Features(
        torch.exp(exponent - largest[..., None]), largest - 0.5 * math.log(omega.shape[-2])
    )
