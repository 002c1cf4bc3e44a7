"""Runs trials one after another on this machine, each in a process of its own.

Processes come from a fork server that already holds torch. A trial that hangs, crashes or runs out
of memory costs its own record only; when the driver dies, so does the running trial, and with it
whatever it has started (bench/executors/keeper.py).
"""

import contextlib
import datetime
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import MappingProxyType

import psutil

from bench.executors.keeper import SAVE, keep
from bench.executors.ranks import run_ranks
from bench.memory import keep_freed_memory, limit_memory
from bench.plan import Trial
from bench.provenance import describe_provenance
from bench.runners.train import Progress, Report
from bench.trial import as_record, run_trial
from results.record import Record, Status

REPORT_EVERY = 0.2
"""Seconds between two progress messages of a trial."""
SPIN_COUNT = "1000"
"""How long an OpenMP thread spins at a barrier before it sleeps. The default spins on while another
process has the core: one busy neighbour made a trial of 6 s last over 60 s, against 14 s with this
value, which costs some 20 % on a quiet machine."""
SILENT = "99"
"""Above every level that torch's profiler logs at."""
FAREWELL = 2.0
"""Seconds a trial that has sent its record may take to end by itself."""
PAUSES = (0.0, 0.1, 1.0)
"""Seconds before a trial is started again: a server that was killed closes its socket first, and
can be seen to have ended a moment later."""
PATIENCE = 30.0
"""Seconds after which a trial's keeper is taken to hang itself."""
LOG_TAIL = 400
"""Characters of a crashed trial's last output that go into its record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How trials are run, the same for all of one call."""

    command: str
    cache: Path | None = None
    time_limit: float | None = None
    """Seconds a trial may take."""
    memory_limit: int | None = None
    """Bytes a trial may take above what its process starts with."""
    threads: int | None = None


class Stopped(Exception):  # noqa: N818
    """The running trial was asked to stop, and has left no record."""


