"""Turns a request into trials, each with the reason why it cannot run, if any.

Pure: no torch, no clock, no disk.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.compatibility import Problem, method_problem, task_problem
from bench.errors import UsageError, nearest
from bench.selector import Scalar
from bench.settings import apply_settings, check_settings
from results.record import Identity
from tasks.api import Preset

if TYPE_CHECKING:
    from bench.registry import Entry
    from methods.api import Method
    from tasks.api import TrainedTask

RELEASE = "release:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenMethod:
    """A registered method with its options resolved."""

    entry: "Entry[Method]"
    options: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything that the command line asked for, resolved against the registry."""

    methods: tuple[ChosenMethod, ...]
    tasks: tuple["Entry[TrainedTask]", ...]
    preset: str = "quick"
    source: str | None = None
    """A source's name, `release:PATH`, or None for each preset's own."""
    seeds: tuple[int, ...] | None = None
    device: str = "cpu"
    device_kind: str = "cpu"
    dtype: str = "float32"
    compile: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What planning must know of this machine, handed in as functions."""

    is_installed: Callable[[str], bool]
    source_problem: Callable[["TrainedTask", str, Preset], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One cell of the table, complete: another process can run it from this alone."""

    identity: Identity
    method_locator: str
    method_file: Path
    task_locator: str
    task_file: Path
    preset: Preset
    """With the settings applied."""
    device: str
    role: str
    same_as: str | None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The trials, in the order in which they run."""

    trials: tuple[Trial, ...]

    @property
    def runnable(self) -> tuple[Trial, ...]:
        """Those that nothing stands against."""
        return tuple(t for t in self.trials if t.problem is None)


def make_plan(request: Request, surroundings: Surroundings) -> Plan:
    """Trials in the order task, seed, method: what is compared runs close together in time."""
    presets = {t.value.name: _preset(t.value, request.preset) for t in request.tasks}
    check_settings(request.settings, list(presets.values()))
    trials: dict[str, Trial] = {}
    for task in request.tasks:
        for trial in _task_trials(request, surroundings, task, presets[task.value.name]):
            trials.setdefault(trial.identity.digest(), trial)
    return Plan(trials=tuple(trials.values()))


def _task_trials(
    request: Request, surroundings: Surroundings, task: "Entry[TrainedTask]", preset: Preset
) -> Iterator[Trial]:
    preset, applied = apply_settings(preset, request.settings)
    source, source_problem = _source(task.value, preset, request.source, surroundings)
    problems = [
        _method_problem(request, chosen, surroundings)
        or task_problem(chosen.entry.value, task.value)
        or source_problem
        for chosen in request.methods
    ]
    seeds = request.seeds if request.seeds is not None else preset.seeds
    for seed, (chosen, problem) in itertools.product(
        seeds, zip(request.methods, problems, strict=True)
    ):
        method = chosen.entry.value
        yield Trial(
            identity=Identity(
                method=method.name,
                method_options=dict(chosen.options),
                task=task.value.name,
                task_version=task.value.version,
                preset=preset.name,
                source=source,
                settings=applied,
                dtype=request.dtype,
                seed=seed,
                device=request.device_kind,
                compile=request.compile,
            ),
            method_locator=chosen.entry.locator,
            method_file=chosen.entry.file,
            task_locator=task.locator,
            task_file=task.file,
            preset=preset,
            device=request.device,
            role=method.role,
            same_as=method.same_as,
            problem=problem,
        )


def _method_problem(
    request: Request, chosen: ChosenMethod, surroundings: Surroundings
) -> Problem | None:
    return method_problem(
        chosen.entry.value,
        device=request.device,
        dtype=request.dtype,
        is_installed=surroundings.is_installed,
    )


def _preset(task: "TrainedTask", name: str) -> Preset:
    preset = task.preset(name)
    if preset is None:
        known = [p.name for p in task.presets]
        raise UsageError(
            f"{task.name} has no preset {name!r}.{nearest(name, known)} It has: {', '.join(known)}."
        )
    return preset


def _source(
    task: "TrainedTask", preset: Preset, asked: str | None, surroundings: Surroundings
) -> tuple[str, Problem | None]:
    name = asked or preset.source
    kind = name.split(":")[0]
    if task.source(kind) is None:
        has = ", ".join(
            s.name if s.name != "release" else "a PATH to a release" for s in task.sources
        )
        return name, Problem(
            status="unavailable",
            reason=f"{task.name} has no source {kind!r}. It has: {has}. Choose one with --source.",
        )
    reason = surroundings.source_problem(task, name, preset)
    return name, Problem(status="unavailable", reason=reason) if reason else None
