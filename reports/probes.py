"""Records of probes, point by point, grouped by what may share a table or a figure.

Seeds of one method are one reading: the mean of their values, their intervals joined.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from reports.columns import Contender, contenders_of
from reports.frame import rows
from reports.probes_seeds import mean_of_seeds
from results.probe import Coordinate, ProbePointRecord
from results.record import Record
from results.statistics import LEVEL

FAMILY: Final = "probes"
"""The family of tasks whose records are points, also where a record never came to one."""
SIDE: Final = 1.959964
"""Standard errors in one side of a 95 % interval."""
ESTIMATOR: Final = "estimator"
"""The coordinate that names what was measured, where a probe measures more than the method."""
Place = tuple[tuple[str, Coordinate], ...]
DIGEST: Final = "digest"
"""What of a card tells measurements apart that must not be joined."""
assert LEVEL == 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What must be equal for two readings to stand in one table or figure."""

    task: str
    task_version: int
    preset: str
    source: str
    settings: str
    """Canonical JSON of what was changed in the preset."""
    dtype: str
    device: str
    measured_on: tuple[tuple[str, str], ...]
    """Digests of captured tensors, where there are any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One number of one method at one place, over all seeds; or why there is none."""

    contender: Contender
    quantity: str
    where: Mapping[str, Coordinate]
    value: float | None
    low: float | None
    high: float | None
    predicted: float | None
    unit: str
    samples: int
    how: str
    reason: str
    seeds: tuple[int, ...]
    own: bool = True
    """Of the method; False: of an estimator that the probe brings along, whatever the method."""

    @property
    def ratio(self) -> float | None:
        """Measured over predicted."""
        if self.value is None or not self.predicted:
            return None
        return self.value / self.predicted

    @property
    def standard_errors(self) -> float | None:
        """Measured minus predicted, in standard errors; by the side that faces the prediction."""
        if self.value is None or self.predicted is None or self.low is None or self.high is None:
            return None
        gap = self.value - self.predicted
        side = self.value - self.low if gap > 0 else self.high - self.value
        return SIDE * gap / side if side > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All readings under one setting, and where they come from."""

    setting: Setting
    readings: tuple[Reading, ...]
    commits: tuple[str, ...]
    """Short, and marked where changes were not committed."""
    gates: Mapping[str, str]
    """What the gate says against a method, by its label."""
    remarks: tuple[str, ...]
    """How a trial ended that did not complete, and what the cards say."""

    def of(self, quantity: str) -> list[Reading]:
        """The readings of one quantity."""
        return [reading for reading in self.readings if reading.quantity == quantity]

    @property
    def quantities(self) -> list[str]:
        """Each once, in the order found."""
        return list(dict.fromkeys(reading.quantity for reading in self.readings))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A trial without a point, and why."""

    contender: Contender
    setting: Setting
    status: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """Everything that tables and figures of probes show."""

    groups: tuple[Group, ...]
    gaps: tuple[Gap, ...]


def is_probe(record: Record) -> bool:
    """Whether the record is of a probe, which no table of scores can show."""
    return record.probe is not None or record.identity.task.split("/")[0] == FAMILY


def gather_probes(
    records: Iterable[Record], only: Collection[tuple[str, str]] | None = None
) -> Probes:
    """Groups the records of probes and joins their seeds; of the tasks and quantities named, or of
    all. A model's heads are many points."""
    trials: dict[Setting, list[Record]] = defaultdict(list)
    for record in records:
        if is_probe(record):
            trials[_setting(record)].append(record)
    groups, gaps = [], []
    for setting, members in sorted(trials.items(), key=lambda item: _order(item[0])):
        measured, empty = _named(members)
        groups += [_group(setting, measured, only)] if measured else []
        gaps += [
            Gap(
                contender=contender,
                setting=setting,
                status=record.status,
                reason=record.reason or "it recorded no point",
            )
            for contender, record in empty
        ]
    return Probes(groups=tuple(groups), gaps=tuple(dict.fromkeys(gaps)))


def _named(
    records: Sequence[Record],
) -> tuple[list[tuple[Contender, Record]], list[tuple[Contender, Record]]]:
    """Those with points and those without, each with its name among all of them."""
    flat = rows(records)
    contenders = {(c.method, c.options): c for c in contenders_of(flat)}
    named = [
        (contenders[row.method, row.options], record)
        for row, record in zip(flat, records, strict=True)
    ]
    measured = [pair for pair in named if pair[1].probe is not None and pair[1].probe.points]
    return measured, [pair for pair in named if pair not in measured]


