"""What `run` and `plan` share: the options that choose trials, and the plan made from them."""

import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from bench.cli.seeds import Seeds
from bench.errors import UsageError
from bench.executors.devices import Device, find_devices
from bench.plan import RELEASE, ChosenMethod, Plan, Request, Surroundings, make_plan
from bench.registry import AnyTask, Entry, Registry, is_locator, load_locator, load_registry
from bench.selector import parse_pairs, parse_selector, resolve_options
from bench.settings import data_options
from bench.shards import shard_of
from methods.api import Method
from tasks.api import LoadRequest, Preset, TrainedTask
from tasks.language import LanguagePreset, LanguageTask, Trains
from tasks.probe import ProbePreset, ProbeTask

Several = Parameter(consume_multiple=True, negative=())


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which trials."""

    methods: Annotated[tuple[str, ...], Several]
    """Names, `name:option=value,...`, files or import paths. `bench list methods` shows them."""
    task: Annotated[tuple[str, ...], Several]
    """Tasks or suites, such as `lra` or `lra/listops`."""
    preset: str = "quick"
    """A protocol: quick, small, or a published one. `bench list presets` shows them."""
    source: str | None = None
    """generated, packaged, hub, or the path of a release; each preset has its own default."""
    seeds: Annotated[tuple[int, ...] | None, Seeds] = None
    """One trial for each: numbers and ranges, such as 0-99, both ends included."""
    device: str = "auto"
    """auto, all, cpu, cuda or cuda:N. With all, GPUs of one kind share the trials, and each kind
    has trials of its own."""
    dtype: Literal["float32", "bfloat16", "float16", "float64"] | None = None
    """Half precisions run under autocast: weights stay in float32. Default: the preset's own, which
    is float32 except in some language tasks."""
    compile: bool = False
    """Compile the model with torch.compile."""
    controls: bool = True
    """Also run the floors (no-mixing, constant, random) and the ceiling (softmax), but not where
    cost is measured, as every trial has its reference there, nor in probes."""
    devices_per_trial: int = 1
    """GPUs that train one language model together, each with a part of it and of every batch; on a
    processor, processes."""
    train: Trains | None = None
    """What of a language model learns: all, attention, or the method's own parameters (method).
    Short for --set train=..."""
    timing: bool = True
    """Record times, throughput and peak memory of training; --no-timing leaves them out, so that
    trials may run beside each other."""
    set: Annotated[tuple[str, ...], Several] = field(default=())
    """key=value pairs that change the preset, such as steps=500 learning_rate=0.001."""
    shards: int | None = None
    """Split the plan into so many parts, for the jobs of an array, and take one: --shard."""
    shard: int | None = None
    """Which part, from 0. Every part of the same command is another one, and none is missing."""


def plan_selection(
    selection: Selection, cache: Path | None, devices: Sequence[Device] | None = None
) -> Plan:
    """The plan, made against this machine's registry and packages. Raises UsageError.

    devices: where it will run; if not given, those of this machine that the selection names.
    """
    shard = _shard(selection.shards, selection.shard)
    registry = load_registry()
    tasks = _tasks(selection, registry)
    if selection.train and not any(isinstance(t.value, LanguageTask) for t in tasks):
        raise UsageError("No chosen task trains a language model: leave --train out.")
    request = Request(
        methods=_methods(selection, registry),
        tasks=tasks,
        preset=selection.preset,
        source=_source(selection.source),
        seeds=selection.seeds,
        dtype=selection.dtype,
        compile=selection.compile,
        devices_per_trial=selection.devices_per_trial,
        timing=selection.timing,
        settings=_settings(selection),
    )

    def plan_on(device: Device) -> Plan:
        here = Surroundings(
            is_installed=is_installed,
            source_problem=functools.partial(_source_problem, cache),
            find_method=lambda text: find_method(text, registry),
            compute_capability=lambda _: device.compute_capability,
        )
        return make_plan(replace(request, device=device.name, device_kind=device.kind), here)

    kinds: dict[str, Device] = {}
    for device in devices or chosen_devices(selection.device, selection.devices_per_trial):
        kinds.setdefault(device.kind, device)
    plan = Plan(trials=tuple(t for device in kinds.values() for t in plan_on(device).trials))
    return plan if shard is None else shard_of(plan, *shard)


def _source_problem(
    cache: Path | None,
    task: TrainedTask | ProbeTask | LanguageTask,
    name: str,
    preset: Preset | ProbePreset | LanguagePreset,
) -> str | None:
    source = task.source(name.split(":")[0])
    assert source is not None
    path = Path(name.removeprefix(RELEASE)) if name.startswith(RELEASE) else None
    return source.missing(LoadRequest(data=data_options(preset), path=path, cache=cache))


def _shard(count: int | None, index: int | None) -> tuple[int, int] | None:
    """How many parts, and which; None for the whole plan. Raises UsageError."""
    if count is None and index is None:
        return None
    if count is None or index is None:
        raise UsageError("--shards N and --shard I, from 0 to N-1, go together.")
    if count < 1:
        raise UsageError(f"--shards takes a number from 1, not {count}.")
    if not 0 <= index < count:
        raise UsageError(
            f"There is no --shard {index} of {count}: shards have the numbers 0 to {count - 1}."
        )
    return count, index


def is_installed(package: str) -> bool:
    """Whether a package can be found, without importing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def find_method(text: str, registry: Registry) -> ChosenMethod:
    """A method as typed, found and with its options resolved. Raises UsageError."""
    selector = parse_selector(text)
    entry: Entry[Method] = (
        load_locator(selector.what, "METHOD")
        if is_locator(selector.what)
        else registry.method(selector.what)
    )
    name = entry.value.name
    if is_locator(selector.what) and name in registry.methods:
        raise UsageError(
            f"{selector.what} defines a method named {name!r}, a name that"
            f" {registry.methods[name].locator} has already. Rename it."
        )
    options = resolve_options(selector.options, entry.value.options, owner=name)
    return ChosenMethod(entry=entry, options=options)


