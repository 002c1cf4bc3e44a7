"""Measures one cell of a cost curve: the method, and its reference in turn with it.

Nothing is begun that would, by what shorter lengths took, outlast its time or exceed the memory;
what goes wrong all the same is the cell's status with a reason.
"""

import copy
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bench.errors import FailedGateError
from bench.runners.audit import Auditor
from bench.runners.clocks import ReadClock, clock_flags
from bench.runners.counting import count
from bench.runners.footprint import Scales, allocated_bytes, kept_bytes
from bench.runners.forecast import History, Known
from bench.runners.refusals import Refusal, attempt, gib
from bench.runners.samples import Stopwatch, Turn, is_noisy, take_turns, warm_up
from bench.runners.workloads import (
    Conditions,
    Contestant,
    Place,
    Workload,
    build_workload,
    is_exact,
)
from results.curve import CostCell

EXTRA_CALLS = 12
"""Calls of one cell that are no samples: to build, count, weigh, warm up and audit."""
MEMORY_SHARE = 0.8
"""Of the free memory, what a forecast may fill."""


@dataclass(slots=True)
class Entrant:
    """The method or its reference, and what is known of it so far."""

    contestant: Contestant
    histories: dict[tuple[str, bool], History] = field(default_factory=lambda: defaultdict(History))
    stopped: dict[tuple[str, bool], Refusal] = field(default_factory=dict)
    """Where longer lengths are hopeless."""


class Ready(NamedTuple):
    """An entrant built for one place and called once."""

    contestant: Contestant
    workload: Workload
    auditor: Auditor
    known: Known
    kept_bytes: int
    """What it keeps between calls."""


@dataclass(slots=True, kw_only=True)
class Equipment:
    """What a trial measures with."""

    conditions: Conditions
    stopwatch: Stopwatch
    scales: Scales
    clock: ReadClock
    memory_bytes: int
    """Free when the trial began."""
    deadline: float
    """When the trial's time is spent, by the monotonic clock."""
    share_seconds: float = float("inf")
    """What this cell may spend on samples beyond the fewest, so that later ones get theirs."""


def measure_cell(
    place: Place,
    method: Entrant,
    reference: Entrant | Refusal,
    tools: Equipment,
    *,
    probe: bool = False,
) -> CostCell:
    """The cell, whatever becomes of the call."""
    started = time.monotonic()
    ready = _prepare(place, method, tools, taken=None)
    if isinstance(ready, Refusal):
        return CostCell(**place._asdict(), probe=probe, **ready._asdict())
    other = reference
    if isinstance(other, Entrant):
        other_ready = _prepare(place, other, tools, taken=ready.known)
    else:
        other_ready = other
    measured = attempt(lambda: _measure(place, method, ready, other_ready, tools, started))
    if isinstance(measured, Refusal) and isinstance(other_ready, Ready):
        # Perhaps the two had no room beside each other, or it is the reference that failed.
        other_ready = measured
        measured = attempt(lambda: _measure(place, method, ready, other_ready, tools, started))
    if isinstance(measured, Refusal):
        _stop(method, place, measured)
        return CostCell(**place._asdict(), probe=probe, **measured._asdict())
    return measured.model_copy(update={"probe": probe})


def _prepare(
    place: Place, entrant: Entrant, tools: Equipment, *, taken: Known | None
) -> Ready | Refusal:
    """Built and called once, or why not. `taken`: what stands beside it in the same cell."""
    column = place.mode, place.causal
    history = entrant.histories[column]
    if column in entrant.stopped:
        return entrant.stopped[column].passed_on()
    for length in history.pilots(place.length):
        pilot = _pilot(place._replace(length=length), entrant, tools)
        if pilot and pilot.status in ("timed-out", "out-of-memory"):
            return pilot.passed_on()
    found = _foreseen(history.expect(place.length), tools, taken) or _called(place, entrant, tools)
    if isinstance(found, Ready):
        found = _foreseen(found.known, tools, taken) or found
    if isinstance(found, Refusal) and taken is None:
        _stop(entrant, place, found)
    return found


def _pilot(place: Place, entrant: Entrant, tools: Equipment) -> Refusal | None:
    """A length that was not asked for, only called: longer ones are judged by it."""
    refusal = _foreseen(entrant.histories[place.mode, place.causal].expect(place.length), tools)
    found = refusal or _called(place, entrant, tools)
    if isinstance(found, Refusal):
        _stop(entrant, place, found)
        return found
    return None


def _foreseen(known: Known | None, tools: Equipment, taken: Known | None = None) -> Refusal | None:
    """Why it is not begun, or not gone on with."""
    sweep = tools.conditions.sweep
    left = tools.deadline - time.monotonic()
    if left <= 0:
        return Refusal(
            "timed-out",
            f"The {sweep.total_seconds:g} s of the whole trial (total_seconds) were spent.",
        )
    if known is None:
        return None
    beside = taken or Known(known.length, 0.0, 0.0, 0)
    room = MEMORY_SHARE * tools.memory_bytes
    if known.bytes + beside.bytes > room:
        return Refusal(
            "out-of-memory",
            f"{known.length} tokens would take about {gib(known.bytes)} by what shorter ones took,"
            f" and {gib(max(0.0, room - beside.bytes))} may be filled here.",
        )
    calls = sweep.min_samples + EXTRA_CALLS
    seconds = sum(k.setup_seconds + calls * k.call_seconds for k in (known, beside))
    if seconds > min(sweep.cell_seconds, left):
        limit = "cell_seconds" if sweep.cell_seconds <= left else "what is left of total_seconds"
        return Refusal(
            "timed-out",
            f"At {known.length} tokens a call takes about {known.call_seconds:.2g} s and {calls}"
            f" calls are needed: more than {min(sweep.cell_seconds, left):.3g} s, {limit}.",
        )
    return None


