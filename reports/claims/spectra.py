"""Judges of the spectra of real queries and keys, from records of `probes/real-qk`."""

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from reports.claims.claim import Effect, Finding
from reports.claims.evidence import State, is_above, of_arm, points_of, verdict_of
from reports.numbers import digits
from results.medians import median
from results.record import Record
from results.statistics import wilson

TASK: Final = "probes/real-qk"
CONDITION: Final = 10.0
"""Vectors of an isotropic law have no such condition number by chance: 768 of them in 64 dimensions
have 3.3 (Marchenko and Pastur), and every preset has more vectors a dimension."""
POLE: Final = 1 / 6
SHARE: Final = 0.5

ANISOTROPIC: Final = (
    "The condition number of the covariance of queries, and that of keys, per key-value head:"
    f" reproduced if the 95 % intervals of both medians over heads lie above {CONDITION:g}, in"
    " every model; not reproduced if one lies below."
)
EXPLODES: Final = (
    "The share of key-value heads whose largest eigenvalue of E[x x^T], queries and keys pooled and"
    " scaled by d^(-1/4), is 1/6 or more, from where the second moment of isotropic features is"
    f" infinite: reproduced if its 95 % interval (Wilson) lies above {SHARE:g} in every model, not"
    " reproduced if it lies below in one."
)


def anisotropic(records: Sequence[Record]) -> Finding:
    """The rule `ANISOTROPIC`. Spectra are the same whatever method the probe was run with.

    A condition number that is lost in rounding counts as infinite. Intervals are order statistics
    over heads: they speak of heads of these models, not of other models.
    """
    record = of_arm(records, TASK)[0]
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    ranks: dict[str, list[float]] = defaultdict(list)
    for point in points_of(record, "condition", centred=True):
        if point.where["of"] in ("queries", "keys"):
            key = str(point.where["model"]), str(point.where["of"])
            values[key].append(math.inf if point.value is None else point.value)
    for point in points_of(record, "effective-rank", of="keys", centred=True):
        if point.value is not None:
            ranks[str(point.where["model"])].append(point.value)
    effects, states = [], []
    for (model, of), heads in values.items():
        found = median(heads)
        states.append(is_above(found, CONDITION))
        effects.append(Effect(what=f"{model}: condition number of {of}", interval=found))
    notes = [
        f"{model}: effective rank of keys {digits(statistics.median(found))}, median of"
        f" {len(found)} heads."
        for model, found in ranks.items()
    ]
    return Finding(verdict=verdict_of(states), effects=tuple(effects), note=" ".join(notes))


def explodes(records: Sequence[Record]) -> Finding:
    """The rule `EXPLODES`."""
    record = of_arm(records, TASK)[0]
    heads: dict[str, list[float]] = defaultdict(list)
    for point in points_of(record, "largest-eigenvalue", of="both", centred=False):
        if point.value is not None:
            heads[str(point.where["model"])].append(point.value)
    effects: list[Effect] = []
    states: list[State] = []
    notes = []
    for model, found in heads.items():
        share = wilson(sum(value >= POLE for value in found), len(found))
        states.append(is_above(share, SHARE))
        effects.append(Effect(what=f"{model}: share of heads past 1/6", interval=share))
        past = sum(value >= 0.5 for value in found)
        notes.append(
            f"{model}: past 1/2, from where no proposal has a finite second moment, are {past} of"
            f" {len(found)} heads."
        )
    return Finding(verdict=verdict_of(states), effects=tuple(effects), note=" ".join(notes))
