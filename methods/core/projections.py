"""Random directions omega for random features: independent, or orthogonal within blocks."""

import torch
from jaxtyping import Float
from torch import Tensor

Omega = Float[Tensor, "g m d"]


def draw_omega(
    num_heads: int,
    num_features: int,
    dim: int,
    *,
    orthogonal: bool,
    generator: torch.Generator,
) -> Omega:
    """Rows that are each exactly N(0, I); different heads are independent.

    Orthogonal rows are independent of those of other blocks and orthogonal to those of their own
    block of `dim` rows, which lowers the variance of the estimate and leaves its mean alone.
    """
    if not orthogonal:
        return torch.randn(num_heads, num_features, dim, generator=generator)
    num_blocks = -(-num_features // dim)
    gaussian = torch.randn(num_heads, num_blocks, dim, dim, generator=generator)
    directions = haar(gaussian).flatten(1, 2)[:, :num_features]
    norms = torch.randn(num_heads, num_features, dim, generator=generator).norm(dim=-1)
    return directions * norms[..., None]


def haar(gaussian: Float[Tensor, "*batch n n"]) -> Float[Tensor, "*batch n n"]:
    """Uniformly distributed orthogonal matrices from Gaussian ones.

    A QR factorisation picks the signs of Q by a rule of its own, so its Q is not uniform; taking
    the signs of R's diagonal into Q makes it so. Without it random features are biased.
    """
    q, r = torch.linalg.qr(gaussian)
    sign = torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0)
    return q * sign[..., None, :]
