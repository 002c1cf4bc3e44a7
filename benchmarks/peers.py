"""Measures our kernels beside other people's, in a process of its own: interleaved, A B A B.

`python -m benchmarks.peers '{"what": "times", ...}'` prints one JSON object; `test_peers.py` asks.
A process of its own, because the tests' import hook would check the shapes of our calls and not of
theirs, and because peak memory is known of a fresh process alone. Everything is B=1, H=8, D=64,
float32.
"""

import importlib
import itertools
import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import Tensor

from bench.memory import PeakMemory, keep_freed_memory
from methods.api import Heads
from methods.core.attention import build_attention

HEADS = Heads(num_heads=8, head_dim=64, num_kv_heads=8, max_time=2**17)
WRITTEN_OUT = {"performer": "written-out", "linear-transformer": "written-out-elu"}
"""The lines of a tutorial: features materialised, two products; bidirectional alone."""
MOST_SECONDS = 20.0
"""A contender whose one call is forecast to take longer is left out of its cell."""
SAMPLE_SECONDS = 0.02
ROUNDS = (3, 11)
CELL_SECONDS = 15.0
"""Rounds are taken until this is spent, but at least and at most as many as above."""

Attention = Callable[..., Tensor]
Call = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What is called, and how long its input is."""

    num_features: int
    length: int
    causal: bool
    backward: bool
    """Forward and backward: gradients of queries, keys, values and of what is learned."""

    def at(self, length: int) -> "Cell":
        return Cell(
            num_features=self.num_features,
            length=length,
            causal=self.causal,
            backward=self.backward,
        )


def settle_memory() -> None:
    """As in trials, freed memory is kept; BENCH_KEEP_MEMORY=0 leaves the C library as users find
    it, where each large temporary costs fresh pages."""
    if os.environ.get("BENCH_KEEP_MEMORY", "1") == "1":
        keep_freed_memory()


def times(ours: str, peers: list[str], num_threads: int, **cell: Any) -> dict[str, Any]:
    """Samples, in seconds a call, of each contender, and why others were left out."""
    torch.set_num_threads(num_threads)
    settle_memory()
    asked = Cell(**cell)
    skipped: dict[str, str] = {}
    calls: dict[str, Call] = {}
    for name in (ours, *peers):
        attention = build(name, asked.num_features)
        if name != ours and (reason := hopeless(attention, asked)):
            skipped[name] = reason
        else:
            calls[name] = one_call(attention, asked)
    return {"samples": interleaved(calls), "skipped": skipped}


def memory(name: str, num_threads: int, **cell: Any) -> dict[str, Any]:
    """By how many bytes one call raises memory, after a short one has loaded the code."""
    torch.set_num_threads(num_threads)
    asked = Cell(**cell)
    attention = build(name, asked.num_features)
    one_call(attention, asked.at(256))()
    if reason := hopeless(attention, asked):
        return {"bytes": None, "reason": reason}
    call = one_call(attention, asked)
    with PeakMemory("cpu") as peak:
        call()
    return {"bytes": peak.bytes}


@torch.no_grad()
def decode(names: list[str], num_threads: int, context: int, num_features: int) -> dict[str, Any]:
    """Samples of one more token after `context` of them; sdpa keeps keys and values in a cache."""
    torch.set_num_threads(num_threads)
    token = tuple(torch.randn(1, 8, 1, 64) for _ in range(3))
    past = tuple(torch.randn(1, 8, context, 64) for _ in range(3))
    calls: dict[str, Call] = {"sdpa": cached(token, past)}
    for name in names:
        attention = build(name, num_features)
        _, state = attention.prefill(*past)
        calls[name] = lambda attention=attention, state=state: attention.step(*token, state)
    return {"samples": interleaved(calls), "skipped": {}}


def crossover(ours: str, num_threads: int, **cell: Any) -> dict[str, Any]:
    """Between which two lengths ours becomes faster than sdpa: doubling, then bisection."""
    torch.set_num_threads(num_threads)
    settle_memory()
    asked = Cell(**cell)
    attention, exact = build(ours, asked.num_features), build("sdpa", 0)

    def wins(length: int) -> bool:
        calls = {"ours": one_call(attention, asked.at(length))}
        calls["sdpa"] = one_call(exact, asked.at(length))
        best = {name: min(samples) for name, samples in interleaved(calls).items()}
        return best["ours"] < best["sdpa"]

    loses, length = 0, 64
    while length <= asked.length and not wins(length):
        loses, length = length, 2 * length
    if length > asked.length:
        return {"after": loses, "by": None}
    while loses and length - loses > max(16, loses // 16):
        middle = (loses + length) // 2
        loses, length = (loses, middle) if wins(middle) else (middle, length)
    return {"after": loses, "by": length}


def build(name: str, num_features: int) -> Any:
    """A method by name, its numbers of the same seed."""
    if name in WRITTEN_OUT.values():
        return WrittenOut(None if name.endswith("elu") else num_features)
    method = importlib.import_module(f"methods.{name.replace('-', '_')}").METHOD
    options = {"num_features": num_features} if "num_features" in method.options else {}
    return build_attention(method, HEADS, torch.Generator().manual_seed(0), **options)


class WrittenOut(torch.nn.Module):
    """Linear attention as one would write it down, with Performer's features or elu(x) + 1."""

    omega: Tensor

    def __init__(self, num_features: int | None) -> None:
        super().__init__()
        self.elu = num_features is None
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("omega", torch.randn(num_features or 0, 64, generator=generator))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
        assert not causal
        if self.elu:
            queries, keys = (torch.nn.functional.elu(x) + 1 for x in (q, k))
        else:
            q, k = q * 64**-0.25, k * 64**-0.25
            queries, keys = q @ self.omega.mT, k @ self.omega.mT - k.square().sum(-1, True) / 2
            queries = torch.exp(queries - queries.amax(-1, keepdim=True))
            keys = torch.exp(keys - keys.amax((-1, -2), keepdim=True))
        return queries @ (keys.mT @ v) / (queries @ keys.sum(-2)[..., None])


