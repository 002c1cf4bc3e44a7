"""`bench compare`: recorded results as tables. Free of torch; what is slow is imported late."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from bench.errors import UsageError, nearest

if TYPE_CHECKING:
    from results.published import Table
    from results.record import Record

Several = Parameter(consume_multiple=True, negative=())
PIPE_WIDTH = 120
"""Columns of the table where the output is not a terminal."""


def compare_command(
    *,
    results: Path = Path("bench-results"),
    format: Literal["table", "markdown", "csv", "latex", "json"] = "table",
    against: Literal["published"] | None = None,
    methods: Annotated[tuple[str, ...], Several] = (),
    task: Annotated[tuple[str, ...], Several] = (),
    preset: Annotated[tuple[str, ...], Several] = (),
    seeds: Annotated[tuple[int, ...], Several] = (),
    cost: bool = True,
) -> int:
    """Show recorded results: methods against tasks, with intervals, floors and what they cost.

    Scores of two data sources, presets or number formats never share a column, nor do times of two
    machines. Files in the folder that are no sound records are named on stderr and left alone.

    Examples:

        python -m bench compare

        python -m bench compare --results results-of-june --task lra --format markdown

        python -m bench compare --methods performer darkformer --seeds 0 1 2 --no-cost

        python -m bench compare --against published

    Parameters
    ----------
    results:
        The folder of records, one file a trial.
    format:
        A table for the terminal, Markdown, LaTeX (booktabs); csv and json give one number a row.
    against:
        Put the numbers published for the Long Range Arena beside ours.
    methods:
        Only these, with any options; floors and ceilings stay.
    task:
        Only these: tasks, or families such as `lra`.
    preset:
        Only these.
    seeds:
        Only these.
    cost:
        Also time, memory, parameters, operations and decoding state.
    """
    from reports.table import render

    if hasattr(sys.stdout, "reconfigure"):
        # An output in ASCII gets a question mark for the plus-minus sign, not a traceback.
        sys.stdout.reconfigure(errors="replace")
    records = _read(results)
    records = _only(records, methods=methods, task=task, preset=preset, seeds=seeds)
    published: tuple[Table, ...] = ()
    if against == "published":
        from results.published import published_tables

        published = published_tables()
    if format == "table":
        from rich.console import Console

        from reports.table import renderable

        console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
        console.print(renderable(records, cost=cost, against=published))
    else:
        sys.stdout.write(render(records, format, cost=cost, against=published))
    return 0


def _read(folder: Path) -> "list[Record]":
    """Every sound record; the problems go to stderr."""
    from results.store import Store

    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise UsageError(
            f"the results folder {str(folder)!r} {what}. Name another with --results, or make one"
            " with `python -m bench run`."
        )
    reading = Store(folder).read(curves=False)
    for problem in reading.problems:
        print(f"Passed over {problem}", file=sys.stderr)
    if not reading.records:
        raise UsageError(
            f"the results folder {str(folder)!r} holds no records. Name another with --results, or"
            " fill it with `python -m bench run`."
        )
    return list(reading.records)


def _only(
    records: "list[Record]",
    *,
    methods: Sequence[str],
    task: Sequence[str],
    preset: Sequence[str],
    seeds: Sequence[int],
) -> "list[Record]":
    """The records that every filter lets through. A filter that matches nothing is an error."""
    tasks = {record.identity.task for record in records}
    families = {name.split("/")[0] for name in tasks if "/" in name}
    _known("method", methods, {record.identity.method for record in records})
    _known("task", task, tasks | families)
    _known("preset", preset, {record.identity.preset for record in records})
    _known("seed", [str(s) for s in seeds], {str(record.identity.seed) for record in records})
    found = [
        record
        for record in records
        if (not methods or record.identity.method in methods or record.role != "method")
        and (not task or {record.identity.task, record.identity.task.split("/")[0]} & {*task})
        and (not preset or record.identity.preset in preset)
        and (not seeds or record.identity.seed in seeds)
    ]
    if not found:
        raise UsageError("no record passes all these filters together. Leave one of them out.")
    return found


def _known(what: str, asked: Sequence[str], known: set[str]) -> None:
    for name in asked:
        if name not in known:
            raise UsageError(
                f"no record is of a {what} {name!r}.{nearest(name, known)}"
                f" There are: {', '.join(sorted(known))}."
            )
