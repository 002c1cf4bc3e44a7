"""Laws of batches, schedules and what surrounds a training step."""

import itertools
import math

import numpy as np
import pytest
import torch

from bench.model import build_classifier
from bench.runners.batches import in_order, take, training_batches
from bench.runners.inspection import calibrate, collapsed_rows, decoding_state_bytes, redraw
from bench.runners.schedule import learning_rate
from bench.runners.train import Diverged, evaluate, train
from bench.stopwatch import MAX_SAMPLES, WARMUP_STEPS, StepClock
from methods import darkformer, performer, softmax
from tasks.api import Split, Training
from tests.fakes import tiny_task

CPU = torch.device("cpu")
PRESET = tiny_task.TASK.presets[0]


def split(num: int = 11) -> Split:
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 8, size=(num, 1))
    return Split(tokens=rng.integers(1, 3, (num, 1, 9)), lengths=lengths, labels=np.arange(num))


def classifier(module, **options):
    return build_classifier(
        module.METHOD, options, PRESET.model, vocab_size=3, num_classes=2, max_time=15, towers=1,
        causal=False, seed=0,
    )  # fmt: skip


def test_an_epoch_holds_every_example_once():
    batches = itertools.islice(training_batches(split(12), 4, CPU, seed=0), 3)
    assert sorted(int(x) for b in batches for x in b.labels) == list(range(12))


def test_the_order_depends_on_the_seed_alone():
    def order(seed: int) -> list[int]:
        batches = itertools.islice(training_batches(split(), 3, CPU, seed), 7)
        return [int(x) for b in batches for x in b.labels]

    assert order(0) == order(0)
    assert order(0) != order(1)


def test_evaluation_sees_every_example_once_and_in_order():
    assert [int(x) for b in in_order(split(), 4, CPU) for x in b.labels] == list(range(11))


def test_a_batch_is_as_long_as_its_longest_example_and_hides_the_rest():
    data = split()
    batch = take(data, np.array([0, 3, 5]), CPU)
    lengths = data.lengths[[0, 3, 5], 0]
    assert batch.tokens.shape[2] == lengths.max()
    assert batch.padding is not None
    assert [int(x) for x in (~batch.padding[:, 0]).sum(-1)] == list(lengths)
    assert not batch.tokens[batch.padding].any()


def test_equal_lengths_need_no_mask():
    data = Split(tokens=np.ones((4, 1, 5), int), lengths=np.full((4, 1), 5), labels=np.arange(4))
    assert take(data, np.arange(4), CPU).padding is None


def plan(schedule: str, warmup: int = 10) -> Training:
    return Training(
        steps=100, batch_size=1, learning_rate=2.0, schedule=schedule, warmup_steps=warmup
    )


@pytest.mark.parametrize(
    ("schedule", "step", "rate"),
    [
        ("constant", 5, 1.0),
        ("constant", 100, 2.0),
        ("linear", 10, 2.0),
        ("linear", 56, 1.0),
        ("cosine", 56, 1.0),
        ("cosine", 11, 2.0),
        ("rsqrt", 5, 2.0 * 0.5 / math.sqrt(10)),
        ("rsqrt", 64, 0.25),
    ],
)
def test_schedules_go_through_their_closed_forms(schedule, step, rate):
    assert learning_rate(plan(schedule), step) == pytest.approx(rate)


def test_a_published_peak_is_reached():
    listops = Training(
        steps=5000, batch_size=32, learning_rate=0.05, schedule="rsqrt", warmup_steps=1000
    )
    assert max(learning_rate(listops, t) for t in range(1, 5001)) == pytest.approx(1.58e-3, 1e-2)


def test_whitening_is_calibrated_from_training_data_and_the_rest_is_left_alone():
    tokens = torch.randint(1, 3, (8, 1, 15))
    moved = classifier(darkformer, initial="whitening")
    still = classifier(darkformer)
    for subject in (moved, still):
        calibrate(subject, lambda subject=subject: subject(tokens, None))

    def first_m(subject):
        return next(p for name, p in subject.named_parameters() if name.endswith("M"))[0]

    assert torch.equal(first_m(still), torch.eye(8))
    assert not torch.allclose(first_m(moved), torch.eye(8), atol=0.1)


def test_calibration_over_pass_after_pass_is_that_over_all_data_at_once():
    tokens = torch.randint(1, 3, (9, 1, 15))
    options = {"initial": "whitening", "proposal": "typical", "key_shift": "attended"}
    one, other = (classifier(darkformer, **options).double() for _ in range(2))
    other.load_state_dict(one.state_dict())

    def in_parts():
        for part in tokens.split([2, 3, 4]):
            other(part, None)

    calibrate(one, lambda: one(tokens, None))
    calibrate(other, in_parts)
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=1e-9, atol=1e-9)


def test_features_are_redrawn_when_it_is_their_turn():
    subject = classifier(performer, num_features=8, redraw_every=3)
    omega = next(b for name, b in subject.named_buffers() if name.endswith("omega"))
    generator = torch.Generator().manual_seed(0)
    before = omega.clone()
    redraw(subject, 2, generator)
    assert torch.equal(omega, before)
    redraw(subject, 3, generator)
    assert not torch.equal(omega, before)


def test_a_state_is_weighed_where_there_is_one():
    tokens = torch.randint(1, 3, (4, 1, 15))
    kernel, exact = classifier(performer, num_features=8), classifier(softmax)
    # Per layer and head: 8 features times (8 values, a one and 7 zeros), and a maximum, in float32.
    assert decoding_state_bytes(kernel, lambda: kernel(tokens, None)) == 2 * (8 * 16 + 1) * 4
    assert decoding_state_bytes(exact, lambda: exact(tokens, None)) is None


def test_rows_that_collapse_are_counted():
    tokens = torch.randint(1, 3, (4, 1, 15))
    subject = classifier(performer, num_features=8)
    assert collapsed_rows(subject, lambda: subject(tokens, None)) == 0.0
    for name, weight in subject.named_parameters():
        if "q_proj" in name or "k_proj" in name:
            weight.data *= 100
    assert collapsed_rows(subject, lambda: subject(tokens, None)) > 0.1


def test_the_weights_that_are_tested_are_the_best_on_validation_data():
    dataset = tiny_task.load(tiny_task.LoadRequest(data={"num_train": 64}))
    torch.manual_seed(0)
    subject = classifier(softmax)
    steps = Training(steps=30, batch_size=16, learning_rate=3e-2, evaluate_every=3)
    options = {"device": CPU, "dtype": "float32"}
    trained = train(subject, dataset, steps, seed=0, report=lambda _: None, **options)
    best = max(e.accuracy for e in trained.evaluations)
    first = next(e.step for e in trained.evaluations if e.accuracy == best)
    assert trained.best_step == first
    assert evaluate(subject, dataset.validation, 16, **options).accuracy == best


def test_a_loss_beyond_every_bound_ends_the_training():
    dataset = tiny_task.load(tiny_task.LoadRequest(data={"num_train": 64}))
    wild = Training(steps=50, batch_size=16, learning_rate=1e4)
    with pytest.raises(Diverged, match="lower learning_rate"):
        train(
            classifier(softmax), dataset, wild, device=CPU, dtype="float32", seed=0,
            report=lambda _: None,
        )  # fmt: skip


def test_samples_stay_bounded_and_skip_the_warm_up():
    clock = StepClock(CPU)
    for _ in range(WARMUP_STEPS + 2 * MAX_SAMPLES):
        clock.start()
        clock.stop()
    assert MAX_SAMPLES // 2 <= len(clock.seconds()) <= MAX_SAMPLES
