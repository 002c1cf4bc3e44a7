"""Records of cost trials, summed up cell by cell and grouped by what may share a table.

Times stand in one table only where machine, threads, device, number format, sizes, level, protocol
and reference are the same. Several seeds of a method are one curve with all their samples.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from reports.columns import Contender, contenders_of
from reports.frame import rows
from results.curve import Ceilings, CostCell, CostCurve, Crossover, Mode
from results.medians import median, ratio
from results.record import Record
from results.statistics import Interval

FAMILY: Final = "cost"
"""The family of tasks whose records are curves, also where a record never came to one."""
MODES: Final[tuple[Mode, ...]] = ("forward", "training", "decode")


class Place(NamedTuple):
    """Where a cell stands on a curve."""

    mode: Mode
    causal: bool
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a trial has in common with others whatever became of it."""

    task: str
    task_version: int
    preset: str
    settings: str
    """Canonical JSON of what was changed in the preset."""
    dtype: str
    device: str
    compile: bool
    machine: str
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What must be equal for two times to stand in one table."""

    around: Circumstances
    level: str
    batch: int
    num_heads: int
    head_dim: int
    reference: str
    """The method that was measured in turn with each of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One place on one curve: what was measured there, over all seeds."""

    cell: CostCell
    """The first that completed, else the first: its counts and kernels hold for all."""
    seconds: Interval | None
    """The median of all samples."""
    ratio: Interval | None
    """The reference's time over the method's, taken in turn: above 1 the method is faster."""
    reference: Interval | None
    num_samples: int
    peak_bytes: int | None
    flags: tuple[str, ...]

    @property
    def share_of_limit(self) -> float | None:
        """The roofline's time over the median: 1 is as fast as this machine could be."""
        if self.seconds is None or self.cell.limit_seconds is None:
            return None
        return self.cell.limit_seconds / self.seconds.mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """All that was measured of one method under one setting."""

    contender: Contender
    points: Mapping[Place, Point]
    crossovers: tuple[Crossover, ...]
    ceilings: tuple[Ceilings, ...]
    remarks: tuple[str, ...]
    """How the trial ended, where it did not complete, and why there is no reference."""
    memory_method: str
    dirty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A method without a curve, and why."""

    contender: Contender
    around: Circumstances
    status: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Everything that the tables of cost show."""

    curves: Mapping[Setting, tuple[Curve, ...]]
    absent: tuple[Absent, ...]

    def absent_from(self, setting: Setting) -> list[Absent]:
        """Who was asked for under these circumstances and has no curve in them."""
        there = {curve.contender.label for curve in self.curves[setting]}
        return [
            each
            for each in self.absent
            if each.around == setting.around and each.contender.label not in there
        ]


def is_cost(record: Record) -> bool:
    """Whether the record is of a cost trial, which no table of scores can show."""
    return record.curve is not None or record.identity.task.split("/")[0] == FAMILY


def gather(records: Iterable[Record]) -> Costs:
    """Groups the records of cost trials and sums up their samples."""
    trials = [record for record in records if is_cost(record)]
    flat = rows(trials)
    contenders = {(c.method, c.options): c for c in contenders_of(flat)}
    groups: dict[Setting, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    named: dict[str, Contender] = {}
    absent: dict[Absent, None] = {}
    for record, row in zip(trials, flat, strict=True):
        contender = contenders[row.method, row.options]
        named[contender.label] = contender
        around = _circumstances(record)
        if record.curve is None or not record.curve.cells:
            reason = record.reason or "no curve is on record"
            gap = Absent(contender=contender, around=around, status=record.status, reason=reason)
            absent[gap] = None
        else:
            groups[_setting(record.curve, around)][contender.label].append(record)
    curves = {
        setting: tuple(_curve(named[label], group) for label, group in sorted(members.items()))
        for setting, members in sorted(groups.items(), key=lambda item: _order(item[0]))
    }
    return Costs(curves=curves, absent=tuple(absent))


def _circumstances(record: Record) -> Circumstances:
    identity = record.identity
    return Circumstances(
        task=identity.task,
        task_version=identity.task_version,
        preset=identity.preset,
        settings=json.dumps(identity.settings, sort_keys=True, separators=(",", ":")),
        dtype=identity.dtype,
        device=identity.device,
        compile=identity.compile,
        machine=record.machine.name,
        threads=record.machine.threads,
    )


def _setting(curve: CostCurve, around: Circumstances) -> Setting:
    return Setting(
        around=around,
        level=curve.level,
        batch=curve.batch,
        num_heads=curve.num_heads,
        head_dim=curve.head_dim,
        reference=curve.reference,
    )


def _order(setting: Setting) -> tuple[str | int, ...]:
    around = setting.around
    return (
        *(around.machine, around.threads, around.device, around.task, around.task_version),
        *(around.preset, around.settings, around.compile, around.dtype, setting.level),
        *(setting.batch, setting.num_heads, setting.head_dim, setting.reference),
    )


def _curve(contender: Contender, records: Sequence[Record]) -> Curve:
    cells: dict[Place, list[CostCell]] = defaultdict(list)
    curves = [record.curve for record in records if record.curve is not None]
    for curve in curves:
        for cell in curve.cells:
            cells[Place(cell.mode, cell.causal, cell.length)].append(cell)
    remarks = [f"{r.status}: {r.reason}" for r in records if r.status != "completed"]
    remarks += [
        f"no {curve.reference} beside it: {curve.reference_reason}"
        for curve in curves
        if curve.reference_reason
    ]
    return Curve(
        contender=contender,
        points={place: _point(found) for place, found in cells.items()},
        crossovers=tuple(each for curve in curves for each in curve.crossovers),
        ceilings=tuple(curve.ceilings for curve in curves if curve.ceilings is not None),
        remarks=tuple(dict.fromkeys(remarks)),
        memory_method=curves[0].memory_method,
        dirty=any(record.provenance.dirty for record in records),
    )


def _point(cells: Sequence[CostCell]) -> Point:
    completed = [cell for cell in cells if cell.status == "completed"]
    shown = (completed or [*cells])[0]
    own = [sample for cell in completed for sample in cell.seconds]
    theirs = [sample for cell in completed for sample in cell.reference_seconds]
    # A sample stands at the place of its partner; the longer of two lists ends without.
    pairs = [
        pair
        for cell in completed
        for pair in zip(cell.reference_seconds, cell.seconds, strict=False)
    ]
    flags = [flag for cell in completed for flag in cell.flags]
    if completed and len(completed) < len(cells):
        gone = next(cell for cell in cells if cell.status != "completed")
        missing = len(cells) - len(completed)
        flags.append(f"{missing} of {len(cells)} seeds {gone.status}: {gone.reason}")
    return Point(
        cell=shown,
        seconds=median(own) if own else None,
        ratio=ratio([a for a, _ in pairs], [b for _, b in pairs]) if pairs else None,
        reference=median(theirs) if theirs else None,
        num_samples=len(own),
        peak_bytes=max((c.peak_bytes for c in completed if c.peak_bytes is not None), default=None),
        flags=tuple(dict.fromkeys(flags)),
    )
