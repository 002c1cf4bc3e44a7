"""How long trials would take, from the records of others like them. Pure."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Final, Literal, NamedTuple

from results.record import Head, Identity

Rule = Literal["itself", "seed", "task"]
"""By an earlier run of the trial itself; by the same method on the same task with other seeds; by
the other methods on the task. Everything else is the same: preset, settings, kind of device."""
LASTING: Final = ("completed", "diverged", "timed-out", "failed-gate")
"""Outcomes that would be met again, after about the same time."""


class Expected(NamedTuple):
    """Seconds of one trial, and how they are known."""

    seconds: float
    rule: Rule


@dataclass(slots=True, kw_only=True)
class Total:
    """What is expected of the trials of one kind of device."""

    device: str
    seconds: float = 0.0
    """Without the trials of which nothing is known."""
    known: Counter[Rule] = field(default_factory=Counter)
    """Trials, by the rule that knows their seconds."""
    unknown: int = 0


class Estimates:
    """The seconds of trials on record: the median, where a rule finds several."""

    def __init__(self, heads: Mapping[str, Head]) -> None:
        lasting = {d: head for d, head in heads.items() if head.status in LASTING}
        self._itself = {digest: head.seconds for digest, head in lasting.items()}
        seeds: defaultdict[Hashable, list[float]] = defaultdict(list)
        tasks: defaultdict[Hashable, list[float]] = defaultdict(list)
        whole = set()
        for head in lasting.values():
            key = _without_seed(head.identity)
            seeds[key].append(head.seconds)
            if head.status == "completed":
                whole.add(key)
        self._seed = {key: median(seconds) for key, seconds in seeds.items()}
        # A method counts once, however many seeds of it are on record.
        for key in whole:
            tasks[key[1]].append(self._seed[key])
        self._task = {key: median(seconds) for key, seconds in tasks.items()}

    def of(self, digest: str, identity: Identity) -> Expected | None:
        """What is known of a trial, by the first rule that knows something."""
        key = _without_seed(identity)
        found: tuple[tuple[float | None, Rule], ...] = (
            (self._itself.get(digest), "itself"),
            (self._seed.get(key), "seed"),
            (self._task.get(key[1]), "task"),
        )
        return next((Expected(s, rule) for s, rule in found if s is not None), None)


def totals(trials: Iterable[tuple[Identity, Expected | None]]) -> list[Total]:
    """One for each kind of device, in the order of their first trials."""
    found: dict[str, Total] = {}
    for identity, expected in trials:
        total = found.setdefault(identity.device, Total(device=identity.device))
        if expected is None:
            total.unknown += 1
        else:
            total.seconds += expected.seconds
            total.known[expected.rule] += 1
    return list(found.values())


def _without_seed(identity: Identity) -> tuple[Hashable, Hashable]:
    """The method with its options, and all the rest."""
    method = (identity.method, frozenset(identity.method_options.items()))
    rest = (
        identity.task,
        identity.task_version,
        identity.preset,
        identity.source,
        frozenset(identity.settings.items()),
        identity.dtype,
        identity.device,
        identity.compile,
    )
    return method, rest
