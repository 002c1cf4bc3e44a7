"""`bench list`: what is registered."""

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.cli.selection import is_installed
from bench.compatibility import method_problem
from bench.registry import Registry, load_registry
from bench.selector import describe

Row = Mapping[str, str]


def list_command(
    what: Literal["methods", "tasks", "suites", "presets"] = "methods",
    *,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """List methods, tasks, suites or presets.

    Examples:

        python -m bench list methods

        python -m bench list presets --json

    Parameters
    ----------
    what:
        What to list.
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
        problem = method_problem(method, device="cpu", dtype="float32", is_installed=is_installed)
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
                "can": " ".join(can),
                "options": ", ".join(options),
                "paper": method.paper,
                "here": "available" if problem is None else problem.reason,
            }
        )
    return rows


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
            "length": str(preset.max_time),
            "model": f"{preset.model.num_layers} x {preset.model.d_model}",
            "steps": f"{preset.training.steps} x {preset.training.batch_size}",
            "note": preset.note,
        }
        for name, entry in sorted(registry.tasks.items())
        for preset in entry.value.presets
    ]