class LocalExecutor:
    """Runs one trial at a time. To be used as a context manager: leaving it ends it for good."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._context = multiprocessing.get_context("forkserver")
        # Read when the fork server loads OpenMP; the user's own value goes first.
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
        # Else torch's profiler tells of every start and stop, where a crash leaves its last words.
        os.environ.setdefault("KINETO_LOG_LEVEL", SILENT)
        self._context.set_forkserver_preload(["bench.executors.preload"])
        self._stop_by = math.inf
        self._stopping, self._stop = self._context.Pipe(duplex=False)

    def __enter__(self) -> "LocalExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.close()
        self._stopping.close()

    def run(
        self, trial: Trial, report: Report, *, environment: Mapping[str, str] = MappingProxyType({})
    ) -> Record:
        """The trial's record, whatever becomes of its process.

        environment: set in that process before anything else. Raises Stopped after `stop`.
        """
        if trial.problem is not None:
            return self._record(trial, trial.problem.status, trial.problem.reason, seconds=0.0)
        if self._is_stopped:
            raise Stopped
        started = time.monotonic()
        limit = math.inf if self._job.time_limit is None else self._job.time_limit
        output, child_output = self._context.Pipe(duplex=False)
        with Tail(output) as tail:
            with child_output:
                here, process = self._start(child_output, trial, dict(environment))
            try:
                with here:
                    record = self._listen(here, process, started + limit, report)
                    timed_out = time.monotonic() >= started + limit
                    if record is not None:
                        process.join(timeout=FAREWELL)
            finally:
                code = _end(process)
        if record is not None:
            return record
        if self._is_stopped:
            raise Stopped
        seconds = time.monotonic() - started
        if timed_out:
            reason = f"It took longer than the time limit of {limit:g} s (--time-limit)."
            return self._record(trial, "timed-out", reason, seconds)
        return self._record(trial, "crashed", _cause_of_death(code, tail.text()), seconds)

    def stop(self, grace: float = 0.0) -> None:
        """End the running trial, and begin no other; from any thread, or a signal's handler.

        A trial that keeps checkpoints is asked to save one first, and has `grace` seconds for it.
        """
        self._stop_by = min(self._stop_by, time.monotonic() + grace)
        # There is nothing to stop once the executor is closed.
        with contextlib.suppress(OSError):
            self._stop.send_bytes(b"stop")

    @property
    def _is_stopped(self) -> bool:
        return self._stop_by < math.inf

    def _start(
        self, output: Connection, trial: Trial, environment: dict[str, str]
    ) -> tuple[Connection, ForkServerProcess]:
        """Again if the fork server dies meanwhile: it is begun anew, once its end can be seen."""
        for pause in (*PAUSES, None):
            here, there = self._context.Pipe()
            process = self._context.Process(
                target=_child, args=(there, output, trial, self._job, environment), daemon=False
            )
            # Without this end, what may have been started ends by itself.
            with contextlib.ExitStack() as unless_started, there:
                unless_started.callback(here.close)
                try:
                    process.start()
                except (EOFError, OSError):
                    if pause is None:
                        raise
                    time.sleep(pause)
                    continue
                unless_started.pop_all()
            return here, process
        raise AssertionError("the last attempt returns or raises")

    def _listen(
        self, pipe: Connection, process: ForkServerProcess, deadline: float, report: Report
    ) -> Record | None:
        sources: list[Connection | int] = [pipe, self._stopping, process.sentinel]
        while True:
            until = min(deadline, self._stop_by)
            left = None if until == math.inf else max(0.0, until - time.monotonic())
            ready = wait(sources, left)
            if not ready:
                return None
            if pipe in ready:
                message = _received(pipe)
                if not isinstance(message, Progress):
                    return message
                report(message)
            elif self._stopping in ready:
                self._stopping.recv_bytes()
                with contextlib.suppress(OSError):
                    pipe.send_bytes(SAVE)
            elif psutil.pid_exists(process.pid):
                # It was the fork server that died: the trial goes on.
                sources.remove(process.sentinel)
            else:
                return None

    def _record(self, trial: Trial, status: Status, reason: str, seconds: float) -> Record:
        provenance = describe_provenance(
            method_file=trial.method_file,
            task_file=trial.task_file,
            command=self._job.command,
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            seconds=seconds,
        )
        return as_record(trial, status, reason, provenance)


def _received(pipe: Connection) -> Progress | Record | None:
    """A message; the record, which is the last; None where no more will come."""
    try:
        message = pipe.recv()
    except (EOFError, OSError):
        return None
    return message if isinstance(message, Progress) else Record.model_validate_json(message)


def _end(process: ForkServerProcess) -> int | None:
    """The exit code of a trial whose pipe is closed: its keeper ends it, and what it started."""
    if process.pid is None:
        return None
    process.join(timeout=PATIENCE)
    if process.exitcode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.join()
    return process.exitcode


class Tail:
    """The end of what a trial prints, read as it comes: a talkative trial fills neither disk nor
    memory, and a killed run leaves no file behind."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._kept = b""
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> "Tail":
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        # All writers are dead by now, so the reader has met the end.
        self._reader.join(timeout=5)
        self._pipe.close()

    def text(self) -> str:
        return self._kept.decode(errors="replace").strip()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while some := os.read(self._pipe.fileno(), 65536):
                self._kept = (self._kept + some)[-LOG_TAIL:]


def _child(
    pipe: Connection, output: Connection, trial: Trial, job: Job, environment: dict[str, str]
) -> None:
    os.environ.update(environment)
    if trial.device != "cpu" and environment.get("CUDA_VISIBLE_DEVICES"):
        # The one GPU that is left is the first.
        trial = replace(trial, device="cuda:0")
    keep(pipe)
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    keep_freed_memory()
    if job.memory_limit is not None:
        limit_memory(job.memory_limit)
    if job.threads is not None:
        import torch

        torch.set_num_threads(job.threads)
    report = _throttled(lambda progress: pipe.send(progress))
    run = run_trial if trial.devices == 1 else run_ranks
    record = run(trial, command=job.command, cache=job.cache, report=report)
    pipe.send(record.model_dump_json(by_alias=True))


def _throttled(send: Callable[[Progress], None]) -> Report:
    last = float("-inf")
    phase = ""

    def report(progress: Progress) -> None:
        nonlocal last, phase
        now = time.monotonic()
        if progress.phase != phase or now - last >= REPORT_EVERY:
            last, phase = now, progress.phase
            send(progress)

    return report


def _cause_of_death(code: int | None, tail: str) -> str:
    last = f" Its last output: {tail.splitlines()[-1]}" if tail else ""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = " Most often that is the kernel, for want of memory." if -code == 9 else ""
        return f"The trial's process was killed by {name}.{hint}{last}"
    return f"The trial's process ended with exit code {code} and left no record.{last}"
