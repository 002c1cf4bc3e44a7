"""Whether features estimate the kernel that they are said to estimate, and how sure that is.

For each pair of a query and a key the mean of phi(q).phi(k) over many draws is compared with the
map's own kernel by a t-test, the significance shared among the pairs (Bonferroni). Estimates are
skewed, rarely far too large and mostly too small: the statistic is corrected for that (P. Hall, On
the removal of skewness by transformation, 1992), and where a few draws make the whole sum there is
no verdict. A draw is one instance of the method: its heads are averaged first, as some
implementations give all heads the same numbers. The distribution (independent, orthogonal,
importance-sampled) is the method's option; what it calibrates from are queries and keys with ten
times the spread along the last direction as along the first, and a mean.

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


MOST_SKEWNESS = 0.3
"""Of the mean, which is the samples' over the root of their number. Beyond it the correction is no
small one, and the samples may lack the rare draws that make the mean."""


class Finding(NamedTuple):
    """One pair's test."""

    where: dict[str, Scalar]
    bias: float
    error: float
    """Standard error of the bias."""
    z: float
    """Bias over its error, corrected for skewness: a standard normal number without a bias."""
    reason: str
    """Why it says nothing; empty where it does."""


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
            if finding.reason:
                reason = finding.reason
                yield ProbePoint(quantity="relative-bias", where=where, value=None, reason=reason)
                continue
            found.append(finding)
            yield from _points(finding, draws, ends, margin)
    yield from _conclude(found, tests, threshold, draws)
    request.card["verdict"] = _verdict(found, tests, threshold, margin, settings)


def _test(where: dict[str, Scalar], samples: Float[Tensor, "draw"]) -> Finding:
    bias, root = samples.mean().item(), math.sqrt(len(samples))
    spread = samples.std().item() + root * ROUNDING
    skewness = ((samples - bias) / spread).pow(3).mean().item() / root
    t = bias / spread * root
    z = t + skewness / 6 + skewness * t**2 / 3 + skewness**2 * t**3 / 27
    reason = ""
    if not math.isfinite(z):
        reason = "the kernel is zero there, or a product of features is not finite"
    elif abs(skewness) > MOST_SKEWNESS:
        reason = (
            f"too few draws for so heavy a tail: skewness {skewness * root:.1f} over {len(samples)}"
        )
    return Finding(where, bias, spread / root, z, reason)


def _points(finding: Finding, draws: int, ends: float, margin: float) -> Iterator[ProbePoint]:
    where, bias, error, z, _ = finding
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
    yield ProbePoint(
        quantity="z", where=where, value=z, samples=draws, how="t, corrected for skewness"
    )
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
        return "no verdict: no pair has an estimate that can be judged"
    flagged = [one for one in found if abs(one.z) > threshold]
    if flagged:
        worst = max(flagged, key=lambda one: abs(one.bias))
        direction = "high" if worst.bias > 0 else "low"
        return (
            f"biased: |z| is beyond {threshold:.1f} at {len(flagged)} of {len(found)} pairs; for"
            f" {worst.where['pair']} in {worst.where['head_dim']} dimensions the mean is"
            f" {abs(worst.bias):.1%} too {direction} (z = {worst.z:.0f})"
        )
    if max(one.error for one in found) < 2 * ROUNDING:
        return "exact: nothing is drawn, and the features give the kernel"
    least = margin * max(one.error for one in found)
    largest = max(abs(one.z) for one in found)
    left = f" at {len(found)} of {tests} pairs, no verdict at the others" * (tests > len(found))
    return (
        f"no bias found: |z| is at most {largest:.1f}, {threshold:.1f} is chance{left}; a bias of"
        f" {least:.1%} at any of them had a chance of {float(settings['power']):.0%} to be found"
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
