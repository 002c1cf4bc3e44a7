"""Turns a request into trials, each with the reason why it cannot run, if any.

Pure: no torch, no clock, no disk.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.compatibility import (
    Problem,
    check_devices,
    language_problem,
    method_problem,
    probe_problem,
    sweep_problem,
    task_problem,
)
from bench.errors import UsageError, nearest
from bench.selector import Scalar
from bench.settings import AnyPreset, apply_settings, check_settings, default_dtype, head_dim
from results.record import Identity
from tasks.api import TrainedTask
from tasks.language import LanguagePreset, LanguageTask, check_protocol
from tasks.probe import ProbePreset, ProbeTask
from tasks.sweep import CostPreset, CostTask

if TYPE_CHECKING:
    from bench.registry import AnyTask, Entry
    from methods.api import Method
    from tasks.api import Preset

RELEASE = "release:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenMethod:
    """A registered method with its options resolved."""

    entry: "Entry[Method]"
    options: Mapping[str, Scalar]
    is_control: bool = False
    """Added as floor or ceiling, not asked for: left out of a cost task, which has a reference, and
    of a probe, whose reference is theory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything that the command line asked for, resolved against the registry."""

    methods: tuple[ChosenMethod, ...]
    tasks: tuple["Entry[AnyTask]", ...]
    preset: str = "quick"
    source: str | None = None
    """A source's name, `release:PATH`, or None for each preset's own."""
    seeds: tuple[int, ...] | None = None
    device: str = "cpu"
    device_kind: str = "cpu"
    dtype: str | None = None
    """None: each preset's own."""
    compile: bool = False
    devices_per_trial: int = 1
    timing: bool = True
    """Whether trained trials record times, throughput and peak memory."""
    settings: Mapping[str, str] = field(default_factory=dict)


def _no_method(text: str) -> ChosenMethod:
    raise UsageError(f"No method is named {text!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What planning must know of this machine, handed in as functions."""

    is_installed: Callable[[str], bool]
    source_problem: Callable[
        ["TrainedTask | ProbeTask | LanguageTask", str, "Preset | ProbePreset | LanguagePreset"],
        str | None,
    ]
    find_method: Callable[[str], ChosenMethod] = _no_method
    """A method as typed; raises UsageError."""
    compute_capability: Callable[[str], tuple[int, int] | None] = lambda _: None
    """A device's, as (major, minor); None where it is no GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a cost trial measures in turn with its method."""

    name: str
    locator: str
    options: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One cell of the table, complete: another process can run it from this alone."""

    identity: Identity
    method_locator: str
    method_file: Path
    task_locator: str
    task_file: Path
    preset: AnyPreset
    """With the settings applied."""
    device: str
    role: str
    same_as: str | None
    reference: Reference | None = None
    """Of a cost trial."""
    devices: int = 1
    """That run it together, a process for each: a model too large for one is cut over them."""
    timing: bool = True
    """False of a trained trial whose times, throughput and peak memory are left out."""
    problem: Problem | None = None
    digest: str = field(init=False)
    """The identity's, computed once: a plan asks for it again and again."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", self.identity.digest())

    @property
    def shares_device(self) -> bool:
        """Whether others may run beside it: nothing that depends on them is recorded."""
        untimed = not self.timing or isinstance(self.preset, ProbePreset)
        return untimed and self.devices == 1


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
            trials.setdefault(trial.digest, trial)
    return Plan(trials=tuple(trials.values()))


def _task_trials(
    request: Request, surroundings: Surroundings, task: "Entry[AnyTask]", preset: AnyPreset
) -> Iterator[Trial]:
    preset, applied = _applied(request, task.value, preset)
    dtype = request.dtype or default_dtype(preset)
    source, source_problem = _source(task.value, preset, request.source, surroundings)
    methods = _judged(request, task.value, preset, dtype, surroundings)
    reference = _reference(preset, surroundings)
    seeds = request.seeds if request.seeds is not None else preset.seeds
    for seed, (chosen, problem) in itertools.product(seeds, methods):
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
                dtype=dtype,
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
            devices=request.devices_per_trial,
            role=method.role,
            same_as=method.same_as,
            reference=reference,
            timing=request.timing or isinstance(preset, CostPreset | ProbePreset),
            problem=problem or source_problem,
        )


