"""One change between two sets of results: which trial, which quantity, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from reports.frame import Row
from results.record import Record
from results.statistics import Interval

Verdict = Literal["worse", "better", "noise", "same", "only in old", "only in new", "not compared"]
VERDICTS: Final[tuple[Verdict, ...]] = (
    *("worse", "better", "noise", "only in old", "only in new", "not compared", "same"),
)
LEAST: Final = 1.05
"""Of time and memory measured in one run each, less than this is noise, whatever their samples
say: runs of one trial lie further apart than samples within one."""
ENOUGH: Final = 3
"""Degrees of freedom from which on the spread between runs is taken from the records."""
BETWEEN_RUNS: Final = "spread between runs"
OTHER_MACHINE: Final = "measured on two machines, or with other numbers of threads"
NOTHING_MEASURED: Final = "a run measured 0, of which there is no ratio"
Kind = Literal["score", "time", "memory", "counted", "trial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Which trial, whatever its seed, and where in it."""

    label: str
    method: str
    options: str
    task: str
    task_version: int
    preset: str
    source: str
    settings: str
    dtype: str
    device: str
    compile: bool
    where: str = ""
    """Of a cost trial: mode, direction and length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One quantity of one trial, before and after."""

    subject: Subject
    quantity: str
    unit: str
    kind: Kind
    verdict: Verdict
    old: float | None = None
    new: float | None = None
    change: Interval | None = None
    """New minus old of scores, new over old of all else."""
    times_worse: float = 1.0
    """How many times as bad as before; below 1 it is better."""
    p_value: float | None = None
    """After Holm, over all changes of the same kind."""
    test: str = ""
    reason: str = ""
    seeds: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """One quantity in the runs of both sides, before it is judged."""

    change: Change
    old: Sequence[float]
    """A number a run."""
    new: Sequence[float]
    old_samples: Sequence[float] = ()
    """Of the only run, where there is one; times through the reference where there is one."""
    new_samples: Sequence[float] = ()
    group: str = ""
    """Runs of one group have one relative spread: machine and quantity."""
    shown: tuple[float, float] | None = None
    """What a table shows of both sides, where runs are held against a reference."""


@dataclass(slots=True)
class Found:
    """Changes that are judged, and runs that wait for the spread between runs."""

    done: list[Change] = field(default_factory=list)
    waiting: list[Runs] = field(default_factory=list)


Pairs = list[tuple[tuple[Record, Row], tuple[Record, Row]]]
"""Completed trials of both sides, the old first, seed by seed."""