def _setting(record: Record) -> Setting:
    identity = record.identity
    card = record.probe.card if record.probe else {}
    return Setting(
        task=identity.task,
        task_version=identity.task_version,
        preset=identity.preset,
        source=identity.source,
        settings=json.dumps(identity.settings, sort_keys=True, separators=(",", ":")),
        dtype=identity.dtype,
        device=identity.device,
        measured_on=tuple((name, text) for name, text in card.items() if name.endswith(DIGEST)),
    )


def _order(setting: Setting) -> tuple[str | int, ...]:
    return (
        *(setting.task, setting.task_version, setting.preset, setting.source, setting.settings),
        *(setting.dtype, setting.device, str(setting.measured_on)),
    )


def _group(
    setting: Setting,
    members: Sequence[tuple[Contender, Record]],
    only: Collection[tuple[str, str]] | None,
) -> Group:
    found: dict[tuple[str, str, Place], list[tuple[Contender, int, ProbePointRecord]]]
    found = defaultdict(list)
    gates, remarks, cards = {}, [], []
    for contender, record in members:
        assert record.probe is not None
        for point in record.probe.points:
            if only is not None and (setting.task, point.quantity) not in only:
                continue
            key = (contender.label, point.quantity, _place(point.where))
            found[key].append((contender, record.identity.seed, point))
        if record.probe.gate:
            gates[contender.label] = record.probe.gate
        if record.status != "completed":
            remarks.append(f"{contender.label} did not finish, {record.status}: {record.reason}")
        cards.append((contender.label, record.probe.card))
    commits = [
        (record.provenance.commit or "no commit")[:9]
        + (" with changes not committed" if record.provenance.dirty else "")
        for _, record in members
    ]
    return Group(
        setting=setting,
        readings=tuple(_once([_reading(points) for points in found.values()])),
        commits=tuple(dict.fromkeys(commits)),
        gates=gates,
        remarks=tuple(dict.fromkeys([*remarks, *_told(cards)])),
    )


def _told(cards: Sequence[tuple[str, Mapping[str, str]]]) -> list[str]:
    """What the cards say: once for all methods where it is the same, else with the method."""
    names = dict.fromkeys(name for _, card in cards for name in card if not name.endswith(DIGEST))
    told = []
    for name in names:
        said = [(label, card[name]) for label, card in cards if name in card]
        alike = len({text for _, text in said}) == 1 and len(said) == len(cards)
        mine = [f"{name}: {said[0][1]}"] if alike else [f"{name} of {a}: {b}" for a, b in said]
        told += [f"{line.rstrip('.')}." for line in mine]
    return told


def _reading(found: Sequence[tuple[Contender, int, ProbePointRecord]]) -> Reading:
    """A seed without a value leaves the whole without one: a mean of the rest would hide it."""
    contender, _, first = found[0]
    points = [point for *_, point in found]
    without = [point for point in points if point.value is None]
    joined = None if without else mean_of_seeds(points)
    reason = without[0].reason if without else ""
    if without and len(without) < len(points):
        reason = f"{reason} ({len(without)} of {len(points)} seeds)"
    return Reading(
        contender=contender,
        quantity=first.quantity,
        where=first.where,
        value=joined.mean if joined else None,
        low=joined.low if joined and joined.known else None,
        high=joined.high if joined and joined.known else None,
        predicted=first.predicted,
        unit=first.unit,
        samples=sum(point.samples for point in points),
        how=first.how,
        reason=reason,
        seeds=tuple(sorted({seed for _, seed, _ in found})),
    )


def _once(readings: Sequence[Reading]) -> list[Reading]:
    """What a probe measures of an estimator of its own is the same beside every method: kept once.

    Where the estimator is the method, it is called as the method is, with the options that tell.
    """
    kept: dict[tuple[str, str, Place], Reading] = {}
    for reading in readings:
        estimator = reading.where.get(ESTIMATOR)
        if estimator == reading.contender.method:
            where = {**reading.where, ESTIMATOR: reading.contender.label}
            reading = replace(reading, where=where)
        elif estimator is not None:
            reading = replace(reading, own=False)
        who = reading.contender.label if reading.own else ""
        kept.setdefault((reading.quantity, who, _place(reading.where)), reading)
    return [*kept.values()]


def _place(where: Mapping[str, Coordinate]) -> Place:
    """Coordinates whatever their order."""
    return tuple(sorted(where.items()))
