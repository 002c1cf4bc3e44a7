"""Changes of cost curves: time, memory and state, place by place."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from reports.change import OTHER_MACHINE, Change, Found, Runs, Subject
from reports.changes_scores import counted, one_machine
from reports.curve_notes import direction
from reports.curves import Place
from reports.grid import ranges
from results.curve import CostCell, CostCurve
from results.record import Record

Cells = list[tuple[CostCell, CostCell]]
"""Before and after, seed by seed."""


def curve_changes(subject: Subject, pairs: Sequence[tuple[Record, Record]], found: Found) -> None:
    """Every place that both sides measured; probes for a crossover lie where they like."""
    curves = [(a.curve, b.curve) for a, b in pairs if a.curve and b.curve]
    seeds = ranges([old.identity.seed for old, _ in pairs])
    if not curves:
        return
    if len({_sizes(curve) for pair in curves for curve in pair}) > 1:
        change = _blank(subject, "latency_seconds", "s", seeds)
        reason = "other sizes: level, batch, heads or their dimension"
        found.done.append(replace(change, verdict="not compared", reason=reason))
        return
    machine = one_machine(pairs)
    through = _reference(pairs)
    places: dict[Place, Cells] = {}
    for old, new in curves:
        before, after = _by_place(old), _by_place(new)
        for place in before.keys() & after.keys():
            places.setdefault(place, []).append((before[place], after[place]))
    for place, cells in sorted(places.items()):
        where = f"{place.mode}, {direction(place.causal)}, {place.length}"
        at = replace(subject, where=where)
        _cell_changes(at, cells, (machine, through, seeds), found)


def _cell_changes(at: Subject, cells: Cells, around: tuple[str, str, str], found: Found) -> None:
    seeds = around[2]
    for old, new in cells:
        if "completed" in (old.status, new.status) and old.status != new.status:
            now_fails = old.status == "completed"
            change = Change(
                subject=at,
                quantity="status",
                unit="",
                kind="trial",
                verdict="worse" if now_fails else "better",
                times_worse=float("inf") if now_fails else 1.0,
                reason=f"{old.status} before, {new.status} now: {new.reason or old.reason}",
                seeds=seeds,
            )
            found.done.append(change)
    both = [(a, b) for a, b in cells if a.status == b.status == "completed"]
    if not both:
        return
    for quantity in ("allocated_bytes", "state_bytes"):
        sizes = [(getattr(a, quantity), getattr(b, quantity)) for a, b in both]
        if all(a is not None and b is not None for a, b in sizes):
            most = (max(a for a, _ in sizes), max(b for _, b in sizes))
            found.done.append(replace(counted(at, quantity, "B", *most), seeds=seeds))
    _latency(at, both, around, found)


def _latency(at: Subject, both: Cells, around: tuple[str, str, str], found: Found) -> None:
    """Through the reference where there is one: what slows the machine slows both."""
    machine, through, seeds = around
    timed = [(a, b) for a, b in both if a.seconds and b.seconds]
    if not timed:
        return
    change = _blank(at, "latency_seconds", "s", seeds)
    if not machine:
        found.done.append(replace(change, verdict="not compared", reason=OTHER_MACHINE))
        return
    beside = all(_paired(cell) for pair in timed for cell in pair) and bool(through)
    old, new = [_samples(a, beside) for a, _ in timed], [_samples(b, beside) for _, b in timed]
    single = len(timed) == 1
    runs = Runs(
        change=replace(change, reason=f"through {through}" if beside else ""),
        old=[median(samples) for samples in old],
        new=[median(samples) for samples in new],
        old_samples=old[0] if single else (),
        new_samples=new[0] if single else (),
        group=f"{machine} latency {at.where.partition(',')[0]}",
        shown=(
            median(median(a.seconds) for a, _ in timed),
            median(median(b.seconds) for _, b in timed),
        ),
    )
    found.waiting.append(runs)


def _paired(cell: CostCell) -> bool:
    return len(cell.reference_seconds) >= len(cell.seconds)


def _samples(cell: CostCell, beside: bool) -> list[float]:
    if not beside:
        return cell.seconds
    return [a / b for a, b in zip(cell.seconds, cell.reference_seconds, strict=False)]


def _reference(pairs: Sequence[tuple[Record, Record]]) -> str:
    """The reference that all were measured beside, unless torch changed and so may have it."""
    names = {r.curve.reference for pair in pairs for r in pair if r.curve}
    versions = {r.machine.versions.get("torch", "") for pair in pairs for r in pair}
    return names.pop() if len(names) == len(versions) == 1 else ""


def _by_place(curve: CostCurve) -> dict[Place, CostCell]:
    asked = (cell for cell in curve.cells if not cell.probe)
    return {Place(cell.mode, cell.causal, cell.length): cell for cell in asked}


def _sizes(curve: CostCurve) -> tuple[str, int, int, int]:
    return curve.level, curve.batch, curve.num_heads, curve.head_dim


def _blank(subject: Subject, quantity: str, unit: str, seeds: str) -> Change:
    return Change(
        subject=subject, quantity=quantity, unit=unit, kind="time", verdict="noise", seeds=seeds
    )
