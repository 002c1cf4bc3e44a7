"""Whether features estimate the kernel that they are said to estimate, and how sure that is.

For each pair of a query and a key the mean of phi(q).phi(k) over many draws is compared with the
map's own kernel by a t-test, the significance shared among the pairs (Bonferroni). A draw is one
instance of the method: its heads are averaged first, as some implementations give all heads the
same numbers. The distribution (independent, orthogonal, importance-sampled) is the method's option;
what it calibrates from are queries and keys with ten times the spread along the last direction as
along the first, and a mean.

Points: `relative-bias` (mean over kernel, less 1), its `z` and `detectable-bias` (the smallest
that would be found with the chance `power`) at each pair; `threshold` and `largest-z` over all.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tasks.api import Scalar
from tasks.probe import (
    ProbeInstance,
    ProbePoint,
    ProbePreset,
    ProbeRequest,
    ProbeSubject,
    ProbeTask,
    Report,
    whole_numbers,
)

ROUNDING = 1e-9
"""Of the kernel, in float64: features without randomness have no other error."""
MOST_NUMBERS = 2**24
"""In one instance's random numbers and features: an eighth of a GiB each time they are copied."""


class Pairs(NamedTuple):
    """Where the kernel is estimated."""

    names: tuple[str, ...]
    q: Float[Tensor, "1 1 pair d"]
    k: Float[Tensor, "1 1 pair d"]


class Finding(NamedTuple):
    """One pair's test."""

    where: dict[str, Scalar]
    bias: float
    error: float
    """Standard error of the bias."""
    z: float


def pairs(dim: int, strength: float = 1.0) -> Pairs:
    """Pairs along axes, diagonals and random directions, |q + k|^2 = strength sqrt(dim) or less.

    A draw that is no rotation of the normal distribution shows first at axes and diagonals.
    """
    generator = torch.Generator().manual_seed(7)
    diagonal = torch.ones(dim, dtype=torch.float64) / math.sqrt(dim)
    first, last = torch.eye(dim, dtype=torch.float64)[[0, -1]]
    zero = torch.zeros(dim, dtype=torch.float64)
    drawn = torch.randn(4, dim, dtype=torch.float64, generator=generator)
    a, b, c, e = drawn / drawn.norm(dim=-1, keepdim=True)
    chosen = {
        "q zero, k diagonal": (zero, diagonal),
        "q zero, k first axis": (zero, first),
        "q last axis, k zero": (last, zero),
        "q diagonal, k the same": (0.5 * diagonal, 0.5 * diagonal),
        "q first axis, k half opposite": (first, -0.5 * first),
        "q random, k zero": (a, zero),
        "q random, k random": (0.7 * b, 0.7 * c),
        "q random, k nearly opposite": (e, 0.3 * a - e),
    }
    q, k = (torch.stack(side)[None, None] for side in zip(*chosen.values(), strict=True))
    scale = math.sqrt(strength) * dim**0.25
    return Pairs(tuple(chosen), q * scale, k * scale)


def check(settings: Mapping[str, Scalar]) -> None:
    """Raises ValueError for settings that make no sense."""
    whole_numbers(settings, "head_dim")
    for name, least in (("num_draws", 8), ("num_heads", 1)):
        if settings[name] < least:  # type: ignore[operator]
            raise ValueError(f"{name} must be {least} or more, got {settings[name]}.")
    for name in ("significance", "power"):
        if not 0 < settings[name] < 1:  # type: ignore[operator]
            raise ValueError(f"{name} must lie between 0 and 1, got {settings[name]}.")
    if not settings["strength"] > 0:  # type: ignore[operator]
        raise ValueError(f"strength must be above 0, got {settings['strength']}.")


