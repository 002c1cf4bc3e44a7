"""`bench plan`: what a run would do, without doing it, and how long that would take."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.cli.selection import Selection, plan_selection
from bench.plan import Plan, Trial
from results.estimates import Estimates, Rule, Total, totals
from results.record import Head
from results.store import Store

CHEAP = ("unavailable", "unsupported")
"""Outcomes that planning decides: asked again every time, since a package may be there now."""
READABLE = 60
"""Trials of a plan that is shown whole; a longer one is counted."""
RULES: Mapping[Rule, str] = {
    "itself": "by their own earlier time",
    "seed": "by other seeds of the same method",
    "task": "by other methods on the task",
}


def plan_command(
    selection: Selection,
    *,
    results: Annotated[str, Parameter(name="--results")] = "bench-results",
    all_: Annotated[bool, Parameter(name="--all", negative=())] = False,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Show what a run would do, without doing it, and how long it would take.

    Times are those of records in the folder: of the same trial, else of other seeds of the method,
    else of other methods on the task, with the same settings on the same kind of device.

    Examples:

        python -m bench plan --methods darkformer performer --task lra --seeds 0-2

        python -m bench plan --methods performer --task lra --seeds 0-99 --shards 20 --shard 0

    Parameters
    ----------
    results:
        The folder or URL of records: trials that it holds count as done.
    all_:
        Show each trial of a long plan, which is counted by method and task else.
    json_:
        Print the trials as JSON.
    """
    plan = plan_selection(selection, cache=None)
    heads = Store(results).heads()
    show_plan(plan, done_in(plan, heads), heads, as_json=json_, whole=all_)
    return 0


def done_in(plan: Plan, heads: Mapping[str, Head]) -> set[str]:
    """The digests of the plan's trials whose outcome is on record and need not be tried again."""
    return {
        trial.digest
        for trial in plan.trials
        if (head := heads.get(trial.digest)) is not None and stands(trial, head)
    }


def stands(trial: Trial, head: Head) -> bool:
    """Whether the record of a trial is all that is asked for now."""
    return head.status not in CHEAP and not (trial.timing and head.untimed)


def show_plan(
    plan: Plan,
    done: set[str],
    heads: Mapping[str, Head],
    *,
    as_json: bool,
    whole: bool = False,
) -> None:
    """The trials, as a table or as JSON, and how long those to run would take."""
    estimates = Estimates(heads)
    if as_json:
        _print_json(plan, done, estimates)
        return
    short = whole or len(plan.trials) <= READABLE
    Console().print(_table(plan, done) if short else _counts(plan, done))
    todo = [t for t in plan.runnable if t.digest not in done]
    print(
        f"{len(plan.trials)} trials: {len(todo)} to run, {len(done)} on record,"
        f" {len(plan.trials) - len(todo) - len(done)} that cannot run here."
    )
    for total in totals((t.identity, estimates.of(t.digest, t.identity)) for t in todo):
        print(sentence(total))
    if not short:
        print("--all shows each trial.")


def sentence(total: Total) -> str:
    """How long the trials of one kind of device would take, and how far that is known."""
    known = sum(total.known.values())
    if not known:
        return f"How long it takes on {total.device} is unknown: no record tells."
    by_rule = (f"{total.known[r]} {by}" for r, by in RULES.items() if total.known[r])
    text = f"{known} trials would take {total.seconds / 3600:.3g} device-hours on {total.device}"
    without = f"; {total.unknown} trials are unknown and left out" if total.unknown else ""
    return f"{text}: {', '.join(by_rule)}{without}."


def _print_json(plan: Plan, done: set[str], estimates: Estimates) -> None:
    """A trial a line, each written at once: a large plan is never a text in memory."""
    before = "[\n"
    for trial in plan.trials:
        state = _state(trial, done)
        known = estimates.of(trial.digest, trial.identity) if state == "to run" else None
        seconds, rule = known or (None, None)
        row = {"state": state, "expected_seconds": seconds, "expected_by": rule}
        print(before, json.dumps({**trial.identity.__dict__, **row}), sep="", end="")
        before = ",\n"
    print("\n]" if plan.trials else "[]")


def _table(plan: Plan, done: set[str]) -> Table:
    return _filled("seed", ((t, str(t.identity.seed), _state(t, done)) for t in plan.trials))


def _counts(plan: Plan, done: set[str]) -> Table:
    """A row for each method, task and state, in place of one for each seed and option."""
    alike: dict[tuple[str, ...], list[Trial]] = {}
    for trial in plan.trials:
        alike.setdefault((*_words(trial), _state(trial, done)), []).append(trial)
    return _filled("trials", ((t[0], str(len(t)), key[-1]) for key, t in alike.items()))


def _filled(number: str, rows: Iterable[tuple[Trial, str, str]]) -> Table:
    table = Table("method", "task", "preset", "source", number, "state", box=None)
    for trial, of_number, state in rows:
        table.add_row(*map(escape, (*_words(trial), of_number, state)))
    return table


def _words(trial: Trial) -> tuple[str, ...]:
    identity = trial.identity
    return identity.method, identity.task, identity.preset, identity.source


def _state(trial: Trial, done: set[str]) -> str:
    if trial.digest in done:
        return "on record"
    if trial.problem is not None:
        return f"{trial.problem.status}: {trial.problem.reason}"
    return "to run"
