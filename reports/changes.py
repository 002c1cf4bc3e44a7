"""Two sets of results against each other: per trial what became better, worse, or neither.

A trial is its identity without the seed. Scores are held against each other only where data and
protocol are the same, times and memory only on one machine with as many threads.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from reports.change import Change, Found, Pairs, Subject, Verdict
from reports.changes_curves import curve_changes
from reports.changes_scores import score_changes
from reports.changes_verdicts import with_verdicts
from reports.columns import contenders_of
from reports.curves import is_cost
from reports.frame import Row, rows
from reports.grid import ranges
from reports.probes import is_probe
from results.record import Record

Side = Mapping[tuple[object, ...], Sequence[tuple[Record, Row]]]


def changes(old: Sequence[Record], new: Sequence[Record], *, cost: bool = True) -> list[Change]:
    """Everything that can be held against each other, and a line for all that cannot."""
    every = [*rows(old), *rows(new)]
    labels = {(c.method, c.options): c.label for c in contenders_of(every)}
    before = _trials(old, every[: len(old)])
    after = _trials(new, every[len(old) :])
    found = Found()
    for key in sorted({*before, *after}, key=str):
        sides = (before.get(key, ()), after.get(key, ()))
        subject = _subject((sides[0] or sides[1])[0][1], labels)
        pairs = _pairs(subject, *sides, found)
        if not pairs:
            continue
        records = [(a[0], b[0]) for a, b in pairs]
        if is_cost(records[0][0]):
            if cost:
                curve_changes(subject, records, found)
        elif is_probe(records[0][0]):
            found.done.append(_probes(subject, records))
        else:
            score_changes(subject, pairs, found, cost=cost)
    return with_verdicts(found)


def failing(found: Iterable[Change], ratio: float) -> list[Change]:
    """What became worse beyond noise and by more than the ratio."""
    return [each for each in found if each.verdict == "worse" and each.times_worse > ratio]


def _trials(records: Sequence[Record], flat: Sequence[Row]) -> Side:
    grouped: dict[tuple[object, ...], list[tuple[Record, Row]]] = defaultdict(list)
    for record, row in zip(records, flat, strict=True):
        grouped[_key(row)].append((record, row))
    return grouped


def _key(row: Row) -> tuple[object, ...]:
    return (
        *(row.task, row.task_version, row.preset, row.source, row.settings),
        *(row.dtype, row.device, row.compile, row.method, row.options),
    )


def _subject(row: Row, labels: Mapping[tuple[str, str], str]) -> Subject:
    return Subject(
        label=labels[row.method, row.options],
        method=row.method,
        options=row.options,
        task=row.task,
        task_version=row.task_version,
        preset=row.preset,
        source=row.source,
        settings=row.settings,
        dtype=row.dtype,
        device=row.device,
        compile=row.compile,
    )


def _pairs(
    subject: Subject,
    old: Sequence[tuple[Record, Row]],
    new: Sequence[tuple[Record, Row]],
    found: Found,
) -> Pairs:
    """Trials of both sides by seed, where both completed; all else is told at once."""
    before, after = ({row.seed: (record, row) for record, row in side} for side in (old, new))
    for verdict, seeds in (
        ("only in old", before.keys() - after.keys()),
        ("only in new", after.keys() - before.keys()),
    ):
        if seeds:
            found.done.append(_trial(subject, verdict, sorted(seeds)))  # type: ignore[arg-type]
    pairs = []
    for seed in sorted(before.keys() & after.keys()):
        then, now = before[seed][1], after[seed][1]
        if then.status == now.status == "completed":
            pairs.append((before[seed], after[seed]))
        elif then.status == now.status:
            found.done.append(_trial(subject, "same", [seed], f"{then.status} both times"))
        else:
            told = f"{then.status} before, {now.status} now" + f": {now.reason}" * bool(now.reason)
            worse = then.status == "completed"
            better = now.status == "completed"
            verdict = "worse" if worse else "better" if better else "not compared"
            found.done.append(_trial(subject, verdict, [seed], told))  # type: ignore[arg-type]
    return pairs


def _trial(subject: Subject, verdict: Verdict, seeds: list[int], reason: str = "") -> Change:
    return Change(
        subject=subject,
        quantity="status" if reason else "trial",
        unit="",
        kind="trial",
        verdict=verdict,
        times_worse=float("inf") if verdict == "worse" else 1.0,
        reason=reason,
        seeds=ranges(seeds),
    )


def _probes(subject: Subject, pairs: Sequence[tuple[Record, Record]]) -> Change:
    same = all(old.probe == new.probe for old, new in pairs)
    seeds = [old.identity.seed for old, _ in pairs]
    reason = "its points are the same" if same else "its points differ; see the tables of probes"
    change = _trial(subject, "same" if same else "not compared", seeds, reason)
    return replace(change, quantity="probe")
