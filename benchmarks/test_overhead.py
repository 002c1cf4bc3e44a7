"""What the harness adds to a training step, against the same step in a bare loop, side by side.

Run with `python -m pytest benchmarks/test_overhead.py -s -p no:cacheprovider`.
"""

import itertools
import statistics
import time

import numpy as np
import pytest
import torch

from bench.memory import keep_freed_memory
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


def harness(dataset: Dataset) -> list[float]:
    """Our loop: the time from one step's end to the next one's, everything included."""
    marks: list[float] = []
    train(
        make_model(),
        dataset,
        PLAN,
        device=CPU,
        dtype="float32",
        seed=0,
        report=lambda _: marks.append(time.perf_counter()),
    )
    return [after - before for before, after in itertools.pairwise(marks)]


def bare(dataset: Dataset) -> list[float]:
    """The loop anyone would write."""
    model = make_model()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batches = training_batches(dataset.train, PLAN.batch_size, CPU, 0)
    marks: list[float] = []
    for _ in range(STEPS):
        batch = next(batches)
        optimiser.zero_grad(set_to_none=True)
        scores = model(batch.tokens, batch.padding)
        torch.nn.functional.cross_entropy(scores, batch.labels).backward()
        optimiser.step()
        marks.append(time.perf_counter())
    return [after - before for before, after in itertools.pairwise(marks)]


@pytest.mark.benchmark(group="overhead")
def test_a_step_of_the_harness_against_a_bare_step(benchmark) -> None:  # type: ignore[no-untyped-def]
    """The two loops in turn, A B A B; the median step of each, over all rounds."""
    keep_freed_memory()
    torch.set_num_threads(1)
    dataset = make_dataset()
    ours: list[float] = []
    theirs: list[float] = []
    harness(dataset), bare(dataset)

    def both() -> None:
        ours.extend(harness(dataset))
        theirs.extend(bare(dataset))

    benchmark.pedantic(both, rounds=ROUNDS, iterations=1)
    ratio = statistics.median(ours) / statistics.median(theirs)
    benchmark.extra_info["ratio"] = ratio
    print(
        f"\nharness / bare: {ratio:.4f} over {len(ours)} steps each;"
        f" a bare step takes {statistics.median(theirs) * 1e3:.1f} ms (median)"
    )
