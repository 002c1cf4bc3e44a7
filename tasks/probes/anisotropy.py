"""How far queries and keys are from round and from centred: spectra, ranks, shares of the mean."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectra:
    """Eigenvalues of vectors scaled by d^(-1/4), `[d]`, descending, in float64.

    So scaled, softmax's kernel is exp(q.k), and the poles are at 1/6 and 1/2.
    """

    moment: Float[Tensor, "d"]
    """Of E[x x^T]: what a feature map without shifts meets."""
    covariance: Float[Tensor, "d"]
    """Of the same about the mean: what is left after a shift to the centre."""
    mean_share: float
    """The norm of the mean over the mean of the norms, from 0 to 1."""


def spectra(*parts: Float[Tensor, "n d"]) -> Spectra:
    """Of one set of vectors, or of several whose moments are averaged, each about its own mean."""
    moments, covariances, means, norms = [], [], [], []
    for part in parts:
        x = part.double() * part.shape[-1] ** -0.25
        mean = x.mean(0)
        moments.append(x.mT @ x / len(x))
        covariances.append((x - mean).mT @ (x - mean) / len(x))
        means.append(mean.norm())
        norms.append(x.norm(dim=-1).mean())
    # What cannot be told from zero is none of the smallest: rounding makes some negative.
    moment, covariance = (
        torch.linalg.eigvalsh(torch.stack(matrices).mean(0)).flip(0).clamp(min=0)
        for matrices in (moments, covariances)
    )
    share = (torch.stack(means).mean() / torch.stack(norms).mean()).item()
    return Spectra(moment=moment, covariance=covariance, mean_share=share)


def condition(eigenvalues: Float[Tensor, "d"]) -> float | None:
    """The largest over the smallest; None where the smallest is lost in rounding."""
    least = eigenvalues[0] * len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps
    if eigenvalues[-1] <= least:
        return None
    return (eigenvalues[0] / eigenvalues[-1]).item()


def effective_rank(eigenvalues: Float[Tensor, "d"]) -> float:
    """The participation ratio (sum l)^2 / sum l^2: d where all are equal, 1 where one is all."""
    return (eigenvalues.sum().square() / eigenvalues.square().sum()).item()
