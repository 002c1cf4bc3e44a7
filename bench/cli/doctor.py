"""`bench doctor`: this machine, its packages, and what is unavailable here and why."""

import json
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.cli.selection import is_installed
from bench.compatibility import method_problem
from bench.executors.devices import find_devices
from bench.machine import describe_machine
from bench.memory import PeakMemory
from bench.registry import Registry, load_registry
from bench.settings import data_options
from results.store import Store
from tasks.api import LoadRequest
from tasks.sweep import CostTask


def doctor_command(
    *,
    results: Annotated[str, Parameter(name="--results")] = "bench-results",
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Show this machine, its packages, and what is unavailable here and why.

    Examples:

        python -m bench doctor

    Parameters
    ----------
    results:
        The folder of records to look through for files that are none.
    json_:
        Print as JSON.
    """
    registry = load_registry()
    device = find_devices("auto")[0].name
    with PeakMemory(device) as memory:
        pass
    store = Store(results)
    reading = store.read()
    report: dict[str, object] = {
        "machine": describe_machine(device).model_dump(),
        "peak memory is measured by": memory.method,
        "methods": _methods(registry, device.split(":")[0]),
        "sources": _sources(registry),
        "broken plug-ins": {b.locator: b.reason for b in registry.broken},
        "results": f"{len(reading.records)} records in {store.folder}",
        "results passed over": {p.file: p.reason for p in reading.problems},
    }
    if json_:
        print(json.dumps(report, indent=2))
    else:
        _show(report)
    return 0


def _methods(registry: Registry, device: str) -> dict[str, str]:
    problems = {
        name: method_problem(entry.value, device=device, dtype=None, is_installed=is_installed)
        for name, entry in sorted(registry.methods.items())
    }
    return {name: "available" if p is None else p.reason for name, p in problems.items()}


def _sources(registry: Registry) -> dict[str, str]:
    """What each source lacks here. A release is asked for by path, so it lacks nothing yet."""
    found = {}
    for name, entry in sorted(registry.tasks.items()):
        task = entry.value
        if isinstance(task, CostTask):
            continue
        for source in task.sources:
            if source.name == "release":
                found[f"{name} release"] = "give the path with --source"
                continue
            reason = source.missing(LoadRequest(data=data_options(task.presets[0])))
            present = (
                "installed; loading needs the network" if source.name == "hub" else "available"
            )
            found[f"{name} {source.name}"] = reason or present
    return found


def _show(report: dict[str, object]) -> None:
    console = Console()
    for title, value in report.items():
        if not isinstance(value, dict):
            console.print(f"[bold]{escape(title)}[/]: {escape(str(value))}")
            continue
        if not value:
            continue
        table = Table(box=None, show_header=False, pad_edge=False)
        for key, cell in value.items():
            table.add_row(f"  {escape(str(key))}", escape(str(cell)))
        console.print(f"[bold]{escape(title)}[/]")
        console.print(table)
