"""Changes of scores, and of their price: time, memory and what is counted."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from reports.change import OTHER_MACHINE, Change, Found, Kind, Pairs, Runs, Subject, Verdict
from reports.frame import Row
from reports.grid import ranges
from results.record import Record
from results.statistics import Interval, difference

_COUNTED: Final = (("flops_per_step", "1"), ("parameters", "1"), ("state_bytes", "B"))
_MEASURED: Final[tuple[tuple[str, str, Kind], ...]] = (
    ("step_seconds", "s", "time"),
    ("peak_memory_bytes", "B", "memory"),
)


def score_changes(subject: Subject, pairs: Pairs, found: Found, *, cost: bool) -> None:
    """The score of a trained trial and its price."""
    old, new = [row for (_, row), _ in pairs], [row for _, (_, row) in pairs]
    seeds = ranges([row.seed for row in old])
    found.done += [replace(each, seeds=seeds) for each in _score(subject, old, new)]
    if cost:
        _counts(subject, old, new, seeds, found)
        _measured(subject, pairs, seeds, found)


def _counts(
    subject: Subject, old: Sequence[Row], new: Sequence[Row], seeds: str, found: Found
) -> None:
    """The greatest over seeds, as the tables of cost show them."""
    for quantity, unit in _COUNTED:
        befores, afters = _values(old, quantity), _values(new, quantity)
        if befores and afters:
            change = counted(subject, quantity, unit, max(befores), max(afters))
            found.done.append(replace(change, seeds=seeds))


def _measured(subject: Subject, pairs: Pairs, seeds: str, found: Found) -> None:
    """Times and memory, where they may be held against each other."""
    old, new = [row for (_, row), _ in pairs], [row for _, (_, row) in pairs]
    machine = one_machine((a[0], b[0]) for a, b in pairs)
    for quantity, unit, kind in _MEASURED:
        befores, afters = _values(old, quantity), _values(new, quantity)
        if not befores or not afters:
            continue
        blank = Change(
            subject=subject, quantity=quantity, unit=unit, kind=kind, verdict="noise", seeds=seeds
        )
        if not machine:
            found.done.append(replace(blank, verdict="not compared", reason=OTHER_MACHINE))
            continue
        single = kind == "time" and len(pairs) == 1
        runs = Runs(
            change=blank,
            old=befores,
            new=afters,
            old_samples=_samples(pairs[0][0][0]) if single else (),
            new_samples=_samples(pairs[0][1][0]) if single else (),
            group=f"{machine} {quantity}",
        )
        found.waiting.append(runs)


def _values(side: Sequence[Row], quantity: str) -> list[float]:
    return [value for row in side if (value := getattr(row, quantity)) is not None]


def _samples(record: Record) -> Sequence[float]:
    return record.cost.step_seconds if record.cost else ()


def _score(subject: Subject, old: Sequence[Row], new: Sequence[Row]) -> Iterator[Change]:
    """By the sharpest paired test that the records allow; nothing where there is no metric."""
    scores = [row.score for row in (*old, *new)]
    if any(score is None for score in scores):
        return
    first = old[0]
    blank = Change(
        subject=subject,
        quantity=first.metric,
        unit=first.unit,
        kind="score",
        verdict="noise",
        old=_mean([row.value for row in old]),
        new=_mean([row.value for row in new]),
    )
    why = _incomparable([*old, *new])
    if why:
        yield replace(blank, verdict="not compared", reason=why)
        return
    known = [score for score in scores if score is not None]
    mine, theirs = known[len(old) :], known[: len(old)]
    if mine == theirs:
        yield replace(blank, verdict="same")
        return
    gap = difference(mine, theirs)
    bad, good = (blank.old, blank.new) if first.higher_is_better else (blank.new, blank.old)
    times = (bad or 0.0) / good if good else float("inf")
    p_value = gap.p_value if gap.interval.known else None
    yield replace(blank, change=gap.interval, p_value=p_value, test=gap.test, times_worse=times)


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known)


def _incomparable(every: Sequence[Row]) -> str:
    """Why their scores cannot be held against each other; empty where they can."""
    metrics = {(row.metric, row.unit) for row in every}
    digests = {row.digest for row in every}
    if len(metrics) > 1:
        return f"other metrics: {', '.join(sorted(name for name, _ in metrics))}"
    if len(digests) > 1:
        return f"other data: {', '.join(sorted(digest[:8] for digest in digests))}"
    told = "; ".join(_differing(every)) if len({row.protocol for row in every}) > 1 else ""
    return f"other protocols: {told}" if told else ""


def _differing(every: Sequence[Row]) -> list[str]:
    protocols = [json.loads(row.protocol) for row in every]
    names = sorted({name for protocol in protocols for name in protocol} - {"seed"})
    seen = {name: list(dict.fromkeys(str(p.get(name)) for p in protocols)) for name in names}
    return [f"{name} {', '.join(values)}" for name, values in seen.items() if len(values) > 1]


def one_machine(pairs: Iterable[tuple[Record, Record]]) -> str:
    """The machine with its threads where all records share it; otherwise nothing."""
    names = {(r.machine.name, r.machine.threads) for pair in pairs for r in pair}
    return f"{names.pop()}" if len(names) == 1 else ""


def counted(subject: Subject, quantity: str, unit: str, old: float, new: float) -> Change:
    """A number that is counted, not measured: any difference is one."""
    change = Change(
        subject=subject,
        quantity=quantity,
        unit=unit,
        kind="counted",
        verdict="same",
        old=old,
        new=new,
    )
    if old == new:
        return change
    ratio = new / old if old else float("inf")
    verdict: Verdict = "worse" if new > old else "better"
    interval = Interval(mean=ratio, low=ratio, high=ratio, known=False)
    return replace(change, verdict=verdict, change=interval, times_worse=ratio, test="counted")
