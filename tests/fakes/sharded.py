"""The same small trainings in one process and in two, of models that fit either."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench.plan import Trial
from bench.runners.distributed import ALONE, Ranks
from bench.runners.found import Found
from bench.runners.language import model_language
from bench.runners.train import Progress
from results.record import Identity
from tasks.language import LanguageTask
from tests.fakes import tiny_language
from tests.fakes.pretrained import named

STEPS = 6
STOP_AT = 4
OFTEN = 1e-9
"""Seconds between checkpoints that make every step leave one."""
MODEL = "model"
"""The folder, within that of a test, with a tiny Llama of grouped queries."""
FEATURES = {"num_features": 8}
FILE = Path(tiny_language.__file__)


class PulledError(Exception):
    """The plug is pulled."""


def trial(folder: Path, method: str, *, decoder: bool = False, **changes: Any) -> Trial:
    """Seven test blocks cannot be shared equally by two."""
    options = {} if method == "softmax" else FEATURES
    if method == "performer":
        options = options | {"redraw_every": 2}
    own = tiny_language.PRESET
    shape = replace(own.decoder, dropout=0.0, num_layers=2)
    model = {} if decoder else {"model": str(folder / MODEL), "tokenizer": ""}
    preset = replace(
        own,
        text=replace(own.text, test_blocks=7, **model),
        training=replace(own.training, steps=STEPS, evaluate_every=3),
        regime=replace(own.regime, micro_batch=2, checkpoint_seconds=OFTEN, **changes),
        decoder=shape if decoder else None,
    )
    return Trial(
        identity=Identity(
            method=method,
            method_options=options,
            task="fake/next",
            task_version=1,
            preset="quick",
            source="packaged",
            settings={"decoder": decoder, **changes},
        ),
        method_locator=f"methods.{method}:METHOD",
        method_file=FILE,
        task_locator=str(FILE),
        task_file=FILE,
        preset=preset,
        device="cpu",
        role="method",
        same_as=None,
    )


def trials(folder: Path) -> dict[str, Trial]:
    """What is run by one and by two."""
    return {
        "softmax": trial(folder, "softmax", learning_rates="1e-3,1e-2", search_steps=2),
        "performer": trial(folder, "performer", checkpoint_activations=True),
        "darkformer": trial(folder, "darkformer"),
        "from-scratch": trial(folder, "performer", decoder=True),
    }


def stopped(folder: Path) -> Trial:
    """What one begins and two end, and the other way round: little learns."""
    return trial(folder, "darkformer", train="method")


def run(
    one: Trial, *, ranks: Ranks = ALONE, cache: Path | None = None, stop: bool = False
) -> Found:
    """What the trial finds; with `stop`, so far, after some steps."""
    found, steps = Found(), 0

    def report(progress: Progress) -> None:
        nonlocal steps
        steps += progress.phase == "train"
        if stop and steps == STOP_AT:
            raise PulledError

    task = LanguageTask(
        name="fake/next", version=1, title="", presets=(one.preset,), sources=tiny_language.SOURCES
    )
    torch.manual_seed(0)
    method = named(one.identity.method)
    with suppress(PulledError):
        model_language(one, method, task, cache=cache, report=report, found=found, ranks=ranks)
    return found


def as_two(pipe: Any, rank: int, port: int, folder: Path) -> None:
    """One of two processes: everything, and a training that one began, and one for it to end."""
    torch.set_num_threads(1)
    ranks, found = Ranks(rank, 2, port), {}
    for name, one in trials(folder).items():
        found[name] = run(one, ranks=ranks)
    found["begun-by-one"] = run(stopped(folder), ranks=ranks, cache=folder / "by-one")
    run(stopped(folder), ranks=ranks, cache=folder / "by-two", stop=True)
    pipe.send(json.dumps(dict(_plain(found))))


def _plain(found: dict[str, Found]) -> Iterator[tuple[str, Any]]:
    for name, one in found.items():
        assert one.language is not None
        yield name, {"language": one.language.model_dump(), "cost": one.cost}
