"""The spectra of one layer's queries and keys, as points: poles, condition, rank, the mean."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from tasks.api import Scalar
from tasks.probe import ProbePoint
from tasks.probes.anisotropy import Spectra, condition, effective_rank, spectra
from tasks.probes.capture import Captured
from tasks.probes.spectra import ISOTROPIC_POLE, KERNEL_POLE

POLES = {"1/6": ISOTROPIC_POLE, "1/2": KERNEL_POLE}
RANKS = tuple(2**i for i in range(10))
"""Positions in a spectrum that are kept, from the largest."""
BOTH = "both"
"""Queries and keys pooled with equal weight, as theory takes them to be alike."""


def spectral_points(
    calibration: Captured, test: Captured, where: Mapping[str, Scalar]
) -> Iterator[ProbePoint]:
    """Of all blocks, per key-value head; the queries that share one are pooled.

    Vectors are scaled by d^(-1/4). `centred` says whether about the mean.
    """
    by_set: dict[str, list[Spectra]] = {}
    num_vectors = 0
    num_heads = test.k.shape[1]
    for head in range(num_heads):
        queries, keys = (_vectors(calibration, test, name, head, num_heads) for name in ("q", "k"))
        num_vectors = len(keys)
        sets = {"queries": (queries,), "keys": (keys,), BOTH: (queries, keys)}
        for name, parts in sets.items():
            found = spectra(*parts)
            by_set.setdefault(name, []).append(found)
            yield from _head_points(found, dict(where) | {"kv_head": head, "of": name}, num_vectors)
    for name, heads in by_set.items():
        yield from _layer_points(heads, dict(where) | {"of": name}, num_vectors)


def _vectors(calibration: Captured, test: Captured, name: str, head: int, num_heads: int) -> Tensor:
    """`[n, d]`: query heads that share a key-value head are neighbours."""
    parts = []
    for captured in (calibration, test):
        x = torch.from_numpy(getattr(captured, name))
        shared = x.shape[1] // num_heads
        parts.append(x[:, head * shared : (head + 1) * shared].reshape(-1, x.shape[-1]))
    return torch.cat(parts)


def _head_points(
    found: Spectra, where: dict[str, Scalar], num_vectors: int
) -> Iterator[ProbePoint]:
    rest = {"samples": num_vectors, "how": "exact, of the captured vectors"}
    for centred, values in ((False, found.moment), (True, found.covariance)):
        yield ProbePoint(
            quantity="largest-eigenvalue",
            where=where | {"centred": centred},
            value=values[0].item(),
            **rest,
        )
    about = where | {"centred": True}
    ratio = condition(found.covariance)
    lost = "" if ratio else "infinite: the smallest eigenvalue is lost in rounding"
    yield ProbePoint(quantity="condition", where=about, value=ratio, reason=lost, **rest)
    rank = effective_rank(found.covariance)
    yield ProbePoint(quantity="effective-rank", where=about, value=rank, **rest)
    if where["of"] != BOTH:
        yield ProbePoint(quantity="mean-share", where=where, value=found.mean_share, **rest)


def _layer_points(
    heads: list[Spectra], where: dict[str, Scalar], num_vectors: int
) -> Iterator[ProbePoint]:
    for centred in (False, True) if where["of"] == BOTH else (True,):
        values = torch.stack([h.covariance if centred else h.moment for h in heads])
        about = where | {"centred": centred}
        for name, pole in POLES.items() if where["of"] == BOTH else ():
            yield ProbePoint(
                quantity="heads-past-pole",
                where=about | {"pole": name},
                value=(values[:, 0] >= pole).double().mean().item(),
                unit="fraction",
                samples=len(heads),
                how="share of key-value heads whose largest eigenvalue reaches the pole",
            )
        for rank in (r for r in RANKS if r <= values.shape[1]):
            yield ProbePoint(
                quantity="eigenvalue",
                where=about | {"rank": rank},
                value=values[:, rank - 1].median().item(),
                samples=num_vectors,
                how="median over key-value heads",
            )
