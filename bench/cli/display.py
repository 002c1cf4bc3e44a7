"""Shows a run at work: bars in a terminal, plain lines elsewhere. Everything goes to stderr."""

import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from bench.executors.protocol import Watcher
from bench.plan import Trial
from bench.runners.train import Progress as Step
from results.record import Record

LINE_EVERY = 30.0
"""Seconds between two lines about one long trial, where there is no terminal."""


class Display(Watcher, Protocol):
    """What the run tells as it goes on, of one trial or several at once."""

    def __enter__(self) -> "Display": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def finished(self, record: Record) -> None:
        """Its record is written."""


def make_display(num_trials: int) -> Display:
    """Bars where stderr is a terminal, lines where it is not."""
    console = Console(stderr=True)
    return Bars(console, num_trials) if console.is_terminal else Lines(console, num_trials)


class Bars:
    """One bar for the whole run and one for each running trial, with loss, rate and time left."""

    def __init__(self, console: Console, num_trials: int) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=console,
            # The default looks back half a minute only, in which a long trial ends rarely.
            speed_estimate_period=86_400.0,
        )
        self._whole = self._bars.add_task("trials", total=num_trials, note="")
        self._running: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}
        """When training began."""

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def started(self, trial: Trial) -> None:
        self._forget(_key(trial))
        bar = self._bars.add_task(escape(_name(trial)), total=None, note="starting")
        self._running[_key(trial)] = bar

    def step(self, trial: Trial, progress: Step) -> None:
        key = _key(trial)
        if progress.phase != "train":
            self._began[key] = time.monotonic()
            self._bars.update(
                self._running[key],
                note=escape(progress.phase),
                completed=progress.step,
                total=progress.steps or None,
            )
            return
        rate = _rate(progress, self._began.setdefault(key, time.monotonic()))
        note = f"{progress.phase}, loss {progress.loss:.3f}, {rate}"
        self._bars.update(
            self._running[key], completed=progress.step, total=progress.steps, note=note
        )

    def finished(self, record: Record) -> None:
        self._forget(_key(record))
        self._bars.console.print(_line(record))
        self._bars.advance(self._whole)

    def _forget(self, key: str) -> None:
        self._began.pop(key, None)
        if (bar := self._running.pop(key, None)) is not None:
            self._bars.remove_task(bar)


class Lines:
    """A line for every finished trial, and one every half minute for each long one."""

    def __init__(self, console: Console, num_trials: int) -> None:
        self._console = console
        self._num_trials = num_trials
        self._done = 0
        self._whole = time.monotonic()
        self._began: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def __enter__(self) -> "Lines":
        self._whole = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        return

    def started(self, trial: Trial) -> None:
        self._began[_key(trial)] = self._last[_key(trial)] = time.monotonic()

    def step(self, trial: Trial, progress: Step) -> None:
        key, now = _key(trial), time.monotonic()
        if not progress.steps or now - self._last[key] < LINE_EVERY:
            return
        self._last[key] = now
        if progress.phase != "train":
            where = f"{progress.phase}, {progress.step + 1} of {progress.steps}"
            self._print(f"{escape(_name(trial))}: {escape(where)}")
            return
        began = self._began[key]
        left = (now - began) / progress.step * (progress.steps - progress.step)
        self._print(
            f"{escape(_name(trial))}: step {progress.step} of {progress.steps},"
            f" loss {progress.loss:.3f}, {_rate(progress, began)}, {left:.0f} s left"
        )

    def finished(self, record: Record) -> None:
        self._done += 1
        self._began.pop(_key(record), None)
        self._last.pop(_key(record), None)
        spent = time.monotonic() - self._whole
        left = spent / self._done * (self._num_trials - self._done)
        self._print(f"{_line(record)} ({left:.0f} s left)")

    def _print(self, text: str) -> None:
        self._console.print(f"\\[{self._done}/{self._num_trials}] {text}", soft_wrap=True)


def _key(one: Trial | Record) -> str:
    return one.identity.digest()


def _name(trial: Trial) -> str:
    identity = trial.identity
    return f"{identity.task} {identity.method} seed {identity.seed}"


def _rate(progress: Step, began: float) -> str:
    return f"{progress.step / max(1e-9, time.monotonic() - began):.1f} steps/s"


def _line(record: Record) -> str:
    identity = record.identity
    name = escape(f"{identity.task} {identity.method} seed {identity.seed}")
    if record.status != "completed":
        return f"{name}: [yellow]{record.status}[/]. {escape(record.reason)}"
    if record.curve is not None:
        cells = record.curve.cells
        done = sum(cell.status == "completed" for cell in cells)
        return f"{name}: {done} of {len(cells)} cells in {record.provenance.seconds:.1f} s"
    if record.probe is not None:
        verdict = record.probe.card.get("verdict", f"{len(record.probe.points)} points")
        return f"{name}: {escape(verdict)} in {record.provenance.seconds:.1f} s"
    metric = record.metrics[0]
    return f"{name}: {metric.name} {metric.value:.3f} in {record.provenance.seconds:.1f} s"
