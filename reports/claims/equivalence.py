"""The judge of Proposition 4.1, from a record of `probes/equivalence`."""

from collections.abc import Sequence
from typing import Final

from reports.claims.claim import Effect, Finding, NotTestedError
from reports.claims.evidence import bonferroni, departure, of_arm, points_of, verdict_of
from reports.numbers import digits
from results.probe import ProbePointRecord
from results.record import Record
from results.statistics import Interval

TASK: Final = "probes/equivalence"
ROUNDING: Final = 1e-9
"""Of logarithms of features, in float64."""
RESOLUTION: Final = 0.05
"""A mean whose interval is wider to one side than this, relative to the mean, shows nothing."""

PROPOSITION: Final = (
    "Features of the learned kernel with directions from N(0, Sigma), and features of M q and M k"
    f" with isotropic ones, agree to {ROUNDING:g}; their mean without weights, and that of"
    " isotropic directions with weights psi / p, equal exp(q^T Sigma k) by a z-test at 5 %"
    " (Bonferroni)."
    " Reproduced if so and every 95 % interval is within"
    f" {RESOLUTION:.0%}; not reproduced if one departs; inconclusive if one is wider."
)


def proposition(records: Sequence[Record]) -> Finding:
    """The rule `PROPOSITION`."""
    record = of_arm(records, TASK)[0]
    same = [p.value for p in points_of(record, "feature-difference") if p.value is not None]
    means = [p for p in points_of(record, "mean-over-kernel") if p.value is not None]
    if not same or not means:
        raise NotTestedError(f"{TASK} has no features or no means of the learned kernel on record.")
    bound = bonferroni(len(means))
    states = [max(same) <= ROUNDING]
    for point in means:
        agrees = departure(point) <= bound
        states.append(None if agrees and not _resolved(point) else agrees)  # type: ignore[arg-type]
    effects = tuple(
        Effect(what=f"{_where(point)}: mean over kernel", interval=_interval(point))
        for point in means
    )
    note = f"Features differ by {digits(max(same))} at most.{_other_kernel(record)}"
    return Finding(verdict=verdict_of(states), effects=effects, note=note)


def _where(point: ProbePointRecord) -> str:
    return f"{point.where['estimator']}, {point.where['head_dim']} dimensions"


def _resolved(point: ProbePointRecord) -> bool:
    found = _interval(point)
    return found.known and found.half_width <= RESOLUTION * abs(found.mean)


def _interval(point: ProbePointRecord) -> Interval:
    assert point.value is not None, "asked for before"
    known = point.low is not None and point.high is not None
    low = point.value if point.low is None else point.low
    high = point.value if point.high is None else point.high
    return Interval(mean=point.value, low=low, high=high, known=known)


def _other_kernel(record: Record) -> str:
    """What the proposition does not say."""
    unweighted = [
        point
        for point in points_of(record, "mean-over-softmax")
        if "no weights" in str(point.where["estimator"]) and point.value is not None
    ]
    if not unweighted:
        return ""
    point = max(unweighted, key=lambda p: abs((p.value or 1.0) - 1.0))
    assert point.value is not None, "chosen so"
    return (
        f" The kernel is another one: over softmax's the mean is {digits(point.value)} at the pair"
        " that was measured."
    )