def one_call(attention: Attention, cell: Cell) -> Call:
    """A call with its inputs drawn and ready."""
    generator = torch.Generator().manual_seed(1)
    shape = (1, HEADS.num_heads, cell.length, HEADS.head_dim)
    q, k, v, weight = (torch.randn(shape, generator=generator) for _ in range(4))
    if not cell.backward:

        @torch.no_grad()
        def forward() -> object:
            return attention(q, k, v, causal=cell.causal)

        return forward
    assert isinstance(attention, torch.nn.Module)
    wanted = [x.requires_grad_() for x in (q, k, v)]
    wanted += [p for p in attention.parameters() if p.requires_grad]

    def forward_and_backward() -> object:
        return torch.autograd.grad(attention(q, k, v, causal=cell.causal), wanted, weight)

    return forward_and_backward


def cached(token: tuple[Tensor, ...], past: tuple[Tensor, ...]) -> Call:
    """One more token for exact attention: its key and value written behind the others."""
    q, k, v = token
    keys, values = (torch.cat([x, torch.empty_like(k)], 2) for x in past[1:])

    def call() -> object:
        keys[:, :, -1:], values[:, :, -1:] = k, v
        return torch.nn.functional.scaled_dot_product_attention(q, keys, values)

    return call


def interleaved(calls: dict[str, Call]) -> dict[str, list[float]]:
    """Rounds of one sample each, in turn. A short call is repeated within its sample."""
    repeats = {}
    for name, call in calls.items():
        call()
        repeats[name] = max(1, math.ceil(SAMPLE_SECONDS / seconds_of(call)))
    samples: dict[str, list[float]] = {name: [] for name in calls}
    least, most = ROUNDS
    began = time.perf_counter()
    for done in itertools.count():
        if done >= most or (done >= least and time.perf_counter() - began > CELL_SECONDS):
            return samples
        for name, call in calls.items():
            samples[name].append(seconds_of(call, repeats[name]))
    raise AssertionError


def seconds_of(call: Call, repeats: int = 1) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def hopeless(attention: Attention, cell: Cell) -> str:
    """Why a call of this length would take too long or too much memory, forecast from shorter ones.

    Each is four times the one before, and tried only if that one allows. Growth is taken from both,
    but between linear and quadratic.
    """
    most_bytes = psutil.virtual_memory().available // 2
    seconds: list[float] = []
    for length in (cell.length // 16, cell.length // 4):
        call = one_call(attention, cell.at(length))
        call()
        with PeakMemory("cpu") as peak:
            seconds.append(min(seconds_of(call), seconds_of(call)))
        left = math.log(cell.length / length, 4)
        growth = 4.0 if len(seconds) == 1 else seconds[-1] / seconds[-2]
        growth = min(max(growth, 4.0), 16.0)
        forecast = seconds[-1] * growth**left
        if forecast > MOST_SECONDS:
            return (
                f"a call would take {forecast:.0f} s, by its {seconds[-1]:.2f} s at length {length}"
            )
        if peak.bytes is not None and peak.bytes * 4**left > most_bytes:
            return f"a call would take {peak.bytes * 4**left / 1e9:.0f} GB of memory"
    return ""


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    answers = {"times": times, "memory": memory, "decode": decode, "crossover": crossover}
    print(json.dumps(answers[asked.pop("what")](**asked)))
