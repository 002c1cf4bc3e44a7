"""Laws of weighing: a known allocation weighs what it is, in a process that keeps freed memory."""

import subprocess
import sys

import pytest
import torch

from bench.memory import free_memory, limited_memory
from bench.runners.counting import OUTSIDE
from bench.runners.footprint import allocated_bytes, kept_bytes
from methods.core.memory_errors import is_out_of_memory
from tests.adversaries.trials import timed

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


def test_exact_attention_that_keeps_its_scores_weighs_as_much_as_its_scores():
    sizes = {"lengths": "256", "min_samples": 6, "max_samples": 6}
    (cell,) = timed("tests.fakes.cost_methods:KEEPS_SCORES", **sizes).curve.cells
    scores = 2 * 256 * 256 * 4
    assert cell.status == "completed"
    assert cell.allocated_bytes > scores
    assert cell.peak_bytes > scores
    assert cell.reference_allocated_bytes > scores


def test_what_numpy_computes_is_not_measured_by_torch_and_says_so():
    sizes = {"lengths": "33", "min_samples": 6, "max_samples": 6}
    (cell,) = timed("tests.fakes.cost_methods:NUMPY", **sizes).curve.cells
    assert cell.status == "completed"
    assert (cell.flops, cell.exps, cell.bytes_moved, cell.allocated_bytes) == (None,) * 4
    assert cell.counts_reason == OUTSIDE
    assert cell.kernels == []
    assert cell.seconds
    assert cell.reference_allocated_bytes > 0