def run(subject: ProbeSubject, request: ProbeRequest, report: Report) -> Iterator[ProbePoint]:
    """Every pair's test in every dimension, then the verdict."""
    settings = request.settings
    dims = whole_numbers(settings, "head_dim")
    draws = int(settings["num_draws"])
    tests = len(dims) * len(pairs(1).names)
    threshold = _quantile(1 - float(settings["significance"]) / (2 * tests), draws)
    margin = threshold + _quantile(float(settings["power"]), draws)
    ends = _quantile(0.975, draws)
    found: list[Finding] = []
    for dim in dims:
        chosen, errors = _errors(subject, request, report, dim)
        for name, samples in zip(chosen.names, errors.unbind(-1), strict=True):
            where: dict[str, Scalar] = {"head_dim": dim, "pair": name}
            finding = _test(where, samples)
            if not math.isfinite(finding.z):
                reason = "the kernel is zero there, or a product of features is not finite"
                yield ProbePoint(quantity="relative-bias", where=where, value=None, reason=reason)
                continue
            found.append(finding)
            yield from _points(finding, draws, ends, margin)
    yield from _conclude(found, tests, threshold, draws)
    request.card["verdict"] = _verdict(found, tests, threshold, margin, settings)


def _errors(
    subject: ProbeSubject, request: ProbeRequest, report: Report, dim: int
) -> tuple[Pairs, Float[Tensor, "draw pair"]]:
    """Of each draw the relative errors of the kernel's estimate, heads averaged."""
    settings = request.settings
    draws = int(settings["num_draws"])
    strength = float(settings["strength"])
    chosen = pairs(dim, strength)
    size = int(subject.options.get("num_features", dim)) * (2 * len(chosen.names) + dim)
    heads = max(1, min(int(settings["num_heads"]), MOST_NUMBERS // size))
    data = _calibration(heads, dim, request.device)
    rows = []
    for draw in range(draws):
        report(f"{dim} dimensions", draw, draws)
        # Each seed of the trial has draws of its own.
        instance = subject.draw(
            request.seed * 1_000_003 + draw, num_heads=heads, head_dim=dim, dtype="float64"
        )
        instance.calibrate(*data)
        q, k = (
            x.to(request.device).expand(-1, heads, -1, -1)
            for x in _within(instance, chosen, heads, strength, request.device)
        )
        rows.append(_relative_error(instance, q, k).mean((0, 1)).cpu())
    return chosen, torch.stack(rows)


def _within(
    instance: ProbeInstance, chosen: Pairs, heads: int, strength: float, device: str
) -> tuple[Tensor, Tensor]:
    """The pairs, made smaller where the map's own kernel k(q + k, q + k) exceeds exp(strength).

    The relative variance of positive features is that kernel, less 1: a test at a large one would
    find nothing. A whitening kernel stretches the directions in which data have little spread.
    """
    total = (chosen.q + chosen.k).to(device).expand(-1, heads, -1, -1)
    size = instance.log_kernel(total, total).diagonal(dim1=-2, dim2=-1).amax((0, 1)).cpu()
    shrink = torch.sqrt(strength / size.clamp(min=strength))[:, None]
    return chosen.q * shrink, chosen.k * shrink


def _relative_error(
    instance: ProbeInstance, q: Float[Tensor, "b h pair d"], k: Float[Tensor, "b h pair d"]
) -> Float[Tensor, "b h pair"]:
    """phi(q).phi(k) over the kernel, less 1."""
    queries, keys = instance.features(q, k)
    log_kernel = instance.log_kernel(q, k).diagonal(dim1=-2, dim2=-1)
    product = (queries.values * keys.values).sum(-1)
    return product * torch.exp(queries.log_scale + keys.log_scale - log_kernel) - 1


def _calibration(heads: int, dim: int, device: str) -> tuple[Tensor, Tensor]:
    """Queries and keys `[1, h, t, d]` to calibrate from, the same for all heads and draws."""
    generator = torch.Generator().manual_seed(11)
    drawn = torch.randn(2, 1, 4 * dim, dim, dtype=torch.float64, generator=generator)
    spread = torch.logspace(-1, 0, dim, dtype=torch.float64)
    mean = 0.25 * dim**0.25 * torch.eye(dim, dtype=torch.float64)[0]
    q, k = (drawn * spread + mean).to(device)[:, None].expand(-1, -1, heads, -1, -1)
    return q, k


def _test(where: dict[str, Scalar], samples: Float[Tensor, "draw"]) -> Finding:
    bias = samples.mean().item()
    error = samples.std().item() / math.sqrt(len(samples)) + ROUNDING
    return Finding(where, bias, error, bias / error)


def _points(finding: Finding, draws: int, ends: float, margin: float) -> Iterator[ProbePoint]:
    where, bias, error, z = finding
    yield ProbePoint(
        quantity="relative-bias",
        where=where,
        value=bias,
        low=bias - ends * error,
        high=bias + ends * error,
        predicted=0.0,
        samples=draws,
        how="mean over draws",
    )
    yield ProbePoint(quantity="z", where=where, value=z, samples=draws, how="bias / its error")
    yield ProbePoint(
        quantity="detectable-bias",
        where=where,
        value=margin * error,
        samples=draws,
        how="from the standard error",
    )


def _conclude(
    found: list[Finding], tests: int, threshold: float, draws: int
) -> Iterator[ProbePoint]:
    yield ProbePoint(
        quantity="threshold",
        where={},
        value=threshold,
        samples=draws,
        how=f"Student's t, Bonferroni over {tests} tests",
    )
    if found:
        worst = max(found, key=lambda one: abs(one.z))
        yield ProbePoint(
            quantity="largest-z", where=worst.where, value=worst.z, samples=draws, how="maximum"
        )


def _verdict(
    found: list[Finding],
    tests: int,
    threshold: float,
    margin: float,
    settings: Mapping[str, Scalar],
) -> str:
    """One sentence for a reader, without its full stop."""
    if not found:
        return "no verdict: no pair has a finite estimate"
    beyond = f"beyond {threshold:.1f} at {{}} of {len(found)} pairs"
    worst = max(found, key=lambda one: abs(one.z))
    if abs(worst.z) > threshold:
        num = sum(abs(one.z) > threshold for one in found)
        direction = "high" if worst.bias > 0 else "low"
        return (
            f"biased: |z| is {beyond.format(num)}; it is {abs(worst.z):.0f} for"
            f" {worst.where['pair']} in {worst.where['head_dim']} dimensions, where the mean is"
            f" {abs(worst.bias):.1%} +- {worst.error:.1%} too {direction}"
        )
    if max(one.error for one in found) < 2 * ROUNDING:
        return "exact: nothing is drawn, and the features give the kernel"
    least = margin * max(one.error for one in found)
    left = f", {tests - len(found)} pairs without a finite estimate" * (tests > len(found))
    return (
        f"no bias found: |z| is at most {abs(worst.z):.1f}, {threshold:.1f} is chance{left}; a bias"
        f" of {least:.1%} at any pair had a chance of {float(settings['power']):.0%} to be found"
    )


def _quantile(probability: float, draws: int) -> float:
    """Of Student's t for so many draws."""
    from scipy.stats import t

    return float(t.ppf(probability, draws - 1))


def _preset(name: str, note: str, num_draws: int) -> ProbePreset:
    return ProbePreset(
        name=name,
        note=note,
        settings={
            "head_dim": "8,64",
            "num_draws": num_draws,
            "num_heads": 16,
            "strength": 1.0,
            "significance": 1e-3,
            "power": 0.9,
        },
    )


TASK = ProbeTask(
    name="probes/bias",
    version=1,
    title="Bias of features against the kernel that they name",
    presets=(
        _preset("quick", "256 draws of 16 heads: seconds a method.", 256),
        _preset("small", "4096 draws of 16 heads: a few minutes a method.", 4096),
    ),
    needs="features",
    run=run,
    check=check,
    paper="arXiv:2009.14794",
)