def _called(place: Place, entrant: Entrant, tools: Equipment) -> Ready | Refusal:
    return attempt(lambda: _first_call(place, entrant, tools))


def _first_call(place: Place, entrant: Entrant, tools: Equipment) -> Ready:
    """Build and call: more than once where there is time, since the first may hold what is done
    once only and any may be held up."""
    sweep = tools.conditions.sweep
    started = time.monotonic()
    workload = build_workload(entrant.contestant, place, tools.conditions)
    setup = time.monotonic() - started
    calls = sweep.min_samples + EXTRA_CALLS
    auditor = Auditor(workload)
    seconds = [tools.stopwatch.seconds(workload.call, auditor.look_first)]
    while len(seconds) < 2 or min(seconds) * calls > sweep.cell_seconds / 2:
        if sum(seconds) + min(seconds) > sweep.cell_seconds / 4:
            break
        seconds.append(tools.stopwatch.seconds(workload.call))
    kept = allocated = 0
    if min(seconds) * calls < sweep.cell_seconds:
        kept = kept_bytes(workload.call, workload.given)
        allocated = allocated_bytes(workload.call, tools.conditions.device)
    known = Known(place.length, setup, min(seconds), workload.given_bytes + kept + allocated)
    entrant.histories[place.mode, place.causal].add(known)
    return Ready(entrant.contestant, workload, auditor, known, kept)


def _stop(entrant: Entrant, place: Place, refusal: Refusal) -> None:
    """What ran out stays so at every longer length."""
    if refusal.status in ("timed-out", "out-of-memory"):
        entrant.stopped[place.mode, place.causal] = refusal


def _measure(
    place: Place,
    method: Entrant,
    ready: Ready,
    other: Ready | Refusal,
    tools: Equipment,
    started: float,
) -> CostCell:
    workload = ready.workload
    counted = count(workload, ready.known.call_seconds, place, method.contestant, tools.conditions)
    weight = tools.scales.weigh(workload.call, ready.kept_bytes)
    of_reference: dict[str, Any] = {}
    entrants = [ready]
    if isinstance(other, Ready):
        entrants.append(other)
        other_weight = tools.scales.weigh(other.workload.call, other.kept_bytes)
        of_reference = {
            "reference_peak_bytes": other_weight.peak_bytes,
            "reference_allocated_bytes": other_weight.allocated_bytes,
            "reference_state_bytes": other.workload.state_bytes,
        }
    samples, flags = _timed(entrants, tools, started)
    return CostCell(
        **place._asdict(),
        status="completed",
        seconds=samples[0],
        reference_seconds=samples[1] if len(samples) > 1 else [],
        reference_reason=other.reason if isinstance(other, Refusal) else "",
        peak_bytes=weight.peak_bytes,
        allocated_bytes=None if counted.outside else weight.allocated_bytes,
        **of_reference,
        flops=counted.flops,
        exps=counted.exps,
        bytes_moved=counted.bytes_moved,
        counts_reason=counted.reason,
        least_bytes=counted.least_bytes,
        state_bytes=workload.state_bytes,
        kernels=list(counted.kernels),
        flags=flags + _audited(place, entrants, tools),
    )


def _timed(
    entrants: list[Ready], tools: Equipment, started: float
) -> tuple[list[list[float]], list[str]]:
    """The samples of each entrant's call, and what makes them doubtful."""
    sweep = tools.conditions.sweep
    deadline = started + min(sweep.cell_seconds, tools.share_seconds)
    for entrant in entrants:
        warm_up(entrant.workload.call, tools.stopwatch, max(0.0, deadline - time.monotonic()) / 4)
    before = tools.clock()
    left = deadline - time.monotonic()
    turns = [Turn(e.workload.call, e.auditor.refresh, e.auditor.look) for e in entrants]
    samples = take_turns(
        turns, tools.stopwatch, least=sweep.min_samples, most=sweep.max_samples, seconds=left
    )
    return samples, clock_flags(before, tools.clock()) + ["noisy"] * any(map(is_noisy, samples))


def _audited(place: Place, entrants: list[Ready], tools: Equipment) -> list[str]:
    """Compares what was timed with another instance's, and with the reference's where both are the
    same mathematics. Who fails when no clock runs breaks a law; where there is no memory for
    another instance the cell is flagged."""
    ready, *references = entrants

    def judge() -> None:
        # A twin that never saw the context decodes from the state alone.
        stepwise = ready.contestant.method.can.stepwise
        state = copy.deepcopy(ready.workload.state) if stepwise else None
        twin = build_workload(ready.contestant, place, tools.conditions, state)
        ready.auditor.judge(twin, place)
        for other in references:
            named = other.contestant.method
            if is_exact(ready.contestant.method) and is_exact(named):
                workload = build_workload(other.contestant, place, tools.conditions)
                ready.auditor.judge_claim(workload, named.name)

    done = attempt(judge)
    if not isinstance(done, Refusal):
        return []
    if done.status != "out-of-memory":
        raise FailedGateError(
            f"timed-call-does-the-work: another instance, which no clock timed, was {done.status}:"
            f" {done.reason}"
        )
    return [f"not audited: {done.reason}"]
