"""What real queries and keys need of each method, summed up over heads and layers, and paired."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from scipy import special

from reports.columns import Contender
from reports.numbers import digits
from reports.probes import Group, Reading
from reports.probes_entries import endless
from reports.probes_places import text_of
from results.statistics import LEVEL

NEEDED, GAP = "features-needed", "kernel-gap"
ERROR, UNIFORM = "output-error", "uniform-error"
SOFTMAX: Final = "softmax"
SAME_KERNEL: Final = 1e-3
"""A smaller error of exact attention with the method's own kernel: that kernel is softmax's."""
PLAIN: Final = "performer"
PLAIN_OPTIONS: Final = {
    "proposal": "isotropic",
    "key_shift": "none",
    "query_shift": "none",
    "initial": "identity",
}
"""What other methods are paired with: features that know nothing of the data."""


class Asked(NamedTuple):
    """A method, held against softmax, or against its own kernel where that is another."""

    contender: Contender
    against: str

    @property
    def label(self) -> str:
        """For a reader."""
        other = f", against its {self.against}" * (self.against != SOFTMAX)
        return short_label(self.contender.label) + other


class Middle(NamedTuple):
    """What heads need, those that are never satisfied counted as needing the most."""

    value: float
    """Infinite where half of them or more need more than was tried."""
    reached: int
    heads: int
    beyond: str
    """`more than 1024 features`, or empty."""


class Factor(NamedTuple):
    """A geometric mean of ratios, paired over layers; the ends by Student's t of the logarithm."""

    value: float
    low: float
    high: float
    """Both ends not a number where one pair says nothing of the spread."""
    pairs: int

    @property
    def ends(self) -> str:
        """`0.91 to 0.9996`: what is not 1 never looks like it; empty where they are not known."""
        if math.isnan(self.low):
            return ""
        ends = (self.low, self.high)
        return " to ".join(f"{e:.4f}" if abs(e - 1) < 0.005 else digits(e) for e in ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One row: all heads of one model."""

    asked: Asked
    medians: Mapping[str, Middle]
    """By target."""
    errors: Mapping[int, float]
    """At the most features, by layer; the median over its heads."""
    unfinished: int
    """Layers without a finite error."""
    num_features: int
    """The most tried; 0 where there is no such number."""
    factor: Factor | None
    """The errors over those of plain features; None for these themselves."""
    fewer: int
    """Heads that need fewer features than plain ones at the last target, as far as is known."""
    more: int

    @property
    def error(self) -> float:
        """Geometric mean over layers; not a number where there is none."""
        return geometric_mean([*self.errors.values()])


def short_label(label: str) -> str:
    """Without quotes; options as of plain features go without saying."""
    name, _, options = label.replace('"', "").partition(":")
    plain = {f"{option}={value}" for option, value in PLAIN_OPTIONS.items()}
    told = [option for option in options.split(",") if option and option not in plain]
    return name + ":" * bool(told) + ",".join(told)


def without_repeats(readings: Sequence[Reading], gaps: Mapping[Contender, float]) -> list[Reading]:
    """Against a kernel that is softmax's nothing is shown twice."""
    return [
        reading
        for reading in readings
        if reading.where.get("against", SOFTMAX) == SOFTMAX
        or gaps.get(reading.contender, math.inf) > SAME_KERNEL
    ]


def middle_of(readings: Sequence[Reading]) -> Middle:
    """The median over heads, between the two in the middle where their number is even."""
    values = sorted(math.inf if r.value is None else r.value for r in readings)
    pair = values[(len(values) - 1) // 2], values[len(values) // 2]
    beyond = next((words for r in readings if (words := endless(r.reason))), "")
    reached = sum(math.isfinite(value) for value in values)
    return Middle((pair[0] + pair[1]) / 2, reached, len(values), beyond)


def geometric_mean(values: Sequence[float]) -> float:
    """Not a number of none; 0 if any is."""
    if not values or min(values) <= 0:
        return math.nan if not values else 0.0
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def factor_of(ratios: Sequence[float]) -> Factor | None:
    """None without a pair. Ratios are positive."""
    n = len(ratios)
    if not n:
        return None
    logs = [math.log(ratio) for ratio in ratios]
    middle = math.fsum(logs) / n
    if n == 1:
        return Factor(math.exp(middle), math.nan, math.nan, n)
    spread = math.sqrt(math.fsum((log - middle) ** 2 for log in logs) / (n - 1) / n)
    half = float(special.stdtrit(n - 1, 0.5 + LEVEL / 2)) * spread
    return Factor(math.exp(middle), math.exp(middle - half), math.exp(middle + half), n)


def models_of(group: Group) -> list[str]:
    """In the order measured."""
    return list(dict.fromkeys(text_of(r.where.get("model")) for r in group.of(NEEDED)))


def needed_by(group: Group, model: str) -> dict[Asked, list[Reading]]:
    """Features needed, head by head. Against a kernel that is softmax's nothing is said twice."""
    found: dict[Asked, list[Reading]] = defaultdict(list)
    for reading in without_repeats(_of(group, NEEDED, model), other_kernels(group, model)):
        found[Asked(reading.contender, text_of(reading.where.get("against")))].append(reading)
    return found


def other_kernels(group: Group, model: str | None = None) -> dict[Contender, float]:
    """How far exact attention with each method's own kernel is from softmax's, where measured; on
    one model or on all."""
    gaps: dict[Contender, list[float]] = defaultdict(list)
    found = group.of(GAP) if model is None else _of(group, GAP, model)
    for reading in found:
        gaps[reading.contender].append(math.inf if reading.value is None else reading.value)
    # The mean of zeros has no logarithm, and is no gap.
    return {one: geometric_mean(values) for one, values in gaps.items()}


def by_target(readings: Sequence[Reading]) -> dict[str, list[Reading]]:
    """In the order found."""
    found: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        found[text_of(reading.where.get("target"))].append(reading)
    return found


def uniform_errors(group: Group, model: str) -> dict[int, float]:
    """Of equal weights, by layer: of the data, whatever the method."""
    found = _of(group, UNIFORM, model)
    return {int(r.where.get("layer", 0)): r.value for r in found if r.value}


def summaries(group: Group, model: str) -> list[Summary]:
    """A row each, least error first."""
    needed = needed_by(group, model)
    base = next((one for one in needed if _is_plain(one)), None)
    plain = _errors(group, model, base)[1] if base else {}
    found = []
    for asked, readings in needed.items():
        num_features, errors, unfinished = _errors(group, model, asked)
        ratios = [errors[i] / plain[i] for i in errors.keys() & plain.keys() if errors[i] > 0]
        fewer, more = _fewer_and_more(readings, needed[base]) if base else (0, 0)
        found.append(
            Summary(
                asked=asked,
                medians={target: middle_of(r) for target, r in by_target(readings).items()},
                errors=errors,
                unfinished=unfinished,
                num_features=num_features,
                factor=None if asked == base else factor_of(ratios),
                fewer=fewer,
                more=more,
            )
        )
    return sorted(found, key=lambda each: (_last(each.error), _needs(each), each.asked.label))


def _last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _needs(summary: Summary) -> list[tuple[float, int]]:
    return [(middle.value, -middle.reached) for middle in summary.medians.values()]


def _is_plain(asked: Asked) -> bool:
    options = json.loads(asked.contender.options)
    alike = all(options.get(name, value) == value for name, value in PLAIN_OPTIONS.items())
    return asked.contender.method == PLAIN and asked.against == SOFTMAX and alike


def _of(group: Group, quantity: str, model: str) -> list[Reading]:
    return [r for r in group.of(quantity) if text_of(r.where.get("model")) == model]


def _errors(group: Group, model: str, asked: Asked) -> tuple[int, dict[int, float], int]:
    """At the most features of each layer: their number, the errors, layers without a value."""
    last: dict[int, Reading] = {}
    for reading in _of(group, ERROR, model):
        if Asked(reading.contender, text_of(reading.where.get("against"))) == asked:
            layer = int(reading.where.get("layer", 0))
            if layer not in last or _count(reading) > _count(last[layer]):
                last[layer] = reading
    errors = {layer: r.value for layer, r in last.items() if r.value is not None}
    most = max(map(_count, last.values()), default=0)
    return most, errors, len(last) - len(errors)


def _count(reading: Reading) -> int:
    return int(reading.where.get("num_features", 0))


def _fewer_and_more(mine: Sequence[Reading], plain: Sequence[Reading]) -> tuple[int, int]:
    """Heads for which it is known at the last target; not where neither came within it."""
    *_, target = by_target(mine)
    theirs = {_place(r): r.value for r in by_target(plain).get(target, [])}
    pairs = [
        (_last(r.value if r.value is not None else math.nan), _last(theirs[_place(r)] or math.inf))
        for r in by_target(mine)[target]
        if _place(r) in theirs
    ]
    return sum(a < b for a, b in pairs), sum(a > b for a, b in pairs)


def _place(reading: Reading) -> tuple[str, str]:
    return text_of(reading.where.get("layer")), text_of(reading.where.get("head"))