def _judged(
    request: Request,
    task: "AnyTask",
    preset: AnyPreset,
    dtype: str,
    surroundings: Surroundings,
) -> list[tuple[ChosenMethod, Problem | None]]:
    """The methods, without controls where the task has a reference of its own, and what stands
    against each."""
    trained = isinstance(task, TrainedTask | LanguageTask)
    return [
        (chosen, _problem(request, chosen, task, preset, dtype, surroundings))
        for chosen in request.methods
        if trained or not chosen.is_control
    ]


def _applied(
    request: Request, task: "AnyTask", preset: AnyPreset
) -> tuple[AnyPreset, dict[str, Scalar]]:
    """The preset with the settings, checked, and those settings."""
    preset, applied = apply_settings(preset, request.settings)
    try:
        if isinstance(task, ProbeTask):
            assert isinstance(preset, ProbePreset), "a task's presets are of its kind"
            task.check(preset.settings)
        elif isinstance(task, LanguageTask):
            assert isinstance(preset, LanguagePreset), "a task's presets are of its kind"
            check_protocol(task, preset)
    except ValueError as error:
        raise UsageError(f"{task.name}, preset {preset.name!r}: {error}") from error
    check_devices(request.devices_per_trial, task, preset)
    return preset, applied


def _problem(
    request: Request,
    chosen: ChosenMethod,
    task: "AnyTask",
    preset: AnyPreset,
    dtype: str,
    surroundings: Surroundings,
) -> Problem | None:
    method = chosen.entry.value
    problem = method_problem(
        method,
        device=request.device,
        dtype=dtype,
        is_installed=surroundings.is_installed,
        options=chosen.options,
        head_dim=head_dim(preset),
        compute_capability=surroundings.compute_capability(request.device),
    )
    if problem is not None:
        return problem
    if isinstance(task, CostTask):
        assert isinstance(preset, CostPreset), "a task's presets are of its kind"
        return sweep_problem(method, task.name, preset.sweep, compiled=request.compile)
    if isinstance(task, ProbeTask):
        return probe_problem(method, task, compiled=request.compile)
    if isinstance(task, LanguageTask):
        assert isinstance(preset, LanguagePreset), "a task's presets are of its kind"
        return language_problem(method, task, preset, dtype, compiled=request.compile)
    return task_problem(method, task)


def _reference(preset: AnyPreset, surroundings: Surroundings) -> Reference | None:
    if not isinstance(preset, CostPreset):
        return None
    chosen = surroundings.find_method(preset.sweep.against)
    return Reference(
        name=chosen.entry.value.name, locator=chosen.entry.locator, options=dict(chosen.options)
    )


def _preset(task: "AnyTask", name: str) -> AnyPreset:
    preset = task.preset(name)
    if preset is None:
        known = [p.name for p in task.presets]
        raise UsageError(
            f"{task.name} has no preset {name!r}.{nearest(name, known)} It has: {', '.join(known)}."
        )
    return preset


def _source(
    task: "AnyTask", preset: AnyPreset, asked: str | None, surroundings: Surroundings
) -> tuple[str, Problem | None]:
    name = asked or preset.source
    if isinstance(task, CostTask):
        reason = f"{task.name} draws its inputs as it needs them. Leave --source out."
        own = name == preset.source
        return name, None if own else Problem(status="unavailable", reason=reason)
    assert not isinstance(preset, CostPreset), "a task's presets are of its kind"
    kind = name.split(":")[0]
    if task.source(kind) is None:
        has = ", ".join(
            s.name if s.name != "release" else "a PATH to a release" for s in task.sources
        )
        return name, Problem(
            status="unavailable",
            reason=f"{task.name} has no source {kind!r}. It has: {has}. Choose one with --source.",
        )
    missing = surroundings.source_problem(task, name, preset)
    return name, Problem(status="unavailable", reason=missing) if missing else None
