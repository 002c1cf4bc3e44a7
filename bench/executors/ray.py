"""Runs trials on a Ray cluster, each through a local executor on the node where Ray puts it.

Ray chooses the node; a trial's process, its limits and what becomes of it are those of a trial on
one machine. The driver alone holds what comes back. A trial whose worker is lost begins again.
"""

import contextlib
import functools
import logging
import os
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from bench.compatibility import Problem
from bench.errors import UsageError
from bench.executors.cluster import demand, require_answer, require_room
from bench.executors.devices import Device, find_devices, visible_gpus
from bench.executors.local import Job, LocalExecutor
from bench.executors.protocol import GRACE, Elsewhere, Watcher, nowhere
from bench.machine import num_cores
from bench.plan import Trial
from bench.runners.train import Progress
from results.record import Record, Status

ATTEMPTS = 3
"""How often a trial is begun whose worker is lost each time."""
OBJECT_STORE_BYTES = 100 * 2**20
"""Of a local Ray: records are small."""
LOOK = 0.5
"""Seconds between two looks at whether the run was stopped."""
STARTING = Progress("starting")
ASKS = (
    " If there is one, it may ask for a token, as what `ray start` begins does where"
    " ~/.ray/auth_token is: set RAY_AUTH_MODE=token."
)
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Nothing is sent home; and a task without a GPU may list those that are there."""


class RayExecutor:
    """On a cluster at `address`, or on a Ray of its own on this machine where there is none.

    jobs: how many trials run at once; None: as many as fit. cpus: of a trial; a timed trial on
    processors asks for a whole node instead, so that it is alone there.
    """

    def __init__(
        self, job: Job, device: str, *, address: str | None, jobs: int | None, cpus: int
    ) -> None:
        self._job, self._device, self._address = job, device, address
        self._jobs, self._cpus = jobs, cpus
        self._nodes: dict[str, list[str]] = {}
        """Which nodes have GPUs of a kind; of a cluster that this machine is not all of."""
        self._stop_by: float | None = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "RayExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def stop(self, grace: float = 0.0) -> None:
        """Start no trial any more, and end those that run within `grace` seconds."""
        self._stop_by = time.monotonic() + grace

    @functools.cached_property
    def devices(self) -> Sequence[Device]:
        """The processor, or one GPU of each kind that was asked for: Ray chooses among them."""
        if self._device.startswith("cuda:"):
            raise UsageError(f"Ray chooses the GPU: give --device cuda, not {self._device}.")
        try:
            return find_devices(self._device, self._kinds_of_gpus)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def _kinds_of_gpus(self) -> tuple[Device, ...]:
        gpus = self._gpus_of_cluster() if self._address else {"": visible_gpus()}
        found: dict[str, Device] = {}
        for node, devices in gpus.items():
            kinds = {device.kind: device for device in devices}
            if len(kinds) > 1:
                raise UsageError(
                    f"One node has GPUs of several kinds, {', '.join(kinds)}, and Ray does not tell"
                    " them apart. Run there with --executor local."
                )
            for kind, device in kinds.items():
                found.setdefault(kind, replace(device, name="cuda:0"))
                if node:
                    self._nodes.setdefault(kind, []).append(node)
        return tuple(found.values())

    def _gpus_of_cluster(self) -> Mapping[str, tuple[Device, ...]]:
        ray = self._ray
        listing = ray.remote(num_cpus=0)(visible_gpus)
        nodes = [n["NodeID"] for n in ray.nodes() if n["Alive"] and n["Resources"].get("GPU")]
        asked = {n: listing.options(label_selector={"ray.io/node-id": n}).remote() for n in nodes}
        return {node: ray.get(answer) for node, answer in asked.items()}

    @functools.cached_property
    def _ray(self) -> Any:
        """Ray, connected."""
        try:
            import ray
        except ImportError as error:
            raise UsageError(
                "--executor ray needs the package ray: pip install 'attention-bench[ray]'."
            ) from error
        os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
        # Ray sets a handler of its own, under which a scheduler's SIGTERM would end the driver.
        handler = signal.getsignal(signal.SIGTERM)
        options: dict[str, Any] = {"address": self._address}
        require_answer(self._address)
        if self._address is None:
            folder = tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
            options = {
                "address": "local",
                "num_cpus": max(num_cores(), (self._jobs or 1) * self._cpus),
                "object_store_memory": OBJECT_STORE_BYTES,
                "include_dashboard": False,
                "_temp_dir": self._open.enter_context(folder),
            }
        try:
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError as error:
            hint = "" if os.environ.get("RAY_AUTH_MODE") == "token" else ASKS
            raise UsageError(
                f"There is no Ray cluster at {self._address}: {error}.{hint}"
            ) from error
        finally:
            signal.signal(signal.SIGTERM, handler)
        self._open.callback(ray.shutdown)
        return ray

    def records(
        self, trials: Sequence[Trial], watcher: Watcher, elsewhere: Elsewhere = nowhere
    ) -> Iterator[Record]:
        """A record for each trial, as they end; fewer after `stop`."""
        unable = ((t, t.problem) for t in trials if t.problem is not None)
        yield from (elsewhere(trial) or self._record(trial, problem) for trial, problem in unable)
        # Else a stream of small trials would keep one waiting that asks for a whole node.
        able = sorted((t for t in trials if t.problem is None), key=lambda t: not t.shares_device)
        if able:
            there = self._resources
            require_room((self._demand(trial, there) for trial in able), there)
        waiting = deque(_Attempt(trial) for trial in able)
        running: dict[Any, _Attempt] = {}
        while waiting or running:
            if self._stop_by is not None:
                waiting.clear()
                self._cancel(running)
                if time.monotonic() >= self._stop_by:
                    return
            while waiting and len(running) < self._window:
                attempt = waiting.popleft()
                if (theirs := elsewhere(attempt.trial)) is not None:
                    yield theirs
                else:
                    running[self._submit(attempt.trial)] = attempt
            for stream in self._ray.wait(list(running), timeout=LOOK)[0] if running else ():
                record = self._heard(running[stream], stream, watcher)
                if record is None:
                    continue
                attempt = running.pop(stream)
                if isinstance(record, Record):
                    yield record
                elif self._stop_by is None:
                    waiting.appendleft(attempt)

    @functools.cached_property
    def _window(self) -> int:
        """How many trials Ray is given at a time: some wait, so that no node does."""
        there = self._ray.cluster_resources()
        return self._jobs or 2 * max(1, round(there.get("CPU", 0) + there.get("GPU", 0)))

    @property
    def _resources(self) -> list[Mapping[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _demand(self, trial: Trial, there: Iterable[Mapping[str, float]]) -> dict[str, Any]:
        return demand(
            trial,
            cpus=self._cpus,
            largest=max(int(node.get("CPU", 0)) for node in there),
            nodes=self._nodes.get(trial.identity.device, ()),
        )

    def _submit(self, trial: Trial) -> Any:
        wanted = self._demand(trial, self._resources)
        job = replace(self._job, threads=self._job.threads or wanted["num_cpus"])
        # Ray's own retries would begin the stream again in the middle of what was read of it.
        task = self._ray.remote(num_returns="streaming", max_retries=0)(run_on_node)
        return task.options(**wanted).remote(trial, job, os.getcwd())

    def _heard(self, attempt: "_Attempt", stream: Any, watcher: Watcher) -> "Record | _Lost | None":
        """The record if the trial is over; _Lost if it is to begin again, or was cancelled."""
        errors = self._ray.exceptions
        try:
            message = self._ray.get(next(stream))
        except (errors.TaskCancelledError, StopIteration):
            return _Lost()
        except errors.RayTaskError as error:
            cancelled = isinstance(error.cause, errors.TaskCancelledError)
            return _Lost() if cancelled else self._failed(attempt.trial, error.cause)
        except errors.RayError as error:
            attempt.losses += 1
            if attempt.losses < ATTEMPTS or self._stop_by is not None:
                return _Lost()
            return self._failed(attempt.trial, error)
        if isinstance(message, str):
            return Record.model_validate_json(message)
        if message.phase == STARTING.phase:
            watcher.started(attempt.trial)
        else:
            watcher.step(attempt.trial, message)
        return None

    def _cancel(self, running: Mapping[Any, "_Attempt"]) -> None:
        for stream, attempt in running.items():
            if not attempt.is_cancelled:
                attempt.is_cancelled = True
                self._ray.cancel(stream)

    def _failed(self, trial: Trial, error: BaseException) -> Record:
        """The record of a trial whose worker was lost too often, or could not begin it."""
        words = (str(error).strip().splitlines() or ["no message"])[-1]
        reason = f"Ray could not run it. {type(error).__name__}: {words}"
        is_memory = isinstance(error, self._ray.exceptions.OutOfMemoryError)
        status: Status = "out-of-memory" if is_memory else "crashed"
        return self._record(trial, Problem(status=status, reason=reason))

    def _record(self, trial: Trial, problem: Problem) -> Record:
        """Of a trial that left none; the driver need not have its GPU."""
        with LocalExecutor(self._job) as executor:
            told = replace(trial, device="cpu", problem=problem)
            return executor.run(told, lambda _: None)


@dataclass(slots=True)
class _Attempt:
    trial: Trial
    losses: int = 0
    is_cancelled: bool = False


class _Lost(NamedTuple):
    """In place of a record: the worker is gone."""


def run_on_node(trial: Trial, job: Job, folder: str) -> Iterator[Progress | str]:
    """Run a trial in a worker of Ray: its progress, then its record as JSON."""
    with contextlib.suppress(OSError):
        # Files of methods and tasks are named from there.
        os.chdir(folder)
    # Else each trial's process would run the script of Ray's worker again, and import Ray with it.
    vars(sys.modules["__main__"]).pop("__file__", None)
    hidden = "CUDA_VISIBLE_DEVICES"
    environment = {} if trial.device == "cpu" else {hidden: os.environ.get(hidden, "0")}
    messages: SimpleQueue[Progress | Future[Record]] = SimpleQueue()
    with LocalExecutor(job) as executor, ThreadPoolExecutor(1) as thread:
        ended = thread.submit(executor.run, trial, messages.put, environment=environment)
        ended.add_done_callback(messages.put)
        try:
            yield STARTING
            while not isinstance(message := _next(messages), Future):
                yield message
        finally:
            # Of a task that Ray cancels; one that has ended does not mind.
            executor.stop(GRACE)
        yield ended.result().model_dump_json(by_alias=True)


def _next(messages: "SimpleQueue[Progress | Future[Record]]") -> Progress | Future[Record]:
    """In short waits: Ray cancels a task by an interrupt that wakes nobody."""
    while True:
        with contextlib.suppress(Empty):
            return messages.get(timeout=LOOK)
