"""Where trials run: on this machine or on a Ray cluster, and how many at once."""

from dataclasses import dataclass
from typing import Literal

from cyclopts import Parameter

from bench.cli.selection import Selection, chosen_devices
from bench.errors import UsageError
from bench.executors.local import Job
from bench.executors.pool import Pool
from bench.executors.protocol import Executor
from bench.executors.ray import RayExecutor


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
