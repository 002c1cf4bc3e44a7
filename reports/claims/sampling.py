"""Judges of data-aware sampling: in closed form and measured, and on real queries and keys."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Final

from reports.claims.claim import Effect, Finding, Judge, NotTestedError
from reports.claims.evidence import (
    SIGNIFICANCE,
    Arm,
    State,
    bonferroni,
    departure,
    exponential,
    is_below,
    of_arm,
    points_of,
    verdict_of,
)
from results.medians import quotient
from results.probe import ProbePointRecord
from results.record import Record
from results.statistics import Interval, Score, difference

VARIANCE: Final = "probes/variance"
REAL: Final = "probes/real-qk"
ISOTROPIC, OPTIMAL = "isotropic iid", "optimal proposal"
LEAST_EIGENVALUE: Final = 0.1
"""Below it the two second moments differ by less than a sample resolves."""
FEATURES: Final = 64
"""A small budget, and one that every head of every preset is measured with."""
REDUCTION: Final = 0.95
"""A ratio of errors that is surely above this is no reduction worth the name."""

FINITE: Final = (
    "Second moments of one feature at normal queries and keys of known covariance, at every"
    f" spectrum with largest eigenvalue from {LEAST_EIGENVALUE:g} to below 1/2. Reproduced if the"
    " optimal proposal's is below that of isotropic features everywhere (95 % interval of the ratio"
    " below 1, or the latter infinite) and no measured one departs from its closed form (z-test at"
    f" {SIGNIFICANCE:.0%}, Bonferroni); not reproduced if one is above, or departs."
)
REAL_RULE: Final = (
    f"The relative error of attention's outputs with {FEATURES} features, median over the heads of"
    " a layer, against exact attention of the same kernel: reproduced if the 95 % interval of the"
    " geometric mean over layers of the ratio lies below 1 in every model; else not reproduced if"
    f" it lies above {REDUCTION:g} in one."
)


def finite(records: Sequence[Record]) -> Finding:
    """The rule `FINITE`."""
    record = of_arm(records, VARIANCE)[0]
    isotropic, optimal = (_moments(record, name) for name in (ISOTROPIC, OPTIMAL))
    states: list[State] = []
    ratios = []
    rescued = 0
    for place, point in optimal.items():
        largest = float(dict(place)["lambda_max"])
        if not LEAST_EIGENVALUE <= largest < 0.5 or place not in isotropic:
            continue
        other = isotropic[place]
        if other.value is None:
            rescued += point.value is not None
            states.append(True if point.value is not None else None)
            continue
        ratio = quotient(_interval(point), _interval(other))
        ratios.append(ratio.mean)
        states.append(is_below(ratio, 1.0))
    if not ratios:
        raise NotTestedError(f"{VARIANCE} has no second moments of both kinds of features.")
    measured = [p for p in (*isotropic.values(), *optimal.values()) if p.value is not None]
    worst = max(map(departure, measured))
    agree = worst <= bonferroni(len(measured))
    middle = statistics.median(ratios)
    effect = Effect(
        what=f"second moment times, median of {len(ratios)} spectra",
        interval=Interval(mean=middle, low=min(ratios), high=max(ratios), known=False),
    )
    note = (
        f"Finite at {rescued} spectra at which isotropic features are infinite. Of {len(measured)}"
        f" measured moments the furthest is {worst:.1f} standard errors from its closed form."
    )
    return Finding(verdict=verdict_of([*states, agree]), effects=(effect,), note=note)


def errs_less(first: Arm, second: Arm, *, told: str) -> Judge:
    """The rule `REAL_RULE` for the ratio of the errors of two arms, first over second."""

    def judge(records: Sequence[Record]) -> Finding:
        firsts, seconds = (of_arm(records, REAL, arm) for arm in (first, second))
        models = dict.fromkeys(
            str(p.where["model"]) for p in points_of(firsts[0], "output-error", against="softmax")
        )
        effects, states = [], []
        for model in models:
            ratio = exponential(
                difference(
                    [_score(record, model) for record in firsts],
                    [_score(record, model) for record in seconds],
                ).interval
            )
            states.append(is_below(ratio, 1.0, fails_above=REDUCTION))
            effects.append(Effect(what=f"{model}: error times", interval=ratio))
        return Finding(
            verdict=verdict_of(states),
            effects=tuple(effects),
            note=f"{told}{_gaps(firsts[0])}",
        )

    return judge


def _score(record: Record, model: str) -> Score:
    """Logarithms of errors, a layer each, so that layers are paired."""
    points = points_of(record, "output-error", against="own kernel", model=model)
    logs = {
        int(p.where["layer"]): math.log(p.value)
        for p in points
        if p.value and p.where.get("num_features") == FEATURES
    }
    if not logs:
        raise NotTestedError(f"{record.identity.method} has no error with {FEATURES} features.")
    values = tuple(logs[layer] for layer in sorted(logs))
    return Score(
        seed=record.identity.seed,
        value=statistics.fmean(values),
        test_set=f"layers {sorted(logs)} of {model}",
        blocks=values,
    )


def _gaps(record: Record) -> str:
    """How far the first arm's own kernel is from softmax's, where it is another."""
    gaps = [p.value for p in points_of(record, "kernel-gap") if p.value is not None]
    if not gaps or statistics.median(gaps) < 1e-6:
        return ""
    return (
        f" Exact attention of its own kernel differs from softmax's by"
        f" {statistics.median(gaps):.0%}, median over layers."
    )


Place = tuple[tuple[str, float | str], ...]


def _moments(record: Record, estimator: str) -> Mapping[Place, ProbePointRecord]:
    return {
        tuple(sorted((name, v) for name, v in p.where.items() if name != "estimator")): p
        for p in points_of(record, "second-moment", estimator=estimator)
    }


def _interval(point: ProbePointRecord) -> Interval:
    assert point.value is not None, "asked for before"
    if point.low is None or point.high is None or point.low <= 0:
        return Interval(mean=point.value, low=point.value, high=point.value, known=False)
    return Interval(mean=point.value, low=point.low, high=point.high)
