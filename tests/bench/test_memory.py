"""What memory a block is charged with, and what happens at the limit.

Memory belongs to a process, so each measurement has one of its own.
"""

import sys

import pytest
import torch

from bench.errors import UsageError
from bench.memory import PeakMemory, limit_memory
from methods.core.memory_errors import is_out_of_memory
from tests.processes import run_python

MIB = 2**20
SLACK = 6 * MIB
"""Pages that a first call touches, and those that the kernel counts late, core by core."""

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")


def peak_of(block: str, before: str = "") -> tuple[int | None, str]:
    """Bytes and method that a fresh process reports for the block."""
    answer = run_python(
        f"""
import numpy as np
import bench.memory
from bench.memory import PeakMemory
{before}
with PeakMemory("cpu") as memory:
    {block}
print(memory.bytes, memory.method, sep=";")
"""
    )
    number, method = answer.strip().split(";")
    return (None if number == "None" else int(number)), method


@linux_only
def test_a_peak_is_seen_after_its_memory_was_freed() -> None:
    peak, method = peak_of("x = np.ones(64 * 2**20, np.uint8); del x")
    assert method == "resident high-water mark"
    assert peak == pytest.approx(64 * MIB, abs=SLACK)


@linux_only
def test_memory_held_before_the_block_is_not_charged_to_it() -> None:
    peak, _ = peak_of(
        "x = np.ones(16 * 2**20, np.uint8)", before="y = np.ones(64 * 2**20, np.uint8)"
    )
    assert peak == pytest.approx(16 * MIB, abs=SLACK)


@linux_only
def test_an_earlier_and_higher_peak_is_not_charged_to_the_block() -> None:
    peak, _ = peak_of(
        "x = np.ones(16 * 2**20, np.uint8)", before="y = np.ones(64 * 2**20, np.uint8); del y"
    )
    assert peak == pytest.approx(16 * MIB, abs=SLACK)


@linux_only
def test_small_pieces_freed_before_the_block_do_not_hide_what_it_takes() -> None:
    peak, _ = peak_of(
        "x = [b'x' * 10_000 for _ in range(3200)]",
        before="y = [b'x' * 10_000 for _ in range(3200)]; del y",
    )
    assert peak is not None
    assert peak >= 20 * MIB


CANNOT_RESET = "from pathlib import Path; bench.memory._CLEAR_REFS = Path('no-such-folder/file')"


def test_where_the_mark_cannot_be_reset_its_growth_tells_the_peak() -> None:
    peak, method = peak_of("x = np.ones(64 * 2**20, np.uint8); del x", before=CANNOT_RESET)
    assert method == "growth of the process's lifetime peak"
    assert peak == pytest.approx(64 * MIB, abs=SLACK)


def test_a_peak_that_an_earlier_one_hides_is_not_guessed() -> None:
    before = CANNOT_RESET + "; y = np.ones(64 * 2**20, np.uint8); del y"
    peak, _ = peak_of("x = np.ones(16 * 2**20, np.uint8)", before=before)
    assert peak is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is present")
def test_a_peak_on_a_gpu_is_what_its_allocator_handed_out() -> None:
    with PeakMemory("cuda:0") as memory:
        torch.ones(16 * MIB, dtype=torch.uint8, device="cuda:0")
    assert memory.bytes == 16 * MIB


@linux_only
def test_an_allocation_beyond_the_limit_fails_as_out_of_memory() -> None:
    run_python(
        """
        import torch
        from bench.memory import limit_memory
        from methods.core.memory_errors import is_out_of_memory

        limit_memory(256 * 2**20)
        torch.ones(32 * 2**20, dtype=torch.uint8)
        try:
            torch.ones(512 * 2**20, dtype=torch.uint8)
        except RuntimeError as error:
            assert is_out_of_memory(error), error
        else:
            raise AssertionError("512 MiB fitted into a limit of 256 MiB")
        """
    )


@linux_only
def test_the_limit_holds_for_memory_that_is_not_torch_s() -> None:
    run_python(
        """
        from bench.memory import limit_memory
        from methods.core.memory_errors import is_out_of_memory

        limit_memory(64 * 2**20)
        try:
            bytearray(512 * 2**20)
        except MemoryError as error:
            assert is_out_of_memory(error)
        else:
            raise AssertionError("512 MiB fitted into a limit of 64 MiB")
        """
    )


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="must be positive, got 0 bytes"):
        limit_memory(0)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_way_of_running_out_of_memory_is_known(error: BaseException) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("size mismatch"), ValueError("CUDA out of memory"), OSError(28, "No space left")],
    ids=lambda error: type(error).__name__,
)
def test_other_errors_are_not_taken_for_it(error: BaseException) -> None:
    assert not is_out_of_memory(error)
