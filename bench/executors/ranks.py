"""Runs one trial in several processes at once, one for each of its devices."""

import contextlib
import datetime
import math
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from bench.memory import keep_freed_memory
from bench.plan import Trial
from bench.provenance import describe_provenance
from bench.runners.distributed import LOOPBACK, Ranks
from bench.runners.train import Progress, Report
from bench.trial import as_record, run_trial
from results.record import Record

LAST_WORDS = 3.0
"""Seconds that the others have to say why they end too, once one has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What each process is told, beside its rank."""

    trial: Trial
    command: str
    cache: Path | None
    threads: int
    """Of the processor, for each process."""


def run_ranks(trial: Trial, *, command: str, cache: Path | None, report: Report) -> Record:
    """The trial's record: the first process's, or that of one that failed.

    Where one fails, hangs or dies, all are ended.
    """
    import torch

    started, clock = datetime.datetime.now(datetime.UTC), time.monotonic()
    threads = max(1, torch.get_num_threads() // trial.devices)
    work = Work(trial=trial, command=command, cache=cache, threads=threads)
    with meeting_point() as port, together(trial.devices, _rank, port, work) as team:
        with _saving(team):
            _listen(team, report)
        died = _first_death(team)
        if died is None:
            return _verdict(team)
    provenance = describe_provenance(
        method_file=trial.method_file,
        task_file=trial.task_file,
        command=command,
        started=started.isoformat(timespec="seconds"),
        seconds=time.monotonic() - clock,
    )
    return as_record(trial, "crashed", died, provenance)


@dataclass(slots=True)
class Member:
    """A process, and what it has said."""

    process: SpawnProcess
    pipe: Connection
    record: Record | None = None


@contextlib.contextmanager
def meeting_point() -> Iterator[int]:
    """A port on this machine alone, where the processes find each other."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    listener = socket.create_server((LOOPBACK, 0))
    port: int = listener.getsockname()[1]
    store = TCPStore(
        LOOPBACK,
        port,
        is_master=True,
        wait_for_workers=False,
        master_listen_fd=listener.detach(),
    )
    try:
        yield port
    finally:
        del store


@contextlib.contextmanager
def together(size: int, target: Callable[..., None], *told: Any) -> Iterator[list[Member]]:
    """Processes that end with this block, whatever they are at.

    Spawned, since a process that has used a GPU cannot be forked, and since whoever ends this one
    and its descendants then ends them too.
    """
    context = multiprocessing.get_context("spawn")
    team: list[Member] = []
    try:
        for rank in range(size):
            here, there = context.Pipe()
            process = context.Process(target=target, args=(there, rank, *told), daemon=True)
            process.start()
            there.close()
            team.append(Member(process, here))
        yield team
    finally:
        for one in team:
            one.process.kill()
        for one in team:
            one.process.join()
            one.pipe.close()


def _rank(pipe: Connection, rank: int, port: int, work: Work) -> None:
    # As the fork server holds it: what it replaces in torch is then no method's doing.
    import torch._dynamo

    trial = work.trial
    if trial.device == "cpu":
        keep_freed_memory()
        torch.set_num_threads(work.threads)
    else:
        first = int(trial.device.removeprefix("cuda:"))
        trial = replace(trial, device=f"cuda:{first + rank}")
    record = run_trial(
        trial,
        command=work.command,
        cache=work.cache,
        report=pipe.send if rank == 0 else lambda _: None,
        ranks=Ranks(rank, trial.devices, port),
    )
    pipe.send(record.model_dump_json(by_alias=True))
    # Without more ado: what would be tidied up waits for processes that may have died.
    pipe.close()
    os._exit(0)


def _listen(team: list[Member], report: Report) -> None:
    """Until all have ended, or one has failed and the others have had their last words."""
    speaking = {one.pipe: one for one in team}
    until = math.inf
    while speaking and (left := until - time.monotonic()) > 0:
        for pipe in wait(list(speaking), None if left == math.inf else left):
            assert isinstance(pipe, Connection)
            one = speaking[pipe]
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                del speaking[pipe]
                one.process.join(LAST_WORDS)
                one.process.kill()
                one.process.join()
            else:
                if isinstance(message, Progress):
                    report(message)
                    continue
                one.record = Record.model_validate_json(message)
            if one.record is None or one.record.status != "completed":
                until = min(until, time.monotonic() + LAST_WORDS)


def _first_death(team: list[Member]) -> str | None:
    """Who was killed, which is why others could not go on."""
    for rank, one in enumerate(team):
        code = one.process.exitcode
        if one.record is None and code is not None and code < 0:
            hint = " Most often that is the kernel, for want of memory." if code == -9 else ""
            name = signal.Signals(-code).name
            return f"Process {rank + 1} of the trial's {len(team)} was killed by {name}.{hint}"
    return None


def _verdict(team: list[Member]) -> Record:
    codes = [one.process.exitcode for one in team if one.record is None]
    if failed := [code for code in codes if code]:
        # Its last output says more: whoever reads that writes the record.
        raise SystemExit(failed[0])
    return first_cause([one.record for one in team if one.record is not None])


def first_cause(records: Sequence[Record]) -> Record:
    """The record that says what went wrong: that another is gone is only seen as a crash."""
    order = {"crashed": 1, "completed": 2}
    return min(records, key=lambda record: order.get(record.status, 0))


@contextlib.contextmanager
def _saving(team: list[Member]) -> Iterator[None]:
    """Within, who asks this process to save and end asks the first, which writes checkpoints."""
    asked: list[bool] = []

    def ask(*_: object) -> None:
        asked.append(True)
        team[0].process.terminate()

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
    if asked and team[0].record is None:
        raise SystemExit(0)
