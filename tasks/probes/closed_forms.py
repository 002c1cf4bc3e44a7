"""Second moments of random-feature estimates of exp(q.k) in closed form; docs/variance.md has why.

q and k are independent, N(0, Lambda), with the eigenvalues `lam` of Lambda. A moment is of an
estimate by one feature, and comes as its natural logarithm, infinity where there is none.
Equation numbers are those of docs/variance.md.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from tasks.probes.spectra import ISOTROPIC_POLE, KERNEL_POLE

Eigenvalues = Float[Tensor, "d"]

SERIES_TERMS = 4096
"""At most; 2 lam / (1 + 2 lam) < 1 is the ratio of the terms far out."""


def log_squared_kernel(lam: Eigenvalues) -> float:
    """E[exp(2 q.k)] = prod (1 - 4 lam^2)^(-1/2), equation 2."""
    return math.inf if _largest(lam) >= KERNEL_POLE else -0.5 * _sum(torch.log1p(-4 * lam * lam))


def log_bound(lam: Eigenvalues) -> float:
    """(E[k(x, x)])^2 = prod (1 - 2 lam)^(-1), equation 9: what every scalar feature reaches under
    its own optimal proposal, arXiv:2406.18802; arXiv:2603.04127, theorem 3.2."""
    return math.inf if _largest(lam) >= KERNEL_POLE else -_sum(torch.log1p(-2 * lam))


def optimal_proposal(lam: Eigenvalues) -> Eigenvalues:
    """Sigma* = (1 + 2 lam) / (1 - 2 lam), arXiv:2603.04127, theorem 3.2; equation 8."""
    if _largest(lam) >= KERNEL_POLE:
        raise ValueError(f"no optimal proposal exists: lambda_max {_largest(lam):.4g} >= 1/2.")
    return (1 + 2 * lam) / (1 - 2 * lam)


def log_positive(lam: Eigenvalues) -> float:
    """Isotropic positive features: prod ((1 - 6 lam) (1 + 2 lam))^(-1/2), equation 5."""
    if _largest(lam) >= ISOTROPIC_POLE:
        return math.inf
    return -0.5 * _sum(torch.log1p(-6 * lam) + torch.log1p(2 * lam))


def log_weighted(lam: Eigenvalues, proposal: Float[Tensor, "d d"]) -> float:
    """Positive features from N(0, S) with weights p / psi, any S in Lambda's basis, equation 6.

    The optimum times det(I - F^2)^(-1/2), F = Sigma*^(1/2) S^(-1) Sigma*^(1/2) - I; infinite
    unless every eigenvalue of F is below 1, which is S > Sigma* / 2.
    """
    if _largest(lam) >= KERNEL_POLE:
        return math.inf
    root = optimal_proposal(lam).sqrt()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(proposal))
    ratios = torch.linalg.eigvalsh(root[:, None] * inverse * root) - 1
    if ratios[-1] >= 1:
        return math.inf
    return log_bound(lam) - 0.5 * _sum(torch.log1p(-ratios * ratios))


def log_estimation_excess(lam: Eigenvalues, num_samples: int) -> float:
    """log(second moment / optimum) of a proposal estimated from samples, first order in 1 / n:
    (8 / n) ((sum u)^2 + sum u^2), u = lam / (1 - 4 lam^2), equation 12."""
    u = lam / (1 - 4 * lam * lam)
    return 8 / num_samples * (_sum(u) ** 2 + _sum(u * u))


def log_trigonometric(lam: Eigenvalues) -> float:
    """Random phases: the bound + prod ((1 - 2 lam) (1 + 6 lam))^(-1/2) / 2, equation 10."""
    return _log_add(log_bound(lam), _log_half_cosine(lam))


def log_paired(lam: Eigenvalues) -> float:
    """Paired sines and cosines: half the bound + the same second term, equation 11. Features of
    two dimensions: the bound does not hold for them."""
    return _log_add(log_bound(lam) - math.log(2), _log_half_cosine(lam))


def log_orthogonal_pair(lam: Eigenvalues) -> float:
    """E[Z_1 Z_2] of two orthogonal directions of one block, equation 7: finite for every lam.

    A series of positive terms (d)_n / (d/2)_n c_n; c_n are the coefficients in t of
    det(I - 2 t A)^(-1/2), A = lam / (1 + 2 lam), found from the power sums of A.
    """
    dim = len(lam)
    a = 2 * lam / (1 + 2 * lam)
    largest = a.max()
    # Powers of a / max(a): the geometric part is put back on each term as a logarithm.
    powers = (a / largest) ** torch.arange(1, SERIES_TERMS + 1, dtype=lam.dtype)[:, None]
    power_sums = powers.sum(1)
    coefficients = torch.ones(SERIES_TERMS + 1, dtype=lam.dtype)
    logs, log_factor = [0.0], 0.0
    for n in range(1, SERIES_TERMS + 1):
        earlier = coefficients[:n].flip(0)
        coefficients[n] = power_sums[:n] @ earlier / (2 * n)
        log_factor += math.log((dim + n - 1) / (dim / 2 + n - 1)) + math.log(largest.item())
        logs.append(log_factor + math.log(coefficients[n].item()))
        if n > dim and logs[-1] < max(logs) - 40:
            break
    total = torch.logsumexp(torch.tensor(logs, dtype=torch.float64), 0).item()
    return total - _sum(torch.log1p(2 * lam))


def pairs_in_blocks(num_features: int, dim: int) -> int:
    """Ordered pairs of different features that share a block of `dim` orthogonal directions."""
    whole, rest = divmod(num_features, dim)
    return whole * dim * (dim - 1) + rest * (rest - 1)


def relative_variance(
    lam: Eigenvalues, log_second: float, num_features: int, *, orthogonal: bool = False
) -> float:
    """E[Var(mean of m features)] / E[exp(2 q.k)], equation 3; infinity where there is none."""
    log_kernel = log_squared_kernel(lam)
    if math.isinf(log_second) or math.isinf(log_kernel):
        return math.inf
    variance = math.expm1(log_second - log_kernel) / num_features
    if orthogonal:
        pairs = pairs_in_blocks(num_features, len(lam))
        variance += math.expm1(log_orthogonal_pair(lam) - log_kernel) * pairs / num_features**2
    return variance


def whitened(dim: int) -> Eigenvalues:
    """lam of M q with M = Lambda^(-1/2), temperature 1 / sqrt(d) kept: flat at d^(-1/2).

    arXiv:2603.04127, proposition C.1.
    """
    return torch.full((dim,), dim**-0.5, dtype=torch.float64)


def tail_index(largest: float, proposal: float = 1.0) -> float:
    """alpha of P(Z^2 > t) ~ t^(-alpha), Z^2 the squared estimate over q, k and w, equation 13.

    `proposal`: the variance of w in the direction of the largest eigenvalue. Below 1 the second
    moment is infinite, below 2 a plain mean of squares has an infinite standard error.
    """
    a = 1 / proposal
    linear = a + (1 - a) / largest
    return (linear + math.sqrt(linear**2 + 4 * (1 + a) * a / largest)) / (4 * (1 + a))


def _log_half_cosine(lam: Eigenvalues) -> float:
    if _largest(lam) >= KERNEL_POLE:
        return math.inf
    return -0.5 * _sum(torch.log1p(-2 * lam) + torch.log1p(6 * lam)) - math.log(2)


def _log_add(a: float, b: float) -> float:
    high, low = max(a, b), min(a, b)
    return high if math.isinf(high) else high + math.log1p(math.exp(low - high))


def _largest(lam: Eigenvalues) -> float:
    return float(lam.max())


def _sum(x: Tensor) -> float:
    return float(x.sum())
