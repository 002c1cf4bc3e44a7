"""What the numbers of `probes/real-qk` come to, in sentences that are written from them alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from reports.numbers import digits
from reports.probes import Group
from reports.probes_heads import (
    SAME_KERNEL,
    SOFTMAX,
    Asked,
    Summary,
    geometric_mean,
    other_kernels,
)

PAPER: Final = {
    "performer:proposal=optimal": "weighted for softmax",
    "darkformer:initial=whitening": "as a kernel of its own, held against softmax",
    "darkformer:initial=whitening, against its own kernel": "held against that kernel",
}


def findings(
    group: Group, model: str, found: Sequence[Summary], uniform: Mapping[int, float]
) -> list[str]:
    """Which is best, who is worse than equal weights, and whether the data's covariance helps."""
    gaps = {one: gap for one, gap in other_kernels(group, model).items() if gap > SAME_KERNEL}
    ours = [e for e in found if e.errors and e.asked.against == SOFTMAX]
    told = [_best(model, ours), _beyond_equal_weights(ours, uniform)]
    told += _as_in_the_paper(model, found)
    told += _data_aware(model, [each for each in ours if each.asked.contender not in gaps])
    for contender, gap in gaps.items():
        told.append(
            f"{Asked(contender, SOFTMAX).label} estimates another kernel: exact attention with that"
            f" is {digits(gap)} off softmax's, and more features do not take it nearer."
        )
    told += [
        f"{each.asked.label}: {each.unfinished} layers without a finite error are left out."
        for each in found
        if each.unfinished
    ]
    return [words for words in told if words]


def _best(model: str, ours: Sequence[Summary]) -> str:
    if len(ours) < 2:
        return ""
    best = ours[0]
    beside = f" ({_times(best)} that of plain features)" if best.factor else ""
    return f"Least error on {model}: {best.asked.label}{beside}."


def _beyond_equal_weights(ours: Sequence[Summary], uniform: Mapping[int, float]) -> str:
    """An estimate that is worse than none."""
    if not uniform:
        return ""
    floor = geometric_mean([*uniform.values()])
    worse = [each for each in ours if each.error > floor]
    return (
        f"{len(worse)} of {len(ours)} are further from softmax than equal weights are,"
        f" {digits(floor)}."
    )


def _as_in_the_paper(model: str, found: Sequence[Summary]) -> list[str]:
    """Of arXiv:2603.04127: the proposal of theorem 3.2, and the kernel of proposition C.1."""
    by_label = {each.asked.label: each for each in found if each.factor}
    return [
        f"Data-aware sampling as in arXiv:2603.04127 on {model}, {words} ({label}),"
        f" {_than_plain(by_label[label])}."
        for label, words in PAPER.items()
        if label in by_label
    ]


def _than_plain(summary: Summary) -> str:
    factor = summary.factor
    assert factor is not None
    if math.isnan(factor.low) or factor.low <= 1 <= factor.high:
        word = "is not shown to need fewer or more features than plain ones"
    else:
        word = f"needs {'fewer' if factor.high < 1 else 'more'} features than plain ones"
    ends = f" ({factor.ends})" * bool(factor.ends)
    return f"{word}: as many leave {digits(factor.value)} times their error{ends}"


def _data_aware(model: str, softmax: Sequence[Summary]) -> list[str]:
    """Of those that estimate softmax's kernel and know more of the data than plain features do."""
    paired = [each for each in softmax if each.factor and not math.isnan(each.factor.low)]
    if not paired:
        return []
    fewer = [each for each in paired if each.factor and each.factor.high < 1]
    more = [each for each in paired if each.factor and each.factor.low > 1]
    rest = [each for each in paired if each not in fewer and each not in more]
    kinds = (
        ("it does, by a smaller error of as many", fewer),
        ("it needs more, by a larger error of as many", more),
        ("neither is shown", rest),
    )
    counted = "; ".join(f"{words}: {len(them)}" for words, them in kinds)
    told = [
        f"Whether what is known of the data makes fewer features do on {model}, of {len(paired)}"
        f" variants that estimate softmax's kernel, each at 95 %: {counted}."
    ]
    for words, them in kinds[:2]:
        named = ", ".join(f"{each.asked.label} ({_times(each)})" for each in them)
        told += [f"{words[0].upper()}{words[1:]}: {named}."] if named else []
    return told


def _times(summary: Summary) -> str:
    assert summary.factor is not None
    ends = summary.factor.ends
    return f"{digits(summary.factor.value)} times" + f", {ends}" * bool(ends)
