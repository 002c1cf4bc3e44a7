"""Runs trials one after another on this machine, each in a process of its own.

Processes come from a fork server that already holds torch. A trial that hangs, crashes or runs out
of memory costs its own record only; when the driver dies, so does the running trial.
"""

import contextlib
import datetime
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

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


class LocalExecutor:
    """To be used as a context manager: leaving it ends the running trial."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._context = multiprocessing.get_context("forkserver")
        # Read when the fork server loads OpenMP; the user's own value goes first.
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
        # Else torch's profiler tells of every start and stop, where a crash leaves its last words.
        os.environ.setdefault("KINETO_LOG_LEVEL", SILENT)
        self._context.set_forkserver_preload(["bench.executors.preload"])
        self._running: ForkServerProcess | None = None

    def __enter__(self) -> "LocalExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        self._end_running()

    def run(self, trial: Trial, report: Report) -> Record:
        """The trial's record, whatever becomes of its process."""
        if trial.problem is not None:
            return self._record(trial, trial.problem.status, trial.problem.reason, seconds=0.0)
        started = time.monotonic()
        here, there = self._context.Pipe()
        output, child_output = self._context.Pipe(duplex=False)
        with here, Tail(output) as tail:
            self._running = self._context.Process(
                target=_child, args=(there, child_output, trial, self._job), daemon=False
            )
            self._running.start()
            there.close()
            child_output.close()
            record = self._listen(here, started, report)
            died_of = self._end_running()
        if record is not None:
            return record
        seconds = time.monotonic() - started
        limit = self._job.time_limit
        if limit is not None and seconds >= limit:
            reason = f"It took longer than the time limit of {limit:g} s (--time-limit)."
            return self._record(trial, "timed-out", reason, seconds)
        return self._record(trial, "crashed", _cause_of_death(died_of, tail.text()), seconds)

    def _listen(self, pipe: Connection, started: float, report: Report) -> Record | None:
        limit = self._job.time_limit
        while True:
            left = None if limit is None else max(0.0, started + limit - time.monotonic())
            try:
                if not pipe.poll(left):
                    return None
                message = pipe.recv()
            except (EOFError, OSError):
                return None
            if isinstance(message, Progress):
                report(message)
            else:
                return Record.model_validate_json(message)

    def _end_running(self) -> int | None:
        process, self._running = self._running, None
        # Interrupted while it was being started it has no pid here; its broken pipe ends it.
        if process is None or process.pid is None:
            return None
        process.join(timeout=0.5)
        code = process.exitcode
        if code is None:
            _kill_group(process.pid)
        process.join()
        return code

    def _record(self, trial: Trial, status: Status, reason: str, seconds: float) -> Record:
        provenance = describe_provenance(
            method_file=trial.method_file,
            task_file=trial.task_file,
            command=self._job.command,
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            seconds=seconds,
        )
        return as_record(trial, status, reason, provenance)


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


def _child(pipe: Connection, output: Connection, trial: Trial, job: Job) -> None:
    # A group of its own: Ctrl-C reaches the driver alone, and what the trial forks dies with it.
    os.setsid()
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    threading.Thread(target=_die_with_driver, args=(pipe,), daemon=True).start()
    keep_freed_memory()
    if job.memory_limit is not None:
        limit_memory(job.memory_limit)
    if job.threads is not None:
        import torch

        torch.set_num_threads(job.threads)
    report = _throttled(lambda progress: pipe.send(progress))
    record = run_trial(trial, command=job.command, cache=job.cache, report=report)
    pipe.send(record.model_dump_json(by_alias=True))


def _die_with_driver(pipe: Connection) -> None:
    # Nothing is ever sent this way: the pipe becomes readable when the driver is gone.
    with contextlib.suppress(OSError):
        pipe.poll(None)
    os.killpg(0, signal.SIGKILL)


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


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _cause_of_death(code: int | None, tail: str) -> str:
    last = f" Its last output: {tail.splitlines()[-1]}" if tail else ""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = " Most often that is the kernel, for want of memory." if -code == 9 else ""
        return f"The trial's process was killed by {name}.{hint}{last}"
    return f"The trial's process ended with exit code {code} and left no record.{last}"
