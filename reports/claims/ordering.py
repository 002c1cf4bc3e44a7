"""Judges of next-token accuracy: the order of methods, and a gap that is larger in one task."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reports.claims.claim import Effect, Finding, Judge, NotTestedError, Verdict
from reports.claims.evidence import (
    SIGNIFICANCE,
    Arm,
    State,
    is_above,
    minus,
    of_arm,
    scaled,
    verdict_of,
)
from results.record import Record
from results.statistics import LEVEL, Interval, Score, difference

MARGIN: Final = 0.5
"""Points of accuracy. A gain that is surely smaller is not what a paper reports as one."""
SPAN: Final = 2.0
"""Points between exact and constant attention, at least: a model that has learned no more than how
common tokens are is the same whatever its attention, and its order says nothing."""
LEAST_SEEDS: Final = 2
"""Of the pair that the paper is about: one training tells nothing of the next."""

ORDER: Final = (
    "Next-token accuracy after as many tokens of the same text at the same learning rate, all pairs"
    " of the order, paired over blocks of test text and over seeds. A pair holds if its 95 %"
    " interval lies above 0, and else fails if, with Bonferroni's correction for the number of"
    f" pairs, it lies below {MARGIN:g} points and {LEAST_SEEDS} seeds or more tell so. Not"
    " reproduced if one fails; reproduced if all hold and DARKFormer and Performer share"
    f" {LEAST_SEEDS} seeds or more; else inconclusive. A method that diverged leaves its pairs"
    f" undecided; and where softmax is not surely {SPAN:g} points above constant attention, too"
    " little was learned for any verdict."
)
LARGER_GAP: Final = (
    "The gap in next-token accuracy between DARKFormer and Performer in finetuning less that in"
    " pretraining: reproduced if its 95 % interval lies above 0, else not reproduced if it lies"
    f" below {MARGIN:g} points; either takes {LEAST_SEEDS} seeds or more of both, and softmax"
    f" surely {SPAN:g} points above constant attention in both."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two methods, the first of which is said to be better."""

    first: Arm
    second: Arm

    def __str__(self) -> str:
        return f"{self.first} > {self.second}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What one pair came to, in points of accuracy."""

    interval: Interval
    num_seeds: int
    """That both methods share."""


def ordered(task: str, tiers: Sequence[Sequence[Arm]], central: Pair, span: Pair) -> Judge:
    """The rule `ORDER`: every method of a tier is better than every one of the next tier.

    The central pair is the one whose difference the paper is about; the span is of the best that
    attention can be and of one that does nothing.
    """
    pairs = [
        Pair(first=first, second=second)
        for upper, lower in itertools.pairwise(tiers)
        for first in upper
        for second in lower
    ]
    assert central in pairs, "the central pair is one of the order"

    def judge(records: Sequence[Record]) -> Finding:
        states = [(pair, _state(records, task, pair, len(pairs))) for pair in pairs]
        effects = [_effect(records, task, pair) for pair in _shown(pairs, central)]
        middle = gap(records, task, central)
        notes = [_tally(states)]
        verdict = verdict_of([state for _, state in states])
        if middle is None or middle.num_seeds < LEAST_SEEDS:
            notes.append(_few_seeds(central))
            verdict = "inconclusive" if verdict == "reproduced" else verdict
        verdict, short = _if_learned(verdict, _short_span(records, (task,), span))
        return Finding(
            verdict=verdict,
            effects=tuple(effect for effect in effects if effect),
            note=" ".join([*notes, *short]),
        )

    return judge


def larger_gap(pair: Pair, here: str, there: str, span: Pair) -> Judge:
    """The rule `LARGER_GAP`: the pair's difference on one task is larger than on another."""

    def judge(records: Sequence[Record]) -> Finding:
        found = [gap(records, task, pair) for task in (here, there)]
        first, second = found
        if first is None or second is None:
            return Finding(verdict="inconclusive", note=f"One of {pair} diverged.")
        over = minus(first.interval, second.interval)
        state = is_above(over, 0.0, fails_below=MARGIN)
        few = min(first.num_seeds, second.num_seeds) < LEAST_SEEDS
        verdict, short = _if_learned(
            verdict_of([None if few else state]), _short_span(records, (here, there), span)
        )
        effects = (
            Effect(what="gap, larger by", interval=over, unit="points", signed=True),
            Effect(what=here, interval=first.interval, unit="points", signed=True),
            Effect(what=there, interval=second.interval, unit="points", signed=True),
        )
        return Finding(
            verdict=verdict,
            effects=effects,
            note=" ".join([_few_seeds(pair)] * few + short),
        )

    return judge


