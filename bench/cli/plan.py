"""`bench plan`: what a run would do, without doing it."""

import json
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.cli.selection import Selection, plan_selection
from bench.plan import Plan, Trial
from results.store import Store

CHEAP = ("unavailable", "unsupported")
"""Outcomes that planning decides: asked again every time, since a package may be there now."""


def plan_command(
    selection: Selection,
    *,
    results: Annotated[str, Parameter(name="--results")] = "bench-results",
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Show what a run would do, without doing it.

    Examples:

        python -m bench plan --methods darkformer performer --task lra --seeds 0 1 2

    Parameters
    ----------
    results:
        The folder of records: trials that it holds count as done.
    json_:
        Print the trials as JSON.
    """
    plan = plan_selection(selection, cache=None)
    show_plan(plan, done_in(Store(results), plan), as_json=json_)
    return 0


def done_in(store: Store, plan: Plan) -> set[str]:
    """The digests of the plan's trials whose outcome is on record and need not be tried again."""
    found = store.find_all(trial.identity for trial in plan.trials)
    return {d for d, record in found.items() if record.status not in CHEAP}


def show_plan(plan: Plan, done: set[str], *, as_json: bool) -> None:
    """The trials, as a table or as JSON."""
    if as_json:
        rows = [{**t.identity.model_dump(), "state": _state(t, done)} for t in plan.trials]
        print(json.dumps(rows, indent=2))
        return
    table = Table("method", "task", "preset", "source", "seed", "state", box=None)
    for trial in plan.trials:
        identity = trial.identity
        cells = (identity.method, identity.task, identity.preset, identity.source)
        table.add_row(*map(escape, cells), str(identity.seed), escape(_state(trial, done)))
    Console().print(table)
    new = sum(t.identity.digest() not in done for t in plan.runnable)
    print(
        f"{len(plan.trials)} trials: {new} to run, {len(done)} on record,"
        f" {len(plan.trials) - len(plan.runnable)} that cannot run here."
    )


def _state(trial: Trial, done: set[str]) -> str:
    if trial.identity.digest() in done:
        return "on record"
    if trial.problem is not None:
        return f"{trial.problem.status}: {trial.problem.reason}"
    return "to run"
