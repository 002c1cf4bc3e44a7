"""Which trial may start where: pure, without clock, threads or torch.

A timed trial has a device to itself; others share one, up to its number of shares. Trials of one
kind of device start in the order of the plan, so that none waits for ever: behind a timed trial
that waits for a device to fall idle, nothing starts on devices of its kind. A device is never idle
while a trial of its kind waits.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Wish(NamedTuple):
    """What a trial asks for."""

    kind: str
    alone: bool


class Start(NamedTuple):
    """A trial that begins on a device, both by their places in what was handed in."""

    trial: int
    device: int


@dataclass(slots=True, eq=False)
class _Place:
    kind: str
    shares: int
    running: set[int] = field(default_factory=set)
    taken: bool = False
    """By a trial that is alone here."""

    def has_room(self, *, alone: bool) -> bool:
        if alone:
            return not self.running
        return not self.taken and len(self.running) < self.shares


class Schedule:
    """One run of every trial, over devices that are handed in by kind."""

    def __init__(self, kinds: Sequence[str], wishes: Sequence[Wish], *, shares: int = 1) -> None:
        self._places = [_Place(kind, shares) for kind in kinds]
        self._wishes = wishes
        self._waiting: dict[str, deque[int]] = {kind: deque() for kind in kinds}
        self._place_of: dict[int, _Place] = {}
        for number, wish in enumerate(wishes):
            self._waiting[wish.kind].append(number)

    @property
    def is_over(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._place_of and not any(self._waiting.values())

    def starts(self) -> Iterator[Start]:
        """Everything that may start now; each counts as running once it is given out."""
        for kind, waiting in self._waiting.items():
            while waiting and (place := self._room(kind, self._wishes[waiting[0]])):
                trial = waiting.popleft()
                place.running.add(trial)
                place.taken = self._wishes[trial].alone
                self._place_of[trial] = place
                yield Start(trial, self._places.index(place))

    def ended(self, trial: int) -> None:
        """To be told of each trial once it is over."""
        place = self._place_of.pop(trial)
        place.running.remove(trial)
        place.taken = False

    def _room(self, kind: str, wish: Wish) -> "_Place | None":
        """The emptiest device with room."""
        rooms = [p for p in self._places if p.kind == kind and p.has_room(alone=wish.alone)]
        return min(rooms, key=lambda place: len(place.running), default=None)
