"""What the harness adds to a training step, against the same step in a bare loop, side by side.

Run with `python -m pytest benchmarks/test_overhead.py -s -p no:cacheprovider`.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from bench.model import Classifier, build_classifier
from bench.runners.batches import training_batches
from bench.runners.train import train
from methods.performer import METHOD
from tasks.api import Dataset, ModelShape, Split, Training

STEPS = 60
ROUNDS = 7
SHAPE = ModelShape(num_layers=2, num_heads=4, d_model=64, qkv_dim=64, mlp_dim=128)
PLAN = Training(steps=STEPS, batch_size=16, learning_rate=1e-3, evaluate_every=10**9)
CPU = torch.device("cpu")


def make_dataset() -> Dataset:
    """Random tokens; validation is tiny, so that its one evaluation weighs nothing."""
    rng = np.random.default_rng(0)

    def split(n: int) -> Split:
        tokens = rng.integers(1, 20, size=(n, 1, 256), dtype=np.int16)
        return Split(tokens=tokens, lengths=np.full((n, 1), 256), labels=rng.integers(0, 2, size=n))

    return Dataset(
        train=split(512), validation=split(1), test=split(1), vocab_size=20, num_classes=2,
        what="random",
    )  # fmt: skip


def make_model() -> Classifier:
    """The model of preset quick."""
    torch.manual_seed(0)
    return build_classifier(
        METHOD, {"num_features": 64}, SHAPE, vocab_size=20, num_classes=2, max_time=256, towers=1,
        causal=False, seed=0,
    )  # fmt: skip


def harness(dataset: Dataset) -> None:
    """Our loop."""
    train(make_model(), dataset, PLAN, device=CPU, dtype="float32", seed=0, report=lambda _: None)


def bare(dataset: Dataset) -> None:
    """The loop anyone would write."""
    model = make_model()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batches = training_batches(dataset.train, PLAN.batch_size, CPU, 0)
    for _ in range(STEPS):
        batch = next(batches)
        optimiser.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(
            model(batch.tokens, batch.padding), batch.labels
        ).backward()
        optimiser.step()


def seconds(call: Callable[[Dataset], None], dataset: Dataset) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call(dataset)
    return time.perf_counter() - start


@pytest.mark.benchmark(group="overhead")
def test_a_step_of_the_harness_against_a_bare_step(benchmark) -> None:  # type: ignore[no-untyped-def]
    """The two loops in turn, A B A B; the ratio of each pair, its median and spread."""
    torch.set_num_threads(2)
    dataset = make_dataset()
    pairs: list[tuple[float, float]] = []
    harness(dataset), bare(dataset)
    benchmark.pedantic(
        lambda: pairs.append((seconds(harness, dataset), seconds(bare, dataset))),
        rounds=ROUNDS,
        iterations=1,
    )
    ratios = sorted(ours / theirs for ours, theirs in pairs)
    benchmark.extra_info["ratio"] = statistics.median(ratios)
    bare_step = statistics.median(theirs for _, theirs in pairs) / STEPS
    print(
        f"\nharness / bare: median {statistics.median(ratios):.4f},"
        f" from {ratios[0]:.4f} to {ratios[-1]:.4f}; a bare step takes {bare_step * 1e3:.1f} ms"
    )
