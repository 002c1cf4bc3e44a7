"""Where trials run: on this machine or on a Ray cluster, and how many at once."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cyclopts import Parameter

from bench.cli.selection import Selection, chosen_devices
from bench.errors import UsageError
from bench.executors.local import Job
from bench.executors.pool import Pool
from bench.executors.protocol import Executor
from bench.executors.ray import RayExecutor
from bench.provenance import command_line

MOST: Final = {"--time-limit": 1e9, "--memory-limit": 1e6, "--threads": 4096, "--grace": 1e6}
"""Seconds, GiB, threads and seconds: more is a slip of the hand."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How trials are spread."""

    executor: Literal["local", "ray"] = "local"
    """local: processes on this machine, a worker for each device. ray: a Ray cluster."""
    jobs: int | None = None
    """Trials that may run beside each other: on one device, or with Ray in all. A timed trial is
    alone on its device all the same. Default: 1, or with Ray as many as fit."""
    address: str | None = None
    """Of a Ray cluster to join, such as auto or HOST:6379; default: a Ray of this run's own."""
    cpus: int = 1
    """Processors of a trial under Ray. A timed trial on processors gets a whole node."""


def make_executor(execution: Execution, job: Job, selection: Selection) -> Executor:
    """The executor that was asked for, which has not begun anything. Raises UsageError."""
    if min(1 if execution.jobs is None else execution.jobs, execution.cpus) < 1:
        raise UsageError("--jobs and --cpus take numbers from 1.")
    if execution.executor == "ray":
        return RayExecutor(
            job,
            selection.device,
            address=execution.address,
            jobs=execution.jobs,
            cpus=execution.cpus,
        )
    if execution.address is not None or execution.cpus != 1:
        raise UsageError("--address and --cpus are for --executor ray.")
    devices = chosen_devices(selection.device, selection.devices_per_trial)
    return Pool(job, devices, shares=execution.jobs or 1)


def make_job(
    cache: Path,
    *,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    threads: int | None = None,
) -> Job:
    """What every trial of this process is told. Raises UsageError for a limit that means nothing.

    memory_limit: in GiB.
    """
    require_sensible("--time-limit", time_limit)
    require_sensible("--memory-limit", memory_limit)
    require_sensible("--threads", threads)
    return Job(
        command=command_line(),
        cache=cache,
        time_limit=time_limit,
        memory_limit=None if memory_limit is None else math.ceil(memory_limit * 2**30),
        threads=threads,
    )


def require_sensible(option: str, value: float | None, *, zero: bool = False) -> None:
    """Raises UsageError unless a number lies above 0, or is 0 where `zero` is, and has a bound."""
    if value is None or (zero and value == 0) or 0 < value <= MOST[option]:
        return
    least = "from 0" if zero else "above 0"
    raise UsageError(f"{option} takes a number {least}, at most {MOST[option]:g}; not {value:g}.")
