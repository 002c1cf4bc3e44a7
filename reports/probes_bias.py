"""The table of `probes/bias`: one row a method, whether its features are biased and how sure."""

import math
from dataclasses import replace
from typing import Final, NamedTuple

from reports.columns import Contender
from reports.grid import Entry, Grid, Section
from reports.numbers import digits
from reports.probes import Group, Reading
from reports.probes_entries import NOTHING, Reasons, group_notes, label_entry, title_of

EXACT: Final = 1e-7
"""A smaller bias cannot be told from rounding: nothing is drawn."""


class Verdict(NamedTuple):
    """What the test of one method came to."""

    word: str
    """`biased`, `no bias found`, `exact` or `no verdict`."""
    z: float | None
    """The largest in size, with its sign."""
    threshold: float | None
    """What chance alone hardly passes."""
    place: str
    bias: Reading | None
    """At the place of the largest z."""
    detectable: float | None
    """The smallest bias that would have been found anywhere, with the power of the preset."""
    samples: int


def verdict_of(group: Group, contender: Contender) -> Verdict:
    """Judged from the readings, all seeds together."""
    mine = [reading for reading in group.readings if reading.contender == contender]
    by_quantity = {
        name: [r for r in mine if r.quantity == name and r.value is not None]
        for name in ("relative-bias", "z", "detectable-bias", "threshold")
    }
    zs = by_quantity["z"]
    if not zs:
        return Verdict("no verdict", None, None, "", None, None, 0)
    worst = max(zs, key=lambda reading: abs(reading.value or 0.0))
    # Independent tests of one thing: the mean of n is known n^(1/2) times as well as each.
    root = math.sqrt(len(worst.seeds))
    z = (worst.value or 0.0) * root
    threshold = next((reading.value for reading in by_quantity["threshold"]), None)
    least = max((r.value or 0.0 for r in by_quantity["detectable-bias"]), default=math.inf) / root
    word = "no bias found"
    if threshold is None:
        word = "no verdict"
    elif abs(z) > threshold:
        word = "biased"
    elif least < EXACT:
        word = "exact"
    bias = next((r for r in by_quantity["relative-bias"] if r.where == worst.where), None)
    place = f"{worst.where.get('pair', '')}, {worst.where.get('head_dim', '')} dimensions"
    return Verdict(word, z, threshold, place, bias, least, worst.samples)


def bias_grids(group: Group) -> list[Grid]:
    """One table, those found biased first."""
    contenders = dict.fromkeys(reading.contender for reading in group.readings)
    verdicts = {contender: verdict_of(group, contender) for contender in contenders}
    ordered = sorted(verdicts, key=lambda one: (-abs(verdicts[one].z or 0.0), one.label))
    reasons = Reasons()
    rows = [_row(contender, verdicts[contender], reasons) for contender in ordered]
    thresholds = sorted({v.threshold for v in verdicts.values() if v.threshold is not None})
    if thresholds:
        passed = " or ".join(digits(each) for each in thresholds)
        reasons.notes.general.append(
            f"Biased: |z| of any pair beyond {passed}, which chance passes as rarely as the preset"
            " says for all pairs together. Detectable: a relative bias that would have been found"
            " at any pair, with the preset's power."
        )
    # What the rows say need not be said again in words.
    others = tuple(each for each in group.remarks if not each.startswith("verdict"))
    group_notes(replace(group, remarks=others), reasons.notes)
    header = (
        *(("method",), ("verdict",), ("largest z",), ("bias there", "%"), ("detectable", "%")),
        *(("draws",), ("where",)),
    )
    section = Section(title="", rows=tuple(rows))
    title = title_of(group, "bias of the features against their own kernel")
    return [Grid(title=title, header=header, sections=(section,), notes=reasons.notes.all())]


def _row(contender: Contender, verdict: Verdict, reasons: Reasons) -> tuple[Entry, ...]:
    label = label_entry(contender.label, f"same as {contender.same_as}" * bool(contender.same_as))
    if verdict.z is None:
        ref = reasons.number("No pair has a finite estimate.")
        return (label, Entry(text=verdict.word, refs=(ref,)), *[NOTHING] * 5)
    return (
        label,
        Entry(text=verdict.word, emphasis=""),
        Entry(text=f"{verdict.z:+.1f}"),
        Entry(text=_percent(verdict.bias)) if verdict.bias else NOTHING,
        Entry(text=f"{100 * verdict.detectable:.2g}") if verdict.detectable else NOTHING,
        Entry(text=str(verdict.samples)),
        Entry(text=verdict.place),
    )


def _percent(bias: Reading) -> str:
    text = f"{100 * (bias.value or 0.0):+.2g}"
    if bias.low is None or bias.high is None:
        return text
    return f"{text} ±{50 * (bias.high - bias.low):.2g}"
