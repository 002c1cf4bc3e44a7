"""What the page says of each record: how it ended, how to repeat it, where and by what it ran."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reports.columns import contenders_of
from reports.frame import Row, rows
from reports.page.anchors import Anchors
from reports.page.tables import blocks
from reports.probes_entries import options_text
from results.record import Machine, Measured, Record, Scalar

SHORT: Final = 12
"""Digits of a digest."""
RELEASE: Final = "release:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One record. All of it is plain text."""

    name: str
    """Of its anchor."""
    seed: int
    status: str
    result: str
    """The metric, or nothing."""
    facts: tuple[tuple[str, str], ...]
    """Name and value."""
    repeat: str
    """The command line that makes this record again."""
    command: str
    """The command line that made it, perhaps with many others."""
    machine: str
    """The link to it."""
    protocol: str
    """The link to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The seeds of one trial."""

    name: str
    title: str
    keys: Mapping[str, str]
    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What many records have in common and is said once: a machine or a protocol."""

    name: str
    title: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Trials that ended alike, for one reason."""

    status: str
    reason: str
    method: str
    task: str
    where: str
    link: str
    number: int
    keys: Mapping[str, str]


class Trials:
    """All records, and what they share."""

    def __init__(self, records: Sequence[Record], anchors: Anchors) -> None:
        flat = rows(records)
        self._label = {
            row.trial: label for block in blocks(records) for row, label in _labelled(rows(block))
        }
        self._row = {row.trial: row for row in flat}
        self._anchors = anchors
        self._machines: dict[str, Shared] = {}
        self._protocols: dict[str, Shared] = {}
        self.headings = [self._heading(name, group) for name, group in anchors.groups.items()]
        self.failures = self._failures(flat)

    @property
    def machines(self) -> list[Shared]:
        """Each once."""
        return [*self._machines.values()]

    @property
    def protocols(self) -> list[Shared]:
        """Each once."""
        return [*self._protocols.values()]

    def _heading(self, name: str, records: Sequence[Record]) -> Heading:
        row = self._row[records[0].identity.digest()]
        trials = [record.identity.digest() for record in records]
        return Heading(
            name=name,
            title=f"{self._label[row.trial]} on {row.task}, {_circumstances(row)}",
            keys=self._anchors.keys(trials),
            trials=tuple(self._trial(each) for each in sorted(records, key=_seed)),
        )

    def _trial(self, record: Record) -> Trial:
        identity, made = record.identity, record.provenance
        row = self._row[identity.digest()]
        return Trial(
            name=f"r-{row.trial}",
            seed=row.seed,
            status=row.status,
            result="; ".join(map(_told, record.metrics)),
            facts=tuple((name, value) for name, value in _facts(record, row) if value),
            repeat=repeat(record),
            command=made.command,
            machine=self._share(
                self._machines, "machine", record.machine.name, _of(record.machine)
            ),
            protocol=self._share(
                self._protocols,
                "protocol",
                f"{identity.task}, {identity.preset}",
                tuple((k, text_of(v)) for k, v in record.settings_resolved.items()),
            ),
        )

    def _share(
        self, found: dict[str, Shared], kind: str, title: str, facts: tuple[tuple[str, str], ...]
    ) -> str:
        key = repr((title, facts))
        if key not in found:
            found[key] = Shared(name=f"{kind}-{len(found) + 1}", title=title, facts=facts)
        return f"#{found[key].name}"

    def _failures(self, flat: Iterable[Row]) -> list[Failure]:
        """By status, method and task; seeds that ended alike are one."""
        alike: dict[tuple[str, ...], list[Row]] = {}
        for row in flat:
            if row.status != "completed":
                label = self._label[row.trial]
                key = (row.status, label, row.task, _circumstances(row), row.reason)
                alike.setdefault(key, []).append(row)
        found = []
        for (status, label, task, where, reason), members in sorted(alike.items()):
            trials = [row.trial for row in members]
            found.append(
                Failure(
                    status=status,
                    reason=reason or "no reason was recorded",
                    method=label,
                    task=task,
                    where=where,
                    link=self._anchors.link(trials),
                    number=len(members),
                    keys=self._anchors.keys(trials),
                )
            )
        return found


def repeat(record: Record) -> str:
    """The command line that runs this very trial again, every option said."""
    identity = record.identity
    options = ",".join(f"{name}={text_of(v)}" for name, v in identity.method_options.items())
    words = ["--methods", f"{identity.method}:{options}" if options else identity.method]
    words += ["--task", identity.task, "--preset", identity.preset]
    words += ["--source", identity.source.removeprefix(RELEASE)]
    words += ["--dtype", identity.dtype, "--seeds", str(identity.seed)]
    words += ["--device", "cpu" if identity.device == "cpu" else "cuda"]
    words += ["--compile"] if identity.compile else []
    if identity.settings:
        words += ["--set", *(f"{name}={text_of(v)}" for name, v in identity.settings.items())]
    words += ["--threads", str(record.machine.threads), "--no-controls", "--rerun"]
    return f"python -m bench run {shlex.join(words)}"


def text_of(value: Scalar) -> str:
    """As the command line takes it."""
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _labelled(flat: Sequence[Row]) -> list[tuple[Row, str]]:
    labels = {(c.method, c.options): c.label for c in contenders_of(flat)}
    return [(row, labels[row.method, row.options]) for row in flat]


def _told(metric: Measured) -> str:
    """`accuracy 38.25 %`."""
    if metric.unit == "fraction":
        return f"{metric.name} {100 * metric.value:.2f} %"
    return f"{metric.name} {metric.value:.6g} {metric.unit}"


def _seed(record: Record) -> int:
    return record.identity.seed


def _circumstances(row: Row) -> str:
    words = [f"preset {row.preset}", row.dtype, row.device, row.source.split(":")[0]]
    words += ["compiled"] if row.compile else []
    words += [f"changed {options_text(row.settings)}"] if row.settings != "{}" else []
    return ", ".join(words)


def _facts(record: Record, row: Row) -> list[tuple[str, str]]:
    made, data = record.provenance, record.data
    options = ", ".join(f"{k}={text_of(v)}" for k, v in record.identity.method_options.items())
    return [
        ("reason", row.reason),
        ("options", options),
        ("role", row.role if row.role != "method" else ""),
        ("same as", row.same_as),
        ("data", data.title + " (a stand-in)" * data.stand_in if data else ""),
        ("data digest", row.digest[:SHORT]),
        ("test examples", str(row.num_test or "")),
        ("kernels", row.kernels),
        ("clock", f"{clock / 1e9:.2f} GHz" if (clock := record.machine.clock_hertz) else ""),
        ("begun", made.started),
        ("took", f"{made.seconds:.1f} s"),
        ("commit", (made.commit or "none")[:SHORT] + " with uncommitted changes" * row.dirty),
        ("method's source", made.method_digest[:SHORT]),
        ("task's source", made.task_digest[:SHORT]),
        ("trial", row.trial),
    ]


def _of(machine: Machine) -> tuple[tuple[str, str], ...]:
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    facts = [
        ("processor", machine.processor),
        ("cores", str(machine.cores)),
        ("threads used", str(machine.threads)),
        ("memory", f"{machine.memory_bytes / 2**30:.1f} GiB"),
        ("GPU", machine.gpu or ""),
        ("GPU memory", f"{(machine.gpu_memory_bytes or 0) / 2**30:.1f} GiB" if machine.gpu else ""),
        ("driver", machine.driver or ""),
        ("system", machine.system),
        ("Python", machine.python),
        ("packages", versions),
    ]
    return tuple((name, value) for name, value in facts if value)