def gap(records: Sequence[Record], task: str, pair: Pair, level: float = LEVEL) -> Gap | None:
    """The first method's accuracy less the second's, over the seeds that both have; None where one
    of them diverged. Raises NotTestedError where there is nothing to compare."""
    arms = (pair.first, pair.second)
    if any(r.status == "diverged" and arm.has(r) for arm in arms for r in _on(records, task)):
        return None
    first, second = ({r.identity.seed: _score(r) for r in of_arm(records, task, a)} for a in arms)
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        raise NotTestedError(f"{pair.first} and {pair.second} share no seed on {task}.")
    texts = {scores[seed].test_set for scores in (first, second) for seed in seeds}
    if len(texts) > 1:
        raise NotTestedError(
            f"{pair.first} and {pair.second} were tested on different texts of {task}."
        )
    found = difference([first[s] for s in seeds], [second[s] for s in seeds], level).interval
    return Gap(interval=scaled(found, 100.0), num_seeds=len(seeds))


def _on(records: Sequence[Record], task: str) -> list[Record]:
    return [record for record in records if record.identity.task == task]


def _score(record: Record) -> Score:
    found = record.language.after if record.language else None
    if found is None or record.language is None or record.data is None:
        raise NotTestedError(
            f"{record.identity.method} on {record.identity.task} was not tested after training."
        )
    each = record.language.predictions_per_block
    return Score(
        seed=record.identity.seed,
        value=found.accuracy,
        test_set=record.data.digest,
        blocks=tuple(hits / each for hits in found.block_hits),
    )


def _state(records: Sequence[Record], task: str, pair: Pair, num_pairs: int) -> State:
    usual = gap(records, task, pair)
    strict = gap(records, task, pair, 1 - SIGNIFICANCE / num_pairs)
    if usual is None or strict is None:
        return None
    if is_above(usual.interval, 0.0):
        return True
    fails = is_above(strict.interval, MARGIN, fails_below=MARGIN) is False
    return False if fails and usual.num_seeds >= LEAST_SEEDS else None


def _shown(pairs: Sequence[Pair], central: Pair) -> list[Pair]:
    """The central one, then what the first of it has still to gain."""
    return [central, *(pair for pair in pairs if pair.second == central.first)]


def _effect(records: Sequence[Record], task: str, pair: Pair) -> Effect | None:
    found = gap(records, task, pair)
    if found is None:
        return None
    what = f"{pair.first} - {pair.second}"
    return Effect(what=what, interval=found.interval, unit="points", signed=True)


def _tally(states: Sequence[tuple[Pair, State]]) -> str:
    holds = sum(state is True for _, state in states)
    text = f"{holds} of {len(states)} pairs hold"
    for state, word in ((False, "not so"), (None, "undecided")):
        named = [str(pair) for pair, found in states if found is state]
        text += f"; {word}: {', '.join(named)}" if named else ""
    return f"{text}."


def _short_span(records: Sequence[Record], tasks: Sequence[str], span: Pair) -> list[str]:
    """A sentence for each task in which too little was learned to tell methods apart."""
    found = []
    for task in tasks:
        whole = gap(records, task, span)
        if whole is None or is_above(whole.interval, SPAN) is not True:
            found.append(
                f"Too little was learned on {task}: {span.first} is not surely {SPAN:g} points"
                f" above {span.second}."
            )
    return found


def _if_learned(verdict: Verdict, short: list[str]) -> tuple[Verdict, list[str]]:
    """The verdict that is left, and what to say: `SPAN` came after the rules that it overrides."""
    if not short or verdict == "inconclusive":
        return verdict, short
    otherwise = f"Without this rule, which was added after a first look at such numbers: {verdict}."
    return "inconclusive", [*short, otherwise]


def _few_seeds(pair: Pair) -> str:
    return (
        f"{pair.first} and {pair.second} share fewer than {LEAST_SEEDS} seeds: intervals speak of"
        " these trained models alone."
    )
