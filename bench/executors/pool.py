"""Runs trials on the devices of this machine, a thread and a process for each that is running."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue

from bench.executors.devices import Device
from bench.executors.local import Job, LocalExecutor, Stopped
from bench.executors.protocol import Elsewhere, Watcher, nowhere
from bench.executors.schedule import Schedule, Start, Wish
from bench.machine import num_cores
from bench.plan import Trial
from bench.runners.train import Progress
from results.record import Record


class Pool:
    """A timed trial has a device to itself; up to `shares` others run beside each other on one."""

    def __init__(self, job: Job, devices: Sequence[Device], *, shares: int = 1) -> None:
        self.devices = devices
        self._job, self._shares = job, shares
        self._threads = ThreadPoolExecutor(len(devices) * shares)
        self._messages: SimpleQueue[tuple[int, Progress | Future[Record]]] = SimpleQueue()
        self._running: dict[int, LocalExecutor] = {}
        self._elsewhere: Elsewhere = nowhere
        self._stopping: float | None = None
        """The grace that was asked for."""

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._threads.shutdown()

    def stop(self, grace: float = 0.0) -> None:
        """Start no trial any more, and end those that run within `grace` seconds."""
        self._stopping = grace
        for executor in list(self._running.values()):
            executor.stop(grace)

    def records(
        self, trials: Sequence[Trial], watcher: Watcher, elsewhere: Elsewhere = nowhere
    ) -> Iterator[Record]:
        """A record for each trial, as they end; fewer after `stop`."""
        self._elsewhere = elsewhere
        wishes = [Wish(t.identity.device, alone=not t.shares_device) for t in trials]
        schedule = Schedule([d.kind for d in self.devices], wishes, shares=self._shares)
        while not schedule.is_over:
            if self._stopping is None:
                for start in schedule.starts():
                    watcher.started(trials[start.trial])
                    self._start(start, trials[start.trial])
            elif not self._running:
                return
            number, message = self._messages.get()
            if isinstance(message, Progress):
                watcher.step(trials[number], message)
                continue
            del self._running[number]
            schedule.ended(number)
            try:
                record = message.result()
            except Stopped:
                continue
            yield record

    def _start(self, start: Start, trial: Trial) -> None:
        executor = self._running[start.trial] = LocalExecutor(self._job_of(trial))
        if self._stopping is not None:
            # A signal has come since the schedule was asked.
            executor.stop(self._stopping)
        ended = self._threads.submit(self._run, executor, start, trial)
        ended.add_done_callback(lambda ended: self._messages.put((start.trial, ended)))

    def _run(self, executor: LocalExecutor, start: Start, trial: Trial) -> Record:
        def report(progress: Progress) -> None:
            self._messages.put((start.trial, progress))

        if (theirs := self._elsewhere(trial)) is not None:
            return theirs
        with executor:
            return executor.run(trial, report, environment=self.devices[start.device].environment)

    def _job_of(self, trial: Trial) -> Job:
        """Trials that share the processor share its threads too, unless told otherwise."""
        if self._job.threads is not None or self._shares == 1 or not trial.shares_device:
            return self._job
        return replace(self._job, threads=max(1, num_cores() // self._shares))
