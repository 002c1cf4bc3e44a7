"""`bench run`: the main job."""

import contextlib
import functools
import json
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from bench.cli.display import make_display
from bench.cli.execution import Execution, make_executor, make_job, require_sensible
from bench.cli.plan import CHEAP, done_in, show_plan, stands
from bench.cli.selection import Selection, plan_selection
from bench.executors.protocol import GRACE, Executor
from bench.plan import Plan, Trial
from bench.provenance import method_digest, task_digest
from reports.table import render, renderable
from results.folders import StoreError
from results.record import Record
from results.store import Store
from tasks.probe import ProbePreset
from tasks.sweep import CostPreset

Flag = Parameter(negative=())
FAILED = ("failed-gate", "out-of-memory", "timed-out", "diverged", "crashed")


def run_command(
    selection: Selection,
    execution: Execution | None = None,
    *,
    results: Annotated[str, Parameter(name="--results")] = "bench-results",
    rerun: Annotated[bool, Flag] = False,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    threads: int | None = None,
    grace: float = GRACE,
    cache: Path | None = None,
    dry_run: Annotated[bool, Flag] = False,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Train and measure methods on tasks, and record every trial.

    What is on record is not run again, so a run that was stopped goes on where it was. Exit codes:
    0 all is well, 1 a trial failed, 2 bad input, 130 stopped by Ctrl-C.

    Examples:

        python -m bench run --methods darkformer performer --task lra

        python -m bench run --methods performer:num_features=64,orthogonal=false --task lra/listops
        --preset small --seeds 0 1 2

        python -m bench run --methods ./my_attention.py --task lra/image --set steps=500

        python -m bench run --methods performer linformer --task lra --seeds 0 1 2 --no-timing
        --jobs 4

    Parameters
    ----------
    results:
        The folder of records, one file a trial.
    rerun:
        Run what is on record too, and replace it.
    time_limit:
        Seconds that a trial may take.
    memory_limit:
        GiB that a trial may take.
    threads:
        Threads that torch may use in a trial.
    grace:
        Seconds that trials have to save a checkpoint when a scheduler's SIGTERM ends the run.
    cache:
        A folder for generated data; default: the user's cache folder.
    dry_run:
        Show the plan and stop.
    json_:
        Print the records of this run as JSON instead of a table.
    """
    cache = cache or user_cache()
    job = make_job(cache, time_limit=time_limit, memory_limit=memory_limit, threads=threads)
    require_sensible("--grace", grace, zero=True)
    store = Store(results)
    with make_executor(execution or Execution(), job, selection) as executor:
        plan = plan_selection(selection, cache, executor.devices)
        if dry_run:
            heads = store.heads()
            show_plan(plan, set() if rerun else done_in(plan, heads), heads, as_json=json_)
            return 0
        found = store.find_all((t.identity for t in plan.trials), curves=json_)
        heads = {digest: record.head() for digest, record in found.items()}
        done = set() if rerun else done_in(plan, heads)
        todo = [t for t in plan.trials if t.digest not in done]
        store.check_writable()
        stopped = not run_all(todo, store, executor, rerun=rerun, grace=grace)
    # What was on record before is not read again: there may be much of it.
    found = {**found, **store.find_all((t.identity for t in todo), curves=json_)}
    records = sorted(found.values(), key=lambda record: record.identity.file_name())
    return _conclude(plan, todo, records, store, stopped=stopped, as_json=json_)


def run_all(
    todo: list[Trial],
    store: Store,
    executor: Executor,
    *,
    rerun: bool = False,
    grace: float = GRACE,
) -> bool:
    """Whether every trial has its record now; False when the user or a scheduler stopped the run.

    What another run on this store has done meanwhile is not done again, except to `rerun` it.
    """
    num_ended = 0
    theirs: set[str] = set()

    def elsewhere(trial: Trial) -> Record | None:
        record = None if rerun else store.written(trial.identity)
        if record is None or not stands(trial, record.head()):
            return None
        theirs.add(trial.digest)
        return record

    with make_display(len(todo)) as display, _stopped_by_signals(executor, grace):
        for record in executor.records(todo, display, elsewhere):
            if record.identity.digest() not in theirs:
                _write(store, record)
            num_ended += 1
            display.finished(record)
    return num_ended == len(todo)


def _write(store: Store, record: Record) -> None:
    """Into the store; where that fails, into a temporary folder, which the error names."""
    try:
        store.write(record)
    except StoreError as error:
        folder = tempfile.mkdtemp(prefix="attention-bench-")
        try:
            spare = Store(folder).write(record)
        except StoreError:
            os.rmdir(folder)
            raise error from None
        raise StoreError(f"{error} The record is in {spare!r}: move it there then.") from error


@contextlib.contextmanager
def _stopped_by_signals(executor: Executor, grace: float) -> Iterator[None]:
    """Ctrl-C ends trials at once; a scheduler's SIGTERM lets them save their checkpoints first."""
    heard: list[int] = []

    def stop(number: int, _: object) -> None:
        if signal.SIGINT in heard:
            # Asked for again, as it does not end.
            raise KeyboardInterrupt
        heard.append(number)
        executor.stop(0.0 if number == signal.SIGINT else grace)

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        return
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _conclude(
    plan: Plan,
    todo: list[Trial],
    records: list[Record],
    store: Store,
    *,
    stopped: bool,
    as_json: bool,
) -> int:
    if stopped:
        print(
            f"Stopped. {len(records)} of {len(plan.trials)} trials are on record in"
            f" {store.folder}; the same command goes on from there.",
            file=sys.stderr,
        )
        return 130
    if as_json:
        print(json.dumps([r.model_dump(mode="json", by_alias=True) for r in records], indent=2))
    else:
        render_to_terminal(records)
        _remark(plan, todo, records, store)
    return 1 if any(r.status in FAILED for r in records) else 0


def render_to_terminal(records: list[Record]) -> None:
    """The comparison table of these records."""
    if sys.stdout.isatty():
        Console().print(renderable(records))
    else:
        print(render(records, "table"))


def _remark(plan: Plan, todo: list[Trial], records: list[Record], store: Store) -> None:
    old = len(plan.trials) - len(todo)
    if old:
        print(f"{old} of {len(plan.trials)} trials were on record; --rerun replaces them.")
    for line in outdated(plan, todo, records):
        print(line)
    if plan.trials and plan.trials[0].preset.name == "quick":
        betters = {CostPreset: "kernel goes further", ProbePreset: "small draws more"}
        better = betters.get(type(plan.trials[0].preset), "small learns something real")
        print(f"Preset quick is a smoke test: differences mean little. --preset {better}.")
    print(f"{len(records)} records are in {store.folder}. `python -m bench compare` shows all.")


def outdated(plan: Plan, todo: list[Trial], records: list[Record]) -> list[str]:
    """A line for each method and task whose source has changed since a record that stands."""
    fresh = {t.identity.digest() for t in todo}
    stands = {r.identity.digest(): r for r in records if r.status not in CHEAP}
    # Many trials share a file: each is read once a call.
    digest_of_method, digest_of_task = functools.cache(method_digest), functools.cache(task_digest)
    changed: Counter[str] = Counter()
    for trial in plan.trials:
        digest = trial.identity.digest()
        if digest in fresh or digest not in stands:
            continue
        then = stands[digest].provenance
        if then.method_digest != digest_of_method(trial.method_file):
            changed[trial.identity.method] += 1
        if then.task_digest != digest_of_task(trial.task_file):
            changed[trial.identity.task] += 1
    return [
        f"The source of {name}, or what it shares with others, has changed since {count} of these"
        " records; --rerun measures anew."
        for name, count in changed.items()
    ]


def user_cache() -> Path:
    """The folder for what trials generate, where none is named."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "attention-bench"
