"""Synthetic records of language tasks, for tests; every name and number in them is made up."""

import base64
import math
from collections.abc import Mapping, Sequence

import numpy as np

from results.language import LanguageResult, RateRun, TextOutcome
from results.record import (
    CurvePoint,
    Evaluation,
    Measured,
    Proportion,
    Record,
    Scalar,
    Training,
)
from tests.results.records import (
    fake_cost,
    fake_data,
    fake_identity,
    fake_machine,
    fake_provenance,
)

NUM_BLOCKS, EACH, STEPS = 64, 255, 100
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
PROTOCOL: Mapping[str, Scalar] = {
    "model": "fake-lm",
    "train": "all",
    "steps": STEPS,
    "batch_size": 8,
    "learning_rate": 3e-4,
    "schedule": "cosine",
    "warmup_steps": 10,
    "weight_decay": 0.0,
    "beta1": 0.9,
    "beta2": 0.95,
    "clip_norm": 1.0,
    "learning_rates": "",
    "search_steps": 0,
}
CARD = {"model": "fake-lm, made up", "spikes": "a step whose loss is made up"}


def fake_blocks(accuracy: float, luck_seed: int, num_blocks: int = NUM_BLOCKS) -> TextOutcome:
    """Blocks that are hard for one model are hard for all."""
    hard = np.random.default_rng(0).normal(0.0, 0.08, num_blocks)
    luck = np.random.default_rng(luck_seed).normal(0.0, 0.005, num_blocks)
    chances = np.clip(accuracy * (1 + hard - hard.mean()) + luck - luck.mean(), 0, 1)
    hits = np.rint(EACH * chances).astype(int)
    losses = 6.0 - 8.0 * hits / EACH
    return TextOutcome(
        loss=float(losses.mean()),
        accuracy=float(hits.sum() / (num_blocks * EACH)),
        block_losses=losses.tolist(),
        block_hits=hits.tolist(),
    )


def fake_language_record(
    method: str = "performer",
    accuracy: float = 0.30,
    *,
    before: float = 0.10,
    task: str = "c4/finetune",
    seed: int = 0,
    role: str = "method",
    options: dict[str, Scalar] | None = None,
    settings: dict[str, Scalar] | None = None,
    protocol: Mapping[str, Scalar] | None = None,
    runs: Sequence[RateRun] = (),
    spikes: Sequence[int] = (),
    tokens_per_second: float | None = 400.0,
    machine: str = "Fake CPU, 2 cores, 8 GiB",
    exact_layers: Sequence[str] = (),
) -> Record:
    """A finetuned or pretrained model, with recovery on the way."""
    who = fake_identity(
        method, task, seed=seed, source="packaged", options=options, settings=settings
    )
    luck = int(who.digest(), 16)
    first, last = (fake_blocks(a, luck) for a in (before, accuracy))
    result = {"exact_layers": list(exact_layers), "tokens_per_second": tokens_per_second}
    return Record(
        identity=who,
        status="completed",
        role=role,  # type: ignore[arg-type]
        metrics=fake_metrics(last),
        training=fake_recovery(before, accuracy, last),
        cost=fake_cost(),
        language=fake_result(first, last, runs=list(runs), spikes=list(spikes), **result),
        data=fake_data("Made-up speeches", stand_in=True),
        settings_resolved={**PROTOCOL, **(protocol or {})},
        machine=fake_machine(machine),
        provenance=fake_provenance(),
    )


def fake_result(first: TextOutcome, last: TextOutcome, **rest: object) -> LanguageResult:
    """What a main run found, with all that is not given made up."""
    return LanguageResult(
        predictions_per_block=EACH,
        before=first,
        after=last,
        losses=fake_losses(rest["spikes"]),  # type: ignore[arg-type]
        trained_parameters=134_515_008,
        method_parameters=12_345,
        card=CARD,
        **rest,  # type: ignore[arg-type]
    )


def fake_losses(spikes: Sequence[int] = ()) -> list[float]:
    """Of every step, falling, with waves, and higher at spikes."""
    falling = [5.0 - 2.0 * i / STEPS + 0.1 * math.sin(i) for i in range(STEPS)]
    return [loss + 2.0 * (step in spikes) for step, loss in enumerate(falling, start=1)]


def fake_metrics(last: TextOutcome) -> list[Measured]:
    """Accuracy with its counts, and the loss."""
    hits, trials = sum(last.block_hits), EACH * len(last.block_hits)
    accuracy = Measured(
        name="accuracy",
        unit="fraction",
        higher_is_better=True,
        value=hits / trials,
        proportion=Proportion(successes=hits, trials=trials),
    )
    loss = Measured(name="loss", unit="nat/token", higher_is_better=False, value=last.loss)
    return [accuracy, loss]


def fake_recovery(before: float, accuracy: float, last: TextOutcome) -> Training:
    """A straight line from before to after, and the outcomes that fit the end."""
    shares = {step: before + (accuracy - before) * step / STEPS for step in range(0, STEPS + 1, 25)}
    right = np.concatenate([np.arange(EACH) < hit for hit in last.block_hits])
    return Training(
        curve=[CurvePoint(step=1, loss=5.0, learning_rate=3e-4)],
        evaluations=[
            Evaluation(step=step, loss=6 - 8 * share, accuracy=share)
            for step, share in shares.items()
        ],
        best_step=STEPS,
        outcomes=base64.b64encode(np.packbits(right).tobytes()).decode(),
    )


def fake_run(
    rate: float, loss: float | None = 3.0, *, spikes: Sequence[int] = (), steps: int = 20
) -> RateRun:
    """One training run; `loss=None` for one that diverged halfway."""
    made = steps if loss is not None else steps // 2
    losses = [5.0 - i / steps for i in range(made)]
    return RateRun(
        learning_rate=rate,
        losses=losses if loss is not None else [*losses[:-1], math.inf],
        diverged_at=None if loss is not None else made,
        spikes=list(spikes),
        loss=loss,
        accuracy=None if loss is None else 0.3,
    )


def fake_stability_record(
    method: str = "performer",
    losses: Mapping[float, float | None] | None = None,
    *,
    spikes: Mapping[float, Sequence[int]] | None = None,
    seed: int = 0,
    role: str = "method",
    options: dict[str, Scalar] | None = None,
) -> Record:
    """A run for each learning rate, with its validation loss; None: it diverged."""
    found = losses or dict(zip(RATES, (3.4, 3.1, 3.0, 3.05, None), strict=True))
    runs = [fake_run(r, loss, spikes=(spikes or {}).get(r, ())) for r, loss in found.items()]
    record = fake_language_record(
        method, task="c4/stability", seed=seed, role=role, options=options, runs=runs
    )
    assert record.language is not None
    language = record.language.model_copy(update={"after": None, "losses": [], "spikes": []})
    return record.model_copy(update={"language": language, "metrics": [], "training": None})


def finetuned(seeds: Sequence[int] = (0,)) -> list[Record]:
    """Softmax, three methods and two floors, one of the methods no better than these."""
    accuracies = {
        "softmax": ("ceiling", 0.40),
        "darkformer": ("method", 0.34),
        "performer": ("method", 0.339),
        "lfk": ("method", 0.20),
        "hopeless": ("method", 0.102),
        "constant": ("floor", 0.10),
        "random": ("floor", 0.11),
    }
    return [
        fake_language_record(method, accuracy, role=role, seed=seed, before=accuracy / 2)
        for method, (role, accuracy) in accuracies.items()
        for seed in seeds
    ]
