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

from jaxtyping import Float
from torch import Tensor

from tasks.api import Scalar
from tasks.probe import (
    ProbePoint,
    ProbePreset,
    ProbeRequest,
    ProbeSubject,
    ProbeTask,
    Report,
    whole_numbers,
)
from tasks.probes.bias_samples import pairs, relative_errors

ROUNDING = 1e-9
"""Of the kernel, in float64: features without randomness have no other error."""


class Finding(NamedTuple):
    """One pair's test."""

    where: dict[str, Scalar]
    bias: float
    error: float
    """Standard error of the bias."""
    z: float


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
        chosen, errors = relative_errors(subject, request, report, dim)
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
