"""`bench reproduce`: the claims of a paper as checks, each with its verdict."""

import dataclasses
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console

from bench.cli.compare import PIPE_WIDTH
from bench.cli.execution import make_job
from bench.cli.plan import done_in, show_plan
from bench.cli.run import FAILED, outdated, run_all, user_cache
from bench.cli.seeds import Seeds
from bench.cli.selection import Selection, chosen_devices, plan_selection
from bench.compatibility import Problem
from bench.errors import UsageError, nearest
from bench.executors.pool import Pool
from bench.plan import Plan, Trial
from reports.claims.claim import Claim, Judgement, Paper, Runs, judged
from reports.claims.papers import papers
from reports.claims.table import Format, render, renderable
from results.store import Store

Flag = Parameter(negative=())
Several = Parameter(consume_multiple=True, negative=())
Trials = Mapping[str, tuple[Trial, ...]]
"""By name of the claim that they test; one trial may test several."""


def reproduce_command(
    paper: str = "",
    *,
    preset: Literal["quick", "small", "paper"] = "quick",
    only: Annotated[tuple[str, ...], Several] = (),
    results: Annotated[str, Parameter(name="--results")] = "bench-results",
    seeds: Annotated[tuple[int, ...] | None, Seeds] = None,
    device: str = "auto",
    time_limit: float | None = None,
    threads: int | None = None,
    cache: Path | None = None,
    dry_run: Annotated[bool, Flag] = False,
    format: Format = "table",
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Run what tests a paper's claims, and say of each whether it holds here.

    A claim is reproduced, not reproduced, inconclusive, or not tested here, by a rule that was
    written before anything was run and that the table prints; no claim is left out. Trials are
    those of `bench run`, in the same folder: what is on record is not run again, so that a run that
    was stopped goes on where it was. Exit codes: 0 every trial ran, whatever the verdicts, 1 a
    trial failed, 2 bad input, 130 stopped by Ctrl-C.

    Examples:

        python -m bench reproduce darkformer

        python -m bench reproduce darkformer --preset small --results results-of-june

        python -m bench reproduce darkformer --only anisotropic equivalence --format markdown

        python -m bench reproduce darkformer --preset paper --dry-run

    Parameters
    ----------
    paper:
        The name of a method whose paper's claims are known.
    preset:
        quick takes minutes on two CPU cores and a tiny model, small hours and a real one, paper
        the published protocol, a GPU and models from the hub.
    only:
        These claims alone.
    results:
        The folder of records, one file a trial.
    seeds:
        Of trainings; default: those of each claim. What is no training runs once.
    device:
        auto, cpu, cuda or cuda:N.
    time_limit:
        Seconds that a trial may take.
    threads:
        Threads that torch may use in a trial.
    cache:
        A folder for generated data; default: the user's cache folder.
    dry_run:
        Show the claims, their rules and the plan, and stop.
    format:
        For the terminal, Markdown, LaTeX or JSON.
    json_:
        Short for --format json.
    """
    found = _paper(paper)
    claims = _only(found, only)
    cache = cache or user_cache()
    trials = {claim.name: claim_trials(claim, preset, seeds, device, cache) for claim in claims}
    plan = _whole(trials.values())
    store = Store(results)
    heads = store.heads(None if dry_run else [t.identity for t in plan.trials])
    done = done_in(plan, heads)
    format = "json" if json_ else format
    if dry_run:
        if format != "json":
            _show_rules(claims, trials)
        show_plan(plan, done, heads, as_json=format == "json")
        return 0
    todo = [trial for trial in plan.trials if trial.digest not in done]
    job = make_job(cache, time_limit=time_limit, threads=threads)
    store.check_writable()
    with Pool(job, chosen_devices(device)) as executor:
        stopped = not run_all(todo, store, executor)
    judgements = [_judged(claim, preset, trials[claim.name], store) for claim in claims]
    _show(found, judgements, format)
    return _conclude(plan, todo, store, preset, stopped=stopped)


def _paper(name: str) -> Paper:
    known = papers()
    if name not in known:
        asked = f"No paper of a method {name!r} has claims here." if name else "Name a method."
        raise UsageError(
            f"{asked}{nearest(name, known)} There are claims of: {', '.join(sorted(known))}."
        )
    return known[name]


def _only(paper: Paper, names: Sequence[str]) -> tuple[Claim, ...]:
    known = [claim.name for claim in paper.claims]
    for name in names:
        if name not in known:
            raise UsageError(
                f"{paper.name} has no claim {name!r}.{nearest(name, known)} It has:"
                f" {', '.join(known)}."
            )
    return tuple(claim for claim in paper.claims if not names or claim.name in names)


def claim_trials(
    claim: Claim, preset: str, seeds: tuple[int, ...] | None, device: str, cache: Path
) -> tuple[Trial, ...]:
    """Of every run of the claim, planned as `bench run` would."""
    found = []
    for runs in claim.runs.get(preset, ()):
        selection = Selection(
            methods=runs.methods,
            task=(runs.task,),
            preset=runs.preset,
            source=runs.source,
            seeds=seeds if seeds and runs.seeds else runs.seeds,
            device=device,
            controls=False,
            set=runs.settings,
        )
        planned = plan_selection(selection, cache).trials
        found += [_with_problem(trial, runs) for trial in planned]
    return tuple(found)


def _with_problem(trial: Trial, runs: Runs) -> Trial:
    """What takes a GPU is not begun without one."""
    if not runs.takes_gpu or trial.device != "cpu":
        return trial
    reason = f"It needs a GPU: {runs.takes_gpu}."
    return dataclasses.replace(trial, problem=Problem(status="unavailable", reason=reason))


def _whole(parts: Iterable[tuple[Trial, ...]]) -> Plan:
    """Every trial once, in the order of the claims."""
    trials = {trial.identity.digest(): trial for part in parts for trial in part}
    return Plan(trials=tuple(trials.values()))


def _judged(claim: Claim, preset: str, trials: tuple[Trial, ...], store: Store) -> Judgement:
    """The verdict on a claim from what is on record of its trials."""
    found = store.find_all(trial.identity for trial in trials)
    return judged(claim, preset, list(found.values()))


def _show_rules(claims: Sequence[Claim], trials: Trials) -> None:
    for claim in claims:
        print(f"{claim.name}: {claim.statement} ({claim.source})")
        print(f"  Trials: {len(trials[claim.name])}. Rule: {claim.rule}\n")


def _show(paper: Paper, judgements: Sequence[Judgement], format: Format) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # An output in ASCII gets question marks for letters that it lacks, not a traceback.
        sys.stdout.reconfigure(errors="replace")
    if format == "table":
        console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
        console.print(renderable(paper, judgements))
    else:
        sys.stdout.write(render(paper, judgements, format))


def _conclude(plan: Plan, todo: list[Trial], store: Store, preset: str, *, stopped: bool) -> int:
    """The exit code. What is said here goes to stderr: stdout has the table alone."""
    found = store.find_all(trial.identity for trial in plan.trials)
    for line in outdated(plan, todo, list(found.values())):
        print(line.replace("--rerun", "`python -m bench run --rerun`"), file=sys.stderr)
    if stopped:
        print(
            f"Stopped. {len(found)} of {len(plan.trials)} trials are on record in {store.folder};"
            " the same command goes on from there.",
            file=sys.stderr,
        )
        return 130
    if preset == "quick":
        print(
            "Preset quick is of a tiny model and few tokens: its verdicts are of these trials."
            " --preset small has a real model.",
            file=sys.stderr,
        )
    return 1 if any(record.status in FAILED for record in found.values()) else 0
