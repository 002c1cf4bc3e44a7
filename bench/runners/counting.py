"""What one call of a cost cell computes and moves, counted."""

from typing import NamedTuple

from bench.counters import Counts, analytic_attention_flops, count_call
from bench.runners.workloads import Conditions, Contestant, Place, Workload
from methods.core.multihead import state_bytes

OUTSIDE = "Its work is done outside torch's operations, where the counter is blind."


class Counted(NamedTuple):
    """Absent is what could not be counted; `reason` then says why."""

    flops: int | None = None
    exps: int | None = None
    bytes_moved: int | None = None
    kernels: tuple[str, ...] = ()
    reason: str = ""
    least_bytes: int | None = None
    outside: bool = False
    """Whether torch's operations are not all that it does: its allocations are not all then."""


def count(
    workload: Workload,
    call_seconds: float,
    place: Place,
    contestant: Contestant,
    conditions: Conditions,
) -> Counted:
    """Run the call once more under the counter, unless it is so slow that this would cost the cell
    its samples."""
    if call_seconds > conditions.sweep.cell_seconds / 4:
        return Counted(reason=f"Not counted: one call takes {call_seconds:.2g} s.")
    returned: list[int] = []

    def call() -> object:
        result = workload.call()
        returned.append(state_bytes(result))
        return result

    counts = count_call(call, workload.inputs)
    least = workload.given_bytes + returned[0]
    if counts.outside:
        return Counted(kernels=counts.kernels, reason=OUTSIDE, least_bytes=least, outside=True)
    counted = Counted(
        flops=counts.flops - counts.masked_flops,
        exps=counts.exps,
        bytes_moved=counts.bytes_moved,
        kernels=counts.kernels,
        least_bytes=least,
    )
    return (
        _without_sight(counted, counts, place, contestant, conditions) if counts.blind else counted
    )


def _without_sight(
    counted: Counted, counts: Counts, place: Place, contestant: Contestant, conditions: Conditions
) -> Counted:
    """Exact attention by a kernel that the counter does not know goes by its formula; the work of
    any other is not known."""
    blind = f"The counter is blind to {', '.join(counts.blind)}"
    method, sweep = contestant.method, conditions.sweep
    if "softmax" not in (method.name, method.same_as):
        return counted._replace(flops=None, exps=None, reason=f"{blind}.")
    decodes = place.mode == "decode"
    query_time, key_time = (1, place.length + 1) if decodes else (place.length, place.length)
    halved = place.causal and not decodes
    trains = place.mode == "training"
    flops = analytic_attention_flops(
        "exact",
        batch=sweep.batch,
        heads=sweep.num_heads,
        query_time=query_time,
        key_time=key_time,
        head_dim=sweep.head_dim,
        value_dim=sweep.head_dim,
        causal=halved,
        backward=trains,
    )
    scores = sweep.batch * sweep.num_heads * query_time * key_time // (1 + halved)
    assert counted.flops is not None
    assert counted.exps is not None
    return counted._replace(
        flops=counted.flops + flops,
        exps=counted.exps + scores * (1 + trains),
        reason=f"{blind}, which is added by the formula of exact attention.",
    )
