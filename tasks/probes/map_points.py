"""The variance of a method's own features on fixed pairs, beside exact isotropic reference lines.

The relative variance is the sum over pairs of E[(estimate - kernel)^2] over the sum of kernel^2,
the kernel being the map's own; bias, if there is any, is in it. Pairs are drawn once from
N(0, Lambda), so that everything is finite and the reference lines hold for these very pairs.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tasks.api import Scalar
from tasks.probe import ProbePoint, ProbeSubject
from tasks.probes import heavy_tails
from tasks.probes.closed_forms import pairs_in_blocks
from tasks.probes.heavy_tails import Estimate
from tasks.probes.theory_points import ISOTROPIC, ORTHOGONAL, Case, nothing, point

CALIBRATION = 4096
"""Queries, and keys, from N(0, Lambda) that a method may set itself from."""
MOST_OF_SUM = 0.25
"""Where a single draw makes more of a sum over draws, the mean has not settled."""
HOW = "mean over draws of the method, squares summed over the pairs"


class Pairs(NamedTuple):
    """Queries and keys scaled by d^(-1/4), so that softmax's kernel is exp(q.k)."""

    q: Float[Tensor, "n d"]
    k: Float[Tensor, "n d"]
    calibration: Float[Tensor, "2 c d"]


class Protocol(NamedTuple):
    """How often a method is drawn, and with what."""

    num_features: tuple[int, ...]
    num_draws: int
    seed: int
    device: str


def draw_pairs(found: Case, num_pairs: int, generator: torch.Generator) -> Pairs:
    """Pairs and calibration data from N(0, Lambda)."""
    shape, root = (2, num_pairs + CALIBRATION, len(found.lam)), found.lam.sqrt()
    drawn = torch.randn(shape, generator=generator, dtype=torch.float64) * root
    q, k = drawn[:, :num_pairs]
    return Pairs(q, k, drawn[:, num_pairs:])


def map_points(
    subject: ProbeSubject, found: Case, pairs: Pairs, protocol: Protocol
) -> Iterator[ProbePoint]:
    """Relative variance of the method's estimate at each number of features, and its slope."""
    where: dict[str, Scalar] = {"estimator": subject.name, **found.where}
    measured: list[tuple[int, Estimate]] = []
    varies = "num_features" in subject.options
    for asked in protocol.num_features if varies else (None,):
        size, errors = _errors(subject, pairs, asked, protocol)
        here = {**where, "num_features": size}
        share = heavy_tails.largest_share(errors)
        if not bool(errors.isfinite().all()):
            yield nothing("relative-variance", here, "features or kernel overflow float64")
        elif share > MOST_OF_SUM:
            yield nothing("relative-variance", here, _unsettled(share, len(errors)))
        else:
            measured.append((size, heavy_tails.mean_of(errors, HOW)))
            yield point("relative-variance", here, measured[-1][1])
    if len(measured) > 1 and all(estimate.value > 0 for _, estimate in measured):
        sizes, estimates = zip(*measured, strict=True)
        yield point("slope", where, heavy_tails.slope(sizes, estimates))


def reference_points(
    found: Case, pairs: Pairs, num_features: Sequence[int]
) -> Iterator[ProbePoint]:
    """Isotropic positive features on the same pairs, exactly."""
    from scipy.special import hyp1f1

    dim = len(found.lam)
    weight = torch.softmax(2 * (pairs.q * pairs.k).sum(-1), 0)
    square = (pairs.q + pairs.k).square().sum(-1)
    alone = float(weight @ torch.expm1(square))
    # Of two features of one orthogonal block, over the squared kernel, less 1.
    ratio = torch.from_numpy(hyp1f1(dim, dim / 2, square.numpy() / 2)) * torch.exp(-square)
    together = float(weight @ (ratio - 1))
    for m in num_features:
        for estimator in (ISOTROPIC, ORTHOGONAL):
            shared = pairs_in_blocks(m, dim) if estimator.orthogonal else 0
            value = alone / m + together * shared / m**2
            where = {
                "estimator": f"{estimator.name}, these pairs",
                **found.where,
                "num_features": m,
            }
            yield point("relative-variance", where, heavy_tails.exactly(value))


def _errors(
    subject: ProbeSubject, pairs: Pairs, num_features: int | None, protocol: Protocol
) -> tuple[int, Float[Tensor, "r"]]:
    """Of each draw the squared errors over the squared kernels, both summed over the pairs."""
    dim = pairs.q.shape[-1]
    # Inputs of a method are not scaled: one that estimates softmax's kernel does so itself.
    q, k, *calibration = (
        (x[None, None] * dim**0.25).to(protocol.device)
        for x in (pairs.q, pairs.k, *pairs.calibration)
    )
    each, size = [], 0
    for draw in range(protocol.num_draws):
        instance = subject.draw(
            protocol.seed * 1_000_003 + draw,
            num_heads=1,
            head_dim=dim,
            num_features=num_features,
            dtype="float64",
        )
        instance.calibrate(*calibration)
        queries, keys = instance.features(q, k)
        log_kernel = instance.log_kernel(q, k).diagonal(dim1=-2, dim2=-1)[0, 0].double()
        product = (queries.values.double() * keys.values.double()).sum(-1)[0, 0]
        scale = (queries.log_scale.double() + keys.log_scale.double())[0, 0]
        error = (product * torch.exp(scale - log_kernel) - 1).square()
        each.append(float(torch.softmax(2 * log_kernel, 0) @ error))
        size = queries.values.shape[-1]
    return size, torch.tensor(each, dtype=torch.float64)


def _unsettled(share: float, draws: int) -> str:
    percent = math.floor(100 * share)
    return (
        f"not settled: one of {draws} draws makes {percent} % of the sum of squares, so that the"
        " mean says nothing yet; take more draws, more features or a smaller lambda_max"
    )
