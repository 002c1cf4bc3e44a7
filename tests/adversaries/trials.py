"""Real trials of adversaries, run within this process."""

import dataclasses
from pathlib import Path
from typing import Any

import torch

from bench.plan import Reference, Trial
from bench.trial import run_trial
from results.record import Identity, Record
from tasks.cost import TASK as COST
from tests.fakes.tiny_language import PRESET as TEXT
from tests.fakes.tiny_task import TASK as MAJORITY

HERE = Path(__file__)
SWEEP = {
    "lengths": "200",
    "modes": "forward",
    "causal": "true",
    "num_heads": 2,
    "head_dim": 16,
    "min_samples": 12,
    "max_samples": 12,
    "crossovers": False,
    # A busy machine makes no cell too long.
    "cell_seconds": 120.0,
}


def trained(locator: str, *, dtype: str = "float32", max_time: int = 15) -> Record:
    """A trial of accuracy; it ends at the gate if the method does not pass."""
    preset = dataclasses.replace(MAJORITY.presets[0], max_time=max_time)
    return _run(locator, "tests.fakes.tiny_task:TASK", preset, dtype)


def modelled(locator: str) -> Record:
    """A trial of next-token prediction, of 200 training steps."""
    training = dataclasses.replace(TEXT.training, steps=200, evaluate_every=0)
    preset = dataclasses.replace(TEXT, training=training)
    task = "tests.fakes.tiny_language:TASK"
    return _run(locator, task, preset, "float32", source="packaged")


def classified(locator: str) -> Record:
    """A trial of accuracy, of 200 training steps."""
    preset = MAJORITY.presets[0]
    training = dataclasses.replace(preset.training, steps=200)
    preset = dataclasses.replace(preset, training=training)
    return _run(locator, "tests.fakes.tiny_task:TASK", preset, "float32")


def timed(locator: str, **sweep: Any) -> Record:
    """A trial of cost, of one cell."""
    quick = COST.presets[0]
    sweep = dataclasses.replace(quick.sweep, **SWEEP | sweep)
    preset = dataclasses.replace(quick, sweep=sweep)
    reference = Reference(name="softmax", locator="methods.softmax:METHOD", options={})
    return _run(locator, "tasks.cost:TASK", preset, "float32", reference=reference)


def _run(
    locator: str,
    task: str,
    preset: Any,
    dtype: str,
    source: str = "generated",
    **rest: Any,
) -> Record:
    identity = Identity(
        method="adversary",
        task="t",
        task_version=1,
        preset="quick",
        source=source,
        dtype=dtype,
    )
    trial = Trial(
        identity=identity,
        method_locator=locator,
        method_file=HERE,
        task_locator=task,
        task_file=HERE,
        preset=preset,
        device="cpu",
        role="method",
        same_as=None,
        **rest,
    )
    with torch.random.fork_rng(devices=[]):
        return run_trial(trial, command="bench", cache=None, report=lambda _: None)
