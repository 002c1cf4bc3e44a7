"""Our kernels against every other implementation that is installed here: ratios, side by side.

Run with `python -m pytest benchmarks/test_peers.py -s -p no:cacheprovider`, or a part of it:
`-k "times and darkformer and m128 and causal and forward"`. A ratio is the peer's time divided by
ours: more than 1 is slower than ours. BENCH_THREADS sets the threads, two unless said;
BENCH_KEEP_MEMORY=0 measures without the kept memory of trials.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.cli.selection import is_installed
from bench.compatibility import method_problem
from bench.registry import load_registry
from benchmarks.peers import WRITTEN_OUT

ROOT = Path(__file__).parents[1]
THREADS = int(os.environ.get("BENCH_THREADS", "2"))
OURS = ("performer", "darkformer", "linear-transformer")
LENGTHS = (1024, 4096, 16384)
FEATURES = (64, 128, 256)
WAYS = ("causal", "bidirectional")
PASSES = ("forward", "backward")


def available(name: str) -> bool:
    """Whether it can run here on a processor."""
    method = METHODS[name].value
    problem = method_problem(method, device="cpu", dtype="float32", is_installed=is_installed)
    return problem is None


METHODS = load_registry(("METHOD",)).methods
PEERS = {
    ours: [n for n, e in METHODS.items() if e.value.same_as == ours and available(n)]
    for ours in OURS
}
CELLS = [
    pytest.param(ours, m, way, part, length, id=f"{ours}-m{m}-{way}-{part}-{length}")
    for ours in OURS
    # The Linear Transformer has as many features as its heads have dimensions.
    for m in (FEATURES if ours != "linear-transformer" else (64,))
    for way in WAYS
    for part in PASSES
    for length in LENGTHS
]


def ask(what: str, **words: Any) -> dict[str, Any]:
    """What a fresh process measures."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", json.dumps({"what": what, **words})],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(THREADS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def ratio(samples: dict[str, list[float]], peer: str, ours: str) -> tuple[float, float]:
    """Of the minima, which a busy neighbour disturbs least, and of the medians."""
    least = min(samples[peer]) / min(samples[ours])
    return least, statistics.median(samples[peer]) / statistics.median(samples[ours])


class Summary:
    """The ratios of all cells so far, told at the end."""

    def __init__(self) -> None:
        self.ratios: dict[str, dict[str, float]] = {}

    def tell(self) -> str:
        """Geometric means by peer and against the best peer of each cell, and the worst cell."""
        by_peer: dict[str, list[float]] = {}
        for peers in self.ratios.values():
            for peer, value in peers.items():
                by_peer.setdefault(peer, []).append(value)
        lines = [
            f"  {peer}: {statistics.geometric_mean(values):.2f} over {len(values)} cells,"
            f" least {min(values):.2f}"
            for peer, values in sorted(by_peer.items())
        ]
        best = {cell: min(peers.values()) for cell, peers in self.ratios.items() if peers}
        if best:
            worst = min(best, key=best.__getitem__)
            lines.append(
                f"  best peer of each cell: {statistics.geometric_mean(best.values()):.2f} over"
                f" {len(best)} cells; worst {best[worst]:.2f}, {worst}"
            )
        return "\n".join(["", "geometric means of peer / ours, by minima", *lines])


@pytest.fixture(scope="module")
def summary() -> Iterator[Summary]:
    summary = Summary()
    yield summary
    print(summary.tell())


@pytest.mark.parametrize(("ours", "m", "way", "part", "length"), CELLS)
def test_times(ours: str, m: int, way: str, part: str, length: int, summary: Summary) -> None:
    """One cell: every contender in turn, in one process."""
    peers = list(PEERS[ours])
    if way == "bidirectional" and ours in WRITTEN_OUT:
        peers.append(WRITTEN_OUT[ours])
    if not peers:
        pytest.skip(f"no other implementation of {ours} is installed here")
    found = ask(
        "times", ours=ours, peers=peers, num_threads=THREADS, num_features=m, length=length,
        causal=way == "causal", backward=part == "backward",
    )  # fmt: skip
    samples = found["samples"]
    ratios = {peer: ratio(samples, peer, ours) for peer in samples if peer != ours}
    label = f"{ours} m={m} {way} {part} L={length}"
    summary.ratios[label] = {peer: least for peer, (least, _) in ratios.items()}
    told = [f"{peer} {least:.2f} ({median:.2f})" for peer, (least, median) in ratios.items()]
    told += [f"{peer} left out: {reason}" for peer, reason in found["skipped"].items()]
    print(f"\n{label}: {min(samples[ours]) * 1e3:.2f} ms; " + "; ".join(told))


@pytest.mark.parametrize("context", LENGTHS)
def test_decoding(context: int) -> None:
    """Microseconds for one more token, m=128."""
    names = [
        name for ours in OURS for name in (ours, *PEERS[ours]) if METHODS[name].value.can.stepwise
    ]
    samples = ask(
        "decode", names=names, num_threads=THREADS, context=context, num_features=128
    )["samples"]  # fmt: skip
    told = (f"{name} {min(x) * 1e6:.0f} us" for name, x in samples.items())
    print(f"\ndecoding after {context} tokens: " + ", ".join(told))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", PASSES)
def test_memory(part: str, way: str) -> None:
    """What one call adds at its highest, 16384 tokens, m=128, each in a fresh process."""
    told = []
    for name in ("sdpa", *(n for ours in OURS for n in (ours, *PEERS[ours]))):
        found = ask(
            "memory", name=name, num_threads=THREADS, num_features=128, length=LENGTHS[-1],
            causal=way == "causal", backward=part == "backward",
        )  # fmt: skip
        amount = found["bytes"]
        told.append(f"{name} {found.get('reason') or f'{amount / 1e6:.0f} MB'}")
    print(f"\npeak memory {way} {part} L={LENGTHS[-1]} m=128: " + ", ".join(told))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", PASSES)
@pytest.mark.parametrize("ours", OURS)
def test_crossover(ours: str, part: str, way: str) -> None:
    """From which length ours beats torch's fused softmax, m=128."""
    found = ask(
        "crossover", ours=ours, num_threads=THREADS, num_features=128, length=LENGTHS[-1],
        causal=way == "causal", backward=part == "backward",
    )  # fmt: skip
    after, by = found["after"], found["by"]
    where = f"never up to {after}" if by is None else f"between {after} and {by} tokens"
    print(f"\ncrossover {ours} {way} {part}: {where}")
