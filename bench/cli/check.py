"""`bench check`: the contract on one method or on all."""

import json
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from bench.cli.selection import find_method, is_installed
from bench.compatibility import method_problem
from bench.errors import UsageError
from bench.registry import Registry, load_registry
from methods.api import MissingDependencyError, UnsupportedError
from methods.core.testing import LawResult, check_method


def check_command(
    *methods: str,
    device: str = "cpu",
    head_dim: int = 16,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Run the contract on a method: a registered one, a file or an import path.

    Every law is named, with what was seen where it is broken. Exit code 1 if any is.

    Examples:

        python -m bench check performer

        python -m bench check ./my_attention.py

        python -m bench check my_package.attention:METHOD darkformer:rank=8

    Parameters
    ----------
    methods:
        What to check; nothing: every registered method.
    device:
        Where to compute: cpu, cuda or cuda:N.
    head_dim:
        The head dimension to check with.
    json_:
        Print the outcomes as JSON.
    """
    registry = load_registry(("METHOD",))
    console = Console()
    report: dict[str, list[LawResult] | str] = {}
    for text in methods or tuple(registry.methods):
        report[text] = _outcome(text, registry, device, head_dim)
        if not json_:
            _show(console, text, report[text])
    if json_:
        print(json.dumps({k: _plain(v) for k, v in report.items()}, indent=2))
    broken = [text for text, laws in report.items() if not isinstance(laws, str) and _failed(laws)]
    return 1 if broken else 0


def _outcome(text: str, registry: Registry, device: str, head_dim: int) -> list[LawResult] | str:
    """What each law says, or why the method cannot be checked here."""
    chosen = find_method(text, registry)
    method = chosen.entry.value
    problem = method_problem(
        method,
        device=device,
        # The laws compute in float32 where the method does, and else in what it has.
        dtype=None,
        is_installed=is_installed,
        options=chosen.options,
        head_dim=head_dim,
    )
    if problem is not None:
        return problem.reason
    namesake = registry.method(method.same_as).value if method.same_as else None
    try:
        return check_method(
            method,
            options=chosen.options,
            device=device,
            namesake=namesake,
            head_dim=head_dim,
        )
    except (MissingDependencyError, UnsupportedError) as error:
        # A package that is there and cannot be imported, or a GPU that is too old.
        return str(error)
    except ValueError as error:
        raise UsageError(f"{text}: {error}") from error


def _failed(laws: list[LawResult]) -> list[LawResult]:
    return [law for law in laws if not law.passed and not law.skipped]


def _show(console: Console, name: str, laws: list[LawResult] | str) -> None:
    if isinstance(laws, str):
        console.print(f"[bold]{escape(name)}[/] is not checked here: {escape(laws)}")
        return
    verdict = "[red]breaks the contract[/]" if _failed(laws) else "[green]keeps the contract[/]"
    console.print(f"[bold]{escape(name)}[/] {verdict}")
    for law in laws:
        mark = "[dim]-[/]" if law.skipped else "[green]ok[/]" if law.passed else "[red]NO[/]"
        detail = law.skipped or law.detail
        console.print(f"  {mark:2} {law.law}" + (f": {escape(detail)}" if detail else ""))


def _plain(laws: list[LawResult] | str) -> object:
    if isinstance(laws, str):
        return {"unavailable": laws}
    return [
        {"law": x.law, "passed": x.passed, "skipped": x.skipped, "detail": x.detail} for x in laws
    ]
