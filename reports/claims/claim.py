"""What a claim of a paper is: a statement, the trials that test it, and the rule that judges it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from reports.numbers import digits
from results.record import Record
from results.statistics import Interval

Verdict = Literal["reproduced", "not reproduced", "inconclusive", "not tested here"]


class NotTestedError(Exception):
    """What a rule needs is not on record; the message is the reason, one sentence or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """What is run for a claim, in the words of `bench run`; controls are named, none is added."""

    methods: tuple[str, ...]
    task: str
    preset: str
    settings: tuple[str, ...] = ()
    """`key=value`, as after `--set`."""
    source: str | None = None
    seeds: tuple[int, ...] | None = None
    """Of trainings, where seeds differ in what they learn; None: one run tells it, whatever is
    asked for."""
    takes_gpu: str = ""
    """Why these make no sense without a GPU, as the end of a sentence; empty where they do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One number that a verdict stands on."""

    what: str
    interval: Interval
    unit: str = ""
    signed: bool = False
    """A difference, shown with its sign."""

    def __str__(self) -> str:
        found = self.interval
        text = f"{self.what} {self._number(found.mean)}"
        if found.known:
            text += f" [{self._number(found.low)}, {self._number(found.high)}]"
        return f"{text} {self.unit}".rstrip()

    def _number(self, value: float) -> str:
        # A point of accuracy is shown to a tenth, as tables of accuracy do.
        return f"{value:+.1f}" if self.signed else digits(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A verdict and what it stands on."""

    verdict: Verdict
    effects: tuple[Effect, ...] = ()
    note: str = ""
    """What else a reader must know; for `not tested here`, why."""


Judge = Callable[[Sequence[Record]], Finding]
"""Of every record that the claim's runs left, failed ones among them. Pure. Raises NotTestedError
where what it needs is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One sentence of a paper that can turn out to be wrong here."""

    name: str
    """A word for `--only`."""
    statement: str
    source: str
    """Where the paper says it."""
    rule: str
    """How numbers become a verdict, in words; `judge` is the same as a function."""
    judge: Judge
    runs: Mapping[str, tuple[Runs, ...]]
    """By preset: quick, small, paper. A preset that is absent, or empty, does not test it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """The claims of one paper. A module of this folder that defines `PAPER` is found by itself."""

    name: str
    title: str
    paper: str
    """Its identifier, such as `arXiv:2603.04127`."""
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A claim, what was found of it under a preset, and the records that it was judged from."""

    claim: Claim
    preset: str
    finding: Finding
    records: tuple[Record, ...] = field(repr=False, default=())


def judged(claim: Claim, preset: str, records: Sequence[Record]) -> Judgement:
    """The claim's verdict from the records of its runs; what is missing is a verdict too."""
    if not claim.runs.get(preset):
        here = ", ".join(name for name, runs in claim.runs.items() if runs)
        finding = untested(f"preset {preset} has no trials for it; there are some in {here}.")
    else:
        try:
            finding = claim.judge(records)
        except NotTestedError as missing:
            finding = untested(str(missing))
    return Judgement(claim=claim, preset=preset, finding=finding, records=tuple(records))


def untested(why: str) -> Finding:
    """Nothing is said about the claim."""
    return Finding(verdict="not tested here", note=why)