def _methods(selection: Selection, registry: Registry) -> tuple[ChosenMethod, ...]:
    chosen = [find_method(text, registry) for text in selection.methods]
    locators = {c.entry.value.name: c.entry.locator for c in chosen}
    for one in chosen:
        name = one.entry.value.name
        if locators[name] != one.entry.locator:
            raise UsageError(
                f"Two origins define the method {name!r}: {one.entry.locator} and"
                f" {locators[name]}. Rename one of them."
            )
    if selection.controls:
        chosen += [
            replace(find_method(name, registry), is_control=True)
            for name, entry in registry.methods.items()
            if _is_control(entry.value) and name not in locators
        ]
    return tuple(chosen)


def _is_control(method: Method) -> bool:
    """Floors and ceilings; another implementation of a ceiling would only say the same again."""
    return method.role != "method" and method.same_as is None


def _tasks(selection: Selection, registry: Registry) -> tuple[Entry[AnyTask], ...]:
    found: dict[str, Entry[AnyTask]] = {}
    for name in selection.task:
        entries = [load_locator(name, "TASK")] if is_locator(name) else registry.tasks_named(name)
        found |= {entry.value.name: entry for entry in entries}
    return tuple(found.values())


def chosen_devices(name: str, per_trial: int = 1) -> tuple[Device, ...]:
    """This machine's devices of that name. Raises UsageError."""
    try:
        return find_devices(name, per_trial=per_trial)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _source(text: str | None) -> str | None:
    if text is None or text in ("generated", "packaged", "hub"):
        return text
    path = Path(text)
    if path.exists():
        return f"{RELEASE}{path.resolve()}"
    raise UsageError(
        f"--source {text} is neither generated, packaged nor hub, and there is no folder or file of"
        " that name. Give the path that the release was unpacked to."
    )


def _settings(selection: Selection) -> dict[str, str]:
    """Those of --set and --train: a trial is the same however it was asked for."""
    given = parse_pairs(list(selection.set))
    if selection.train is None:
        return given
    if given.get("train", selection.train) != selection.train:
        raise UsageError(
            f"--train says {selection.train} and --set says train={given['train']}. Give one."
        )
    return given | {"train": selection.train}
