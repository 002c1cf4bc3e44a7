"""Checks that what a stopwatch timed was the work: timed results are looked at afterwards.

Between two timed calls one time step of the inputs is drawn anew, so that no input comes twice. A
few numbers of the first result and of one timed result, chosen at random, are kept, and compared
with what another instance computes from the same inputs when no clock runs.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

from bench.errors import FailedGateError
from bench.originals import originals
from bench.runners.workloads import Place, Workload
from methods.core.laws import LawBrokenError, require_close
from methods.core.multihead import tensors

ENTRIES = 256
"""Numbers kept of each tensor of a result."""
TOLERANCE = 1e-3
"""Of the largest number: the same work, perhaps summed in another order."""
PAUSE = 0.005
"""Seconds between two looks; a process that is done does nothing in them."""
LOOKS = 3
"""So often in a row it must be seen at rest."""
TASKS = Path("/proc/self/task")
"""The threads of this process, on Linux."""
MOST_PATIENCE = 5.0
"""Seconds that a process at work is given to come to rest."""

# What a method cannot foresee it cannot prepare for.
_SECRET = random.SystemRandom()


class Sketch(NamedTuple):
    """A few numbers of every tensor of a result, and all of the step that was drawn last."""

    numbers: list[Tensor]
    step: int


class Auditor:
    """Of one workload, from its first call to the verdict."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._generator = torch.Generator().manual_seed(_SECRET.getrandbits(62))
        self._where: list[tuple[Tensor, ...]] = []
        self._changes: list[tuple[int, list[Tensor]]] = []
        self._first: Sketch | None = None
        self._kept: tuple[int, Sketch] | None = None
        self._seen = 0

    def look_first(self, result: object) -> None:
        """At the first call's result."""
        if self._first is None:
            self._where = [self._choose(x) for x in tensors(result)]
            self._first = self._sketch(result, 0)

    def refresh(self) -> None:
        """Draw one time step of every input anew, the same step of all."""
        inputs = self._workload.inputs
        step = _SECRET.randrange(inputs[0].shape[-2])
        rows = [self._draw(x[..., step, :]) for x in inputs]
        self._changes.append((step, rows))
        _put(inputs, step, rows)

    def look(self, result: object) -> None:
        """At a timed result: each is as likely as any other to be the one that is kept."""
        self._seen += 1
        if _SECRET.randrange(self._seen) == 0:
            self._kept = len(self._changes), self._sketch(result, self._changes[-1][0])

    def judge(self, twin: Workload, place: Place) -> None:
        """Raises FailedGateError where a first or a timed result is not what the twin computes."""
        if verdict := originals().verdict():
            raise FailedGateError(verdict)
        assert self._first is not None, "the first call was looked at"
        if not _comes_to_rest():
            # Else what is still to be done would be done in the twin's place, or both undone alike.
            raise FailedGateError(
                "timed-call-does-the-work: calls left work behind, which went on for"
                f" {MOST_PATIENCE:g} s after the last one."
            )
        o = _finished(twin.call)
        self._compare(self._first, o, "later-calls-as-the-first", "the first call", "a later one")
        if self._kept is None:
            return
        number, timed = self._kept
        for step, rows in self._changes[:number]:
            _put(twin.inputs, step, rows)
        o = _finished(twin.call)
        self._compare(timed, o, "timed-call-does-the-work", "a timed call", "an untimed one")
        length = place.length
        if place.causal and place.mode != "decode" and length > 1:
            now = length // 2
            for x in twin.inputs:
                with torch.no_grad():
                    x[..., now:, :] = self._draw(x[..., now:, :])
            self._compare_past(timed, _finished(twin.call), now)

    def judge_claim(self, namesake: Workload, name: str) -> None:
        """Raises FailedGateError where the first output is not what the namesake computes."""
        assert self._first is not None, "the first call was looked at"
        o = next(tensors(_finished(namesake.call))).detach()
        what = f"the timed output differs from {name}'s"
        _require_same("equals-namesake", self._first.numbers[0], o[self._where[0]], what)

    def _compare(self, sketch: Sketch, result: object, law: str, one: str, other: str) -> None:
        due = self._sketch(result, sketch.step)
        for actual, expected in zip(sketch.numbers, due.numbers, strict=True):
            _require_same(law, actual, expected, f"numbers of {one} differ from those of {other}")

    def _compare_past(self, sketch: Sketch, result: object, now: int) -> None:
        past = self._where[0][-2] < now
        due = self._sketch(result, sketch.step)
        _require_same(
            "future-not-seen-at-length",
            due.numbers[0][past],
            sketch.numbers[0][past],
            f"the timed output at times before {now} moved when the future changed,",
        )

    def _choose(self, x: Tensor) -> tuple[Tensor, ...]:
        size = x.numel()
        flat = torch.randint(max(1, size), (min(ENTRIES, size),), generator=self._generator)
        return tuple(index.to(x.device) for index in torch.unravel_index(flat, x.shape))

    def _sketch(self, result: object, step: int) -> Sketch:
        found = [_plain(x).detach() for x in tensors(result)]
        numbers = [x[places].clone() for x, places in zip(found, self._where, strict=True)]
        return Sketch([*numbers, found[0][..., step, :].clone()], step)

    def _draw(self, like: Tensor) -> Tensor:
        drawn = torch.randn(like.shape, generator=self._generator)
        return drawn.to(like.device, like.dtype)


def _plain(x: Tensor) -> Tensor:
    if type(x) not in (Tensor, Parameter) or x.layout != torch.strided:
        raise FailedGateError(
            f"output-is-plain-and-final: a timed call gave a {type(x).__name__}, and no plain"
            " tensor: it may compute only when it is read."
        )
    return x


@torch.no_grad()
def _put(inputs: Sequence[Tensor], step: int, rows: Sequence[Tensor]) -> None:
    for x, row in zip(inputs, rows, strict=True):
        x[..., step, :] = row


def _finished(call: Callable[[], object]) -> object:
    """The result of a call, and time for whatever may be left to do."""
    before = set(threading.enumerate())
    result = call()
    if left := [t.name for t in set(threading.enumerate()) - before if t.is_alive()]:
        raise FailedGateError(
            f"timed-call-does-the-work: a call left a thread running: {', '.join(left)}."
        )
    _comes_to_rest()
    return result


def _comes_to_rest() -> bool:
    """Whether this process, which nothing was asked of, stops computing while one waits."""
    deadline, idle = time.monotonic() + MOST_PATIENCE, 0
    while time.monotonic() < deadline:
        spent = time.process_time()
        time.sleep(PAUSE)
        at_work = time.process_time() - spent > PAUSE / 2 or _others_would_run()
        idle = 0 if at_work else idle + 1
        if idle == LOOKS:
            return True
    return False


def _others_would_run() -> bool:
    """Whether another thread of this process runs or waits for a core, where the system tells:
    on a busy machine it may get none for long."""
    own = str(threading.get_native_id())
    for thread in TASKS.glob("[0-9]*"):
        # A thread may end before it is asked.
        with contextlib.suppress(OSError):
            state = (thread / "stat").read_text().rpartition(") ")[2][:1]
            if thread.name != own and state in ("R", "D"):
                return True
    return False


def _require_same(law: str, actual: Tensor, expected: Tensor, what: str) -> None:
    # What overflows, and what is no number, must do so in both.
    one, two = (x.to(torch.promote_types(x.dtype, torch.float16)) for x in (actual, expected))
    try:
        require_close(one.nan_to_num(), two.nan_to_num(), what, TOLERANCE)
    except LawBrokenError as error:
        raise FailedGateError(f"{law}: {error}") from error
