"""Synthetic records of realistic size, for tests; every name and number in them is made up."""

import base64
import zlib

import numpy as np

from results.record import (
    Cost,
    CurvePoint,
    DataCard,
    Evaluation,
    Identity,
    Machine,
    Measured,
    Proportion,
    Provenance,
    Record,
    Scalar,
    Status,
    Training,
)

NUM_TEST = 500
MAJORITY = Proportion(successes=85, trials=NUM_TEST)


def fake_identity(
    method: str = "fake-attention",
    task: str = "lra/listops",
    *,
    seed: int = 0,
    preset: str = "quick",
    source: str = "generated",
    dtype: str = "float32",
    device: str = "cpu",
    options: dict[str, Scalar] | None = None,
    settings: dict[str, Scalar] | None = None,
) -> Identity:
    return Identity(
        method=method,
        method_options=options or {},
        task=task,
        task_version=1,
        preset=preset,
        source=source,
        settings=settings or {},
        dtype=dtype,
        seed=seed,
        device=device,
    )


def fake_machine(name: str = "Fake CPU, 2 cores, 8 GiB") -> Machine:
    return Machine(
        name=name,
        processor="Fake CPU",
        cores=2,
        threads=2,
        memory_bytes=8 * 2**30,
        system="FakeOS 1",
        python="3.11.0",
        versions={"torch": "0.0.0+fake"},
    )


def fake_provenance(started: str = "2001-02-03T04:05:06+00:00") -> Provenance:
    return Provenance(
        commit="0" * 40,
        dirty=False,
        method_digest="1" * 64,
        task_digest="2" * 64,
        command="bench run --methods fake-attention",
        started=started,
        seconds=12.5,
    )


def fake_data(title: str = "Made-up expressions", *, stand_in: bool = False) -> DataCard:
    return DataCard(
        title=title,
        what="Nothing real: drawn for a test.",
        stand_in=stand_in,
        digest=f"{zlib.crc32(title.encode()):08x}" * 8,
        num_train=1000,
        num_validation=100,
        num_test=NUM_TEST,
        num_classes=10,
        vocab_size=17,
        max_time=200,
        majority=MAJORITY,
    )


def fake_outcomes(accuracy: float, luck_seed: int, num_test: int = NUM_TEST) -> tuple[str, int]:
    """Outcomes in which the same examples tend to be hard, and how many are right."""
    difficulty = np.random.default_rng(0).random(num_test)
    luck = np.random.default_rng(luck_seed).random(num_test)
    right = 0.7 * difficulty + 0.3 * luck < np.quantile(0.7 * difficulty + 0.3 * luck, accuracy)
    return base64.b64encode(np.packbits(right).tobytes()).decode(), int(right.sum())


def fake_training(outcomes: str, *, points: int = 3) -> Training:
    return Training(
        curve=[
            CurvePoint(step=10 * i, loss=2.3 / (1 + i), learning_rate=1e-3 * (points - i) / points)
            for i in range(points)
        ],
        evaluations=[Evaluation(step=10, loss=2.1, accuracy=0.25)],
        best_step=10,
        outcomes=outcomes,
    )


def fake_cost(*, step_seconds: float = 0.0123, samples: int = 3) -> Cost:
    return Cost(
        step_seconds=[step_seconds * (1 + i / 1000) for i in range(samples)],
        tokens_per_step=6400,
        peak_memory_bytes=123 * 2**20,
        memory_method="made up",
        parameters=104_234,
        non_embedding_parameters=99_001,
        flops_per_step=3_210_000_000,
        flops_method="made up",
        state_bytes=65_536,
        kernels=["fake"],
    )


def fake_record(
    identity: Identity | None = None,
    *,
    accuracy: float = 0.36,
    role: str = "method",
    outcomes: bool = True,
    points: int = 3,
    machine: str = "Fake CPU, 2 cores, 8 GiB",
    step_seconds: float = 0.0123,
    started: str = "2001-02-03T04:05:06+00:00",
    data: DataCard | None = None,
) -> Record:
    identity = identity or fake_identity()
    bits, successes = fake_outcomes(accuracy, int(identity.digest(), 16))
    return Record(
        identity=identity,
        status="completed",
        role=role,  # type: ignore[arg-type]
        metrics=[
            Measured(
                name="accuracy",
                unit="fraction",
                higher_is_better=True,
                value=successes / NUM_TEST,
                proportion=Proportion(successes=successes, trials=NUM_TEST),
            )
        ],
        training=fake_training(bits if outcomes else "", points=points),
        cost=fake_cost(step_seconds=step_seconds, samples=points),
        data=data or fake_data(),
        settings_resolved={"steps": 300, "batch_size": 32},
        machine=fake_machine(machine),
        provenance=fake_provenance(started),
    )


def failed_record(
    identity: Identity | None = None,
    *,
    status: Status = "unsupported",
    reason: str = "fake-attention cannot mask padded keys.",
    role: str = "method",
) -> Record:
    return Record(
        identity=identity or fake_identity(),
        status=status,
        reason=reason,
        role=role,  # type: ignore[arg-type]
        machine=fake_machine(),
        provenance=fake_provenance(),
    )
