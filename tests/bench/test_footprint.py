"""Laws of weighing: a known allocation weighs what it is, in a process that keeps freed memory."""

import subprocess
import sys

import pytest
import torch

from bench.memory import free_memory, limited_memory
from bench.runners.cells import Entrant, Equipment, measure_cell
from bench.runners.clocks import clock_reader
from bench.runners.counting import OUTSIDE
from bench.runners.footprint import Scales, allocated_bytes, kept_bytes
from bench.runners.samples import make_stopwatch
from bench.runners.workloads import Conditions, Contestant, Place
from methods.core.memory_errors import is_out_of_memory
from methods.softmax import METHOD as SOFTMAX
from results.curve import CostCell
from tasks.sweep import Sweep
from tests.fakes.cost_methods import KEEPS_SCORES, NUMPY

MIB = 2**20
PROGRAM = """
import torch
from bench.memory import keep_freed_memory
from bench.runners.footprint import Scales

torch.set_num_threads(1)
keep_freed_memory()
# Holes in the heap, as a trial leaves them.
kept = [torch.ones(2**20) for _ in range(16)][::2]

def call():
    a = torch.ones(2**22)
    b = a + 1
    del a
    return b * 2

call()
with Scales("cpu") as scales:
    for _ in range(2):
        print(*scales.weigh(call))
        call()
"""


def test_two_blocks_of_16_mib_weigh_32_by_both_scales_in_a_heap_full_of_holes():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    for line in done.stdout.splitlines():
        peak, allocated = map(int, line.split())
        assert abs(allocated - 32 * MIB) < 4096
        if sys.platform.startswith("linux"):
            assert abs(peak - 32 * MIB) < 2 * MIB


def test_what_is_freed_within_a_call_counts_at_its_highest_alone():
    def call():
        for _ in range(3):
            torch.zeros(MIB // 4)

    assert abs(allocated_bytes(call, "cpu") - MIB) < 4096


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can limit memory")
def test_a_limit_on_memory_ends_with_its_block():
    free = free_memory("cpu")
    assert free > 0
    with limited_memory(64 * MIB):
        assert free_memory("cpu") <= 64 * MIB
        with pytest.raises(RuntimeError) as raised:
            torch.empty(2**30)
        assert is_out_of_memory(raised.value)
    assert free_memory("cpu") > 64 * MIB


def test_what_a_call_uses_and_keeps_weighs_apart_from_what_it_is_given():
    given, kept = torch.ones(100), torch.ones(7)
    unused = torch.ones(1000)

    def call():
        return (given + 1).sum() + torch.add(kept, 1, out=kept).sum()

    assert kept_bytes(call, [given]) == kept.nbytes
    assert kept_bytes(call, []) == kept.nbytes + given.nbytes
    assert kept_bytes(call, [given, kept, unused]) == 0


def cell(method, length: int) -> CostCell:
    """Of a method beside softmax."""
    sweep = Sweep(num_heads=2, head_dim=16, min_samples=6, max_samples=6)
    rivals = (Entrant(Contestant(m, {})) for m in (method, SOFTMAX))
    with Scales("cpu") as scales:
        tools = Equipment(
            conditions=Conditions(sweep, "float32", "cpu", 0),
            stopwatch=make_stopwatch("cpu"),
            scales=scales,
            clock=clock_reader("cpu"),
            memory_bytes=free_memory("cpu"),
            deadline=float("inf"),
        )
        return measure_cell(Place("forward", False, length), *rivals, tools)


def test_exact_attention_that_keeps_its_scores_weighs_no_less_than_its_scores():
    scores = 2 * 256 * 256 * 4
    found = cell(KEEPS_SCORES, 256)
    assert found.status == "completed", found.reason
    assert found.allocated_bytes > scores
    assert found.peak_bytes >= scores
    assert found.reference_allocated_bytes > scores


def test_what_numpy_computes_is_not_counted_and_says_so():
    found = cell(NUMPY, 33)
    assert found.status == "completed", found.reason
    assert (found.flops, found.exps, found.bytes_moved, found.allocated_bytes) == (None,) * 4
    assert found.counts_reason == OUTSIDE
    assert found.kernels == []
    assert found.seconds
    assert found.reference_allocated_bytes > 0
