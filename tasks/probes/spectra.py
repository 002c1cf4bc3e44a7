"""Covariances of queries and keys: spectra by name, and what a covariance must be to be one."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

SPECTRA = ("flat", "power-law", "spiked")

ISOTROPIC_POLE = 1 / 6
"""Eigenvalue from which isotropic positive features have an infinite second moment."""

KERNEL_POLE = 1 / 2
"""Eigenvalue from which no proposal has a finite second moment, since the kernel has none."""


def spectrum(name: str, dim: int, *, largest: float, condition: float = 1.0) -> Float[Tensor, "d"]:
    """Eigenvalues in descending order, float64, from `largest` down to `largest / condition`.

    flat: all equal. power-law: a power of the position. spiked: one large, the others equal.
    Raises ValueError for an unknown name and for numbers that no covariance has.
    """
    if name not in SPECTRA:
        raise ValueError(f"spectra are {', '.join(SPECTRA)}; {name!r} is none of them.")
    if dim < 1:
        raise ValueError(f"dim must be 1 or more, got {dim}.")
    if not (largest > 0 and math.isfinite(largest)):
        raise ValueError(f"largest must be finite and above 0, got {largest:g}.")
    if not (condition >= 1 and math.isfinite(condition)):
        raise ValueError(f"condition must be finite and 1 or more, got {condition:g}.")
    if name == "flat":
        if condition != 1:
            raise ValueError(f"a flat spectrum has condition 1, got {condition:g}.")
        return torch.full((dim,), largest, dtype=torch.float64)
    if name == "spiked":
        values = torch.full((dim,), largest / condition, dtype=torch.float64)
        values[0] = largest
        return values
    position = torch.arange(1, dim + 1, dtype=torch.float64)
    exponent = math.log(condition) / math.log(dim) if dim > 1 else 0.0
    return largest * position**-exponent


def require_covariance(covariance: Float[Tensor, "d d"]) -> None:
    """Raises ValueError unless symmetric and positive definite; says which direction fails."""
    if not torch.isfinite(covariance).all():
        raise ValueError("the covariance holds a number that is not finite.")
    gap = (covariance - covariance.mT).abs().max().item()
    if gap > 1e-8 * covariance.abs().max().item():
        raise ValueError(f"the covariance is not symmetric: two entries differ by {gap:.3g}.")
    values, vectors = torch.linalg.eigh(covariance.double())
    smallest = values[0].item()
    # A rounding error of eigh, relative to the largest: below it a zero looks positive.
    least = values.abs().max().item() * len(values) * torch.finfo(torch.float64).eps
    if smallest <= least:
        raise ValueError(
            f"the covariance is not positive definite: its eigenvalue along"
            f" {_direction(vectors[:, 0])} is {smallest:.3g}. Add a multiple of the identity, or"
            " leave that direction out."
        )


def require_proposal(covariance: Float[Tensor, "d d"]) -> None:
    """Raises ValueError where the optimal proposal does not exist: an eigenvalue of 1/2 or more.

    arXiv:2603.04127, theorem 3.2. Says along which direction, by how much, and what scale fits.
    """
    require_covariance(covariance)
    values, vectors = torch.linalg.eigh(covariance.double())
    largest = values[-1].item()
    if largest >= KERNEL_POLE:
        raise ValueError(
            f"no optimal proposal exists: lambda_max {largest:.4g} >= 1/2, along"
            f" {_direction(vectors[:, -1])}, too large by {largest - KERNEL_POLE:.4g}. Scale"
            f" queries and keys by less than {math.sqrt(KERNEL_POLE / largest):.4g}."
        )


def _direction(vector: Float[Tensor, "d"]) -> str:
    """A unit vector by its largest parts, such as `0.98 e3 - 0.2 e0`; its first is positive."""
    order = vector.abs().argsort(descending=True, stable=True)
    first = vector[order[0]]
    parts = [(float(vector[i] * first.sign()), int(i)) for i in order[:3]]
    kept = [(value, i) for value, i in parts if abs(value) >= 0.1] or parts[:1]
    text = "".join(f" {'-' if v < 0 else '+'} {abs(v):.2g} e{i}" for v, i in kept)
    return text.removeprefix(" + ")
