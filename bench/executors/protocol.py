"""What every executor does, and what it tells whoever watches."""

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Protocol

from bench.executors.devices import Device
from bench.plan import Trial
from bench.runners.train import Progress
from results.record import Record

GRACE = 20.0
"""Seconds that trials have for their checkpoints when a scheduler ends the run: it waits for 30."""

Elsewhere = Callable[[Trial], Record | None]
"""The record that another run on the same store has made of a trial meanwhile. From any thread."""


def nowhere(_: Trial) -> None:
    """There is no other run."""


class Watcher(Protocol):
    """Is told how trials go on, several of which may run at once."""

    def started(self, trial: Trial) -> None:
        """A trial begins, or begins again elsewhere."""

    def step(self, trial: Trial, progress: Progress) -> None:
        """A running trial has come further."""


class Executor(Protocol):
    """Runs trials. A context manager: whoever leaves it leaves nothing running."""

    def __enter__(self) -> "Executor": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    @property
    def devices(self) -> Sequence[Device]:
        """Where trials can run: plans are made for these."""

    def records(
        self, trials: Sequence[Trial], watcher: Watcher, elsewhere: Elsewhere = nowhere
    ) -> Iterator[Record]:
        """A record for each trial, as they end; fewer after `stop`.

        elsewhere: asked just before a trial begins; what it finds stands in place of a run.
        """

    def stop(self, grace: float = 0.0) -> None:
        """Start no trial any more, and end those that run within `grace` seconds.

        From any thread, or a signal's handler. A trial that keeps checkpoints saves one.
        """
