"""`bench list`: what is registered."""

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.cli.selection import is_installed
from bench.compatibility import Problem, method_problem
from bench.errors import UsageError, nearest
from bench.executors.devices import find_devices
from bench.registry import Registry, load_registry
from bench.selector import describe
from bench.settings import AnyPreset
from methods.api import Capabilities, Method
from tasks.language import LanguagePreset
from tasks.probe import ProbePreset
from tasks.sweep import CostPreset

Row = Mapping[str, str]


def list_command(
    what: Literal["methods", "tasks", "suites", "presets"] = "methods",
    *,
    family: str | None = None,
    available: Annotated[bool, Parameter(negative=())] = False,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """List methods, tasks, suites or presets.

    Examples:

        python -m bench list methods

        python -m bench list methods --family "random features" --available

        python -m bench list presets --json

    Parameters
    ----------
    what:
        What to list.
    family:
        Only methods of this family.
    available:
        Only methods that run on this machine.
    json_:
        Print as JSON.
    """
    registry = load_registry()
    rows = {
        "methods": _methods,
        "tasks": _tasks,
        "suites": _suites,
        "presets": _presets,
    }[what](registry)
    if family is not None or available:
        if what != "methods":
            raise UsageError(f"--family and --available choose among methods, not {what}.")
        rows = _chosen(rows, family, available)
    if json_:
        print(json.dumps(rows, indent=2))
        return 0
    console = Console()
    for row in rows:
        console.print(_entry(row))
    for broken in registry.broken:
        Console(stderr=True).print(f"broken plug-in {broken.locator}: {escape(broken.reason)}")
    return 0


def _entry(row: Row) -> Table:
    """A heading, and below it what there is to say, wrapped beside its own name."""
    (_, heading), *facts = row.items()
    table = Table(box=None, show_header=False, padding=(0, 1), title_justify="left")
    table.title = f"[bold not italic]{escape(heading)}[/]"
    table.add_column(min_width=10, style="dim")
    table.add_column()
    for name, fact in facts:
        if fact:
            table.add_row(name, escape(fact))
    return table


def _methods(registry: Registry) -> list[Row]:
    rows: list[Row] = []
    for name, entry in sorted(registry.methods.items()):
        method = entry.value
        problem = _problem(method)
        can = [c for c in ("causal", "bidirectional", "cross", "key_padding", "stepwise",
                           "grouped_query") if getattr(method.can, c)]  # fmt: skip
        options = [
            f"{o.name}={o.default} ({describe(o.annotation)})" for o in method.options.values()
        ]
        rows.append(
            {
                "name": name,
                "what": entry.title,
                "family": method.family + (f", same as {method.same_as}" if method.same_as else ""),
                "time": method.time,
                "state": method.state,
                "can": ", ".join(can),
                "runs": _runs(method.can),
                "options": ", ".join(options),
                "paper": method.paper,
                "here": "available" if problem is None else problem.reason,
            }
        )
    return rows


def _problem(method: Method) -> Problem | None:
    """Why the method runs on no device of this machine."""
    for device in dict.fromkeys(("cpu", find_devices("auto")[0].name.split(":")[0])):
        problem = method_problem(method, device=device, dtype=None, is_installed=is_installed)
        if problem is None:
            return None
    return problem


def _chosen(rows: list[Row], family: str | None, available: bool) -> list[Row]:
    families = sorted({row["family"].split(", same as ")[0] for row in rows})
    if family is not None:
        if family not in families:
            raise UsageError(
                f"No method is of family {family!r}.{nearest(family, families)}"
                f" The families: {', '.join(families)}."
            )
        rows = [row for row in rows if row["family"].split(", same as ")[0] == family]
    return [row for row in rows if not available or row["here"] == "available"]


def _runs(can: Capabilities) -> str:
    """Devices and dtypes, and what is asked of a GPU and of a head's dimension."""
    asked = [f"at least {can.least_head_dim}"] * (can.least_head_dim > 1)
    asked += [f"at most {can.largest_head_dim}"] * (can.largest_head_dim is not None)
    asked += [f"a multiple of {can.head_dim_multiple}"] * (can.head_dim_multiple > 1)
    runs = f"on {', '.join(can.devices)} in {', '.join(can.dtypes)}"
    if can.compute_capability is not None:
        runs += f"; compute capability {'.'.join(map(str, can.compute_capability))} or newer"
    return runs + (f"; head dimension {' and '.join(asked)}" if asked else "")


def _tasks(registry: Registry) -> list[Row]:
    return [
        {
            "name": name,
            "title": entry.value.title,
            "version": str(entry.value.version),
            "sources": "; ".join(f"{s.name}: {s.title}" for s in entry.value.sources),
            "presets": " ".join(p.name for p in entry.value.presets),
        }
        for name, entry in sorted(registry.tasks.items())
    ]


def _suites(registry: Registry) -> list[Row]:
    return [
        {"name": name, "title": entry.value.title, "tasks": " ".join(entry.value.tasks)}
        for name, entry in sorted(registry.suites.items())
    ]


def _presets(registry: Registry) -> list[Row]:
    return [
        {
            "task": name,
            "preset": preset.name,
            "source": preset.source,
            **_protocol(preset),
            "note": preset.note,
        }
        for name, entry in sorted(registry.tasks.items())
        for preset in entry.value.presets
    ]


def _protocol(preset: AnyPreset) -> Row:
    if isinstance(preset, CostPreset):
        sweep = preset.sweep
        return {
            "length": ", ".join(map(str, sweep.all_lengths)),
            "sizes": f"{sweep.level}, {sweep.batch} x {sweep.num_heads} x {sweep.head_dim}",
            "modes": sweep.modes.replace(",", ", "),
            "time": f"{sweep.total_seconds:g} s a trial, {sweep.cell_seconds:g} s a cell",
        }
    if isinstance(preset, ProbePreset):
        return {
            "length": str(preset.max_time or ""),
            "settings": ", ".join(f"{name}={value}" for name, value in preset.settings.items()),
        }
    if isinstance(preset, LanguagePreset):
        return _language(preset)
    return {
        "length": str(preset.max_time),
        "model": f"{preset.model.num_layers} x {preset.model.d_model}",
        "steps": f"{preset.training.steps} x {preset.training.batch_size}",
    }


def _language(preset: LanguagePreset) -> Row:
    training, text, regime, shape = preset.training, preset.text, preset.regime, preset.decoder
    model = text.model
    if shape is not None:
        model = f"{shape.num_layers} x {shape.d_model}, tokens of {text.tokenizer}"
    tokens = training.steps * training.batch_size * text.length
    return {
        "length": str(text.length),
        "model": model,
        "trains": f"{regime.train}, in {preset.dtype}",
        "steps": f"{training.steps} x {training.batch_size} blocks, {tokens} tokens",
        "rates": regime.learning_rates.replace(",", ", ") or f"{training.learning_rate:g}",
    }
