"""`bench compare OLD NEW`: two results folders against each other."""

import io
import sys
from typing import TYPE_CHECKING, Literal

from bench.cli.records import Filters, check_filters, chosen, read_records
from bench.errors import UsageError
from results.folders import folder_at

if TYPE_CHECKING:
    from results.record import Record

PIPE_WIDTH = 120
"""Characters in a line of the table where the output is not a terminal."""
WORSE = 1
"""The exit code where something became worse than was allowed."""


def show_changes(
    folders: tuple[str, str],
    filters: Filters,
    format: Literal["table", "markdown", "csv", "latex", "json"],
    fail_over: float | None,
    *,
    cost: bool,
) -> int:
    """Prints what changed from the first folder to the second; the exit code."""
    from rich.console import Console

    from reports.changes import changes, failing
    from reports.changes_tables import change_grid, in_words, render_changes, renderable_changes

    old, new = _both(folders, filters)
    found = changes(old, new, cost=cost)
    names = [str(folder_at(folder)) for folder in folders]
    grid = change_grid(found, old, new, (names[0], names[1]))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if format == "table":
        console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
        console.print(renderable_changes(grid))
    else:
        sys.stdout.write(render_changes(grid, found, format))
    if fail_over is None:
        return 0
    failures = failing(found, fail_over)
    for each in failures:
        sys.stderr.write(f"Worse by more than {fail_over:g}: {in_words(each)}\n")
    return WORSE if failures else 0


def _both(folders: tuple[str, str], filters: Filters) -> "tuple[list[Record], list[Record]]":
    """The records of both that pass the filters, which need match in one of them only."""
    old, new = (read_records(folder) for folder in folders)
    check_filters([*old, *new], filters)
    sides = chosen(old, filters), chosen(new, filters)
    if not any(sides):
        raise UsageError("no record passes all these filters together. Leave one of them out.")
    return sides
