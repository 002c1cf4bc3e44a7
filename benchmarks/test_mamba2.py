"""The chunked scan of Mamba-2 against transformers' plain one, side by side, on one thread.

Run with `python -m pytest benchmarks/test_mamba2.py -s -p no:cacheprovider`.
"""

import logging
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bench.memory import keep_freed_memory
from methods.core.scalar_decay import scalar_decay

HEADS, HEAD_DIM, STATE_SIZE = 16, 64, 64
ROUNDS = 5
Scan = Callable[..., Tensor]


def ours(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """From the same inputs: the products with dt are part of the work."""
    q, k, v, log_a = (y.transpose(1, 2) for y in (C, B, dt[..., None] * x, dt * A))
    return scalar_decay(q, k, v, log_a)[0].transpose(1, 2)


def theirs(chunk: int) -> Scan:
    modeling = pytest.importorskip("transformers.models.mamba2.modeling_mamba2")
    logging.getLogger("transformers.integrations.hub_kernels").setLevel(logging.ERROR)
    return lambda *inputs: modeling.mamba2_chunk_scan(*inputs, chunk_size=chunk)


def make_inputs(length: int) -> list[Tensor]:
    """One group; steps and rates of the sizes that a fresh model has."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, length, HEADS, HEAD_DIM, generator=generator)
    dt = 0.1 * torch.rand(1, length, HEADS, generator=generator)
    A = -torch.linspace(1, 16, HEADS)
    B, C = torch.randn(2, 1, length, 1, STATE_SIZE, generator=generator)
    return [y.requires_grad_() for y in (x, dt, A, B, C)]


def forward(scan: Scan, inputs: list[Tensor]) -> None:
    with torch.no_grad():
        scan(*inputs)


def forward_and_backward(scan: Scan, inputs: list[Tensor]) -> None:
    o = scan(*inputs)
    torch.autograd.grad(o, inputs, torch.ones_like(o))


@pytest.mark.benchmark(group="mamba2")
@pytest.mark.parametrize("length", [2048, 8192])
@pytest.mark.parametrize("call", [forward, forward_and_backward])
def test_our_scan_against_theirs(benchmark, call, length) -> None:  # type: ignore[no-untyped-def]
    """A B C A B C; the least time of each, over all rounds: theirs with its default chunk, 256, and
    with ours, 64."""
    keep_freed_memory()
    torch.set_num_threads(1)
    scans = {"ours": ours, "theirs": theirs(256), "theirs, chunk 64": theirs(64)}
    inputs = make_inputs(length)
    expected = theirs(256)(*inputs)
    torch.testing.assert_close(ours(*inputs), expected, rtol=1e-3, atol=1e-3)
    times: dict[str, list[float]] = {name: [] for name in scans}

    def all_three() -> None:
        for name, scan in scans.items():
            start = time.perf_counter()
            call(scan, inputs)
            times[name].append(time.perf_counter() - start)

    benchmark.pedantic(all_three, rounds=ROUNDS, warmup_rounds=1, iterations=1)
    least = {name: min(values) for name, values in times.items()}
    ratios = {name: value / least["ours"] for name, value in least.items()}
    benchmark.extra_info["ratios"] = ratios
    shown = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    print(f"\n{call.__name__}, {length}: ours {least['ours'] * 1e3:.1f} ms; as multiples: {shown}")
