"""Mamba's scan and mixer against mambapy's and transformers', side by side in one process.

Run with `python -m pytest benchmarks/test_mamba.py -s -p no:cacheprovider`, on a machine that is
not quiet with `GOMP_SPINCOUNT=1000` before it, as trials have it: a chunk is many short operations,
and two threads that wait for each other while spinning stall. `-m slow` runs what takes minutes:
the backward pass of transformers, quadratic in time, and so called once.
"""

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.memory import keep_freed_memory
from methods.api import Heads
from methods.core.mamba import AnyMamba
from methods.core.selective_scan import selective_scan
from methods.mamba import Mamba
from methods.mamba_transformers import MambaTransformers
from methods.mambapy import MambaPy

D_MODEL, CHANNELS, STATE_SIZE = 512, 1024, 16
ROUNDS = 7
PEERS = {"mambapy": MambaPy, "transformers": MambaTransformers}

Call = Callable[[], Any]


def made(function: Callable[..., Tensor], leaves: list[Tensor], backward: bool) -> Call:
    """One call, forward alone or with the gradients of all leaves."""
    if not backward:
        return torch.no_grad()(lambda: function(*leaves))
    for leaf in leaves:
        leaf.requires_grad_()
    weight = torch.ones_like(function(*leaves).detach())
    return lambda: torch.autograd.grad(function(*leaves), leaves, weight)


def scan_of(name: str, length: int, backward: bool) -> Call:
    """x, dt, A, B, C, D to y, each from tensors in the layout that it wants."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    x, dt = draw(1, length, CHANNELS), 0.1 * torch.rand(1, length, CHANNELS, generator=generator)
    B, C = draw(1, length, STATE_SIZE), draw(1, length, STATE_SIZE)
    A = -torch.arange(1.0, STATE_SIZE + 1).repeat(CHANNELS, 1)
    function: Callable[..., Tensor] = lambda *parts: selective_scan(*parts).y  # noqa: E731
    if name == "mambapy":
        function = mixer(MambaPy).theirs.selective_scan
    elif name == "transformers":
        mixer(MambaTransformers)
        from transformers.models.mamba import modeling_mamba

        function = modeling_mamba.mamba_selective_scan
        # As its own mixer hands them over: x and dt by channel, B and C by token.
        x, dt, B, C = x.mT.contiguous(), dt.mT.contiguous(), B.mT, C.mT
    return made(function, [x, dt, A, B, C, torch.ones(CHANNELS)], backward)


def mixer(cls: type[AnyMamba]) -> Any:
    heads = Heads(num_heads=8, head_dim=D_MODEL // 8, num_kv_heads=8, max_time=4096)
    return cls(D_MODEL, heads, torch.Generator().manual_seed(0), causal=True)


def mixer_of(name: str, length: int, backward: bool) -> Call:
    """The whole mixer, its parameters' gradients included."""
    module = mixer({"ours": Mamba, **PEERS}[name])
    x = torch.randn(1, length, D_MODEL, generator=torch.Generator().manual_seed(1))
    if not backward:
        return torch.no_grad()(lambda: module(x))
    leaves = [x.requires_grad_(), *module.parameters()]
    return lambda: torch.autograd.grad(module(x).sum(), leaves)


def seconds(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


PARTS = {"scan": scan_of, "mixer": mixer_of}
CELLS = [
    pytest.param(*cell, marks=pytest.mark.slow if cell[1] == "transformers" and cell[3] else [])
    for cell in itertools.product(PARTS, PEERS, (1024, 2048), (False, True))
]


@pytest.mark.benchmark(group="mamba")
@pytest.mark.parametrize(("part", "peer", "length", "backward"), CELLS)
def test_ours_against_a_peer(benchmark, part, peer, length, backward) -> None:  # type: ignore[no-untyped-def]
    """The two in turn, A B A B; minima and medians of each, and their ratios."""
    pytest.importorskip(peer)
    keep_freed_memory()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    once = peer == "transformers" and backward
    calls = {name: PARTS[part](name, length, backward) for name in ("ours", peer)}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    calls["ours"]()
    if not once:
        calls[peer]()

    def both() -> None:
        for name, call in calls.items():
            samples[name].append(seconds(call))

    benchmark.pedantic(both, rounds=1 if once else ROUNDS, iterations=1)
    best, middle = ({n: f(s) for n, s in samples.items()} for f in (min, statistics.median))
    benchmark.extra_info.update(
        {
            "ratio_of_minima": best[peer] / best["ours"],
            "ratio_of_medians": middle[peer] / middle["ours"],
            "samples": samples,
        }
    )
    print(
        f"\n{part} {length} {'forward+backward' if backward else 'forward'}: {peer} / ours"
        f" {best[peer] / best['ours']:.2f} (minima), {middle[peer] / middle['ours']:.2f} (medians);"
        f" ours {best['ours'] * 1e3:.1f} ms, {peer} {best[peer] * 1e3:.1f} ms (minima),"
        f" {len(samples[peer])} rounds, {torch.get_num_threads()} threads"
    )
