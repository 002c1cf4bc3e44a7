"""The comparison table of records, in every format."""

import io
from collections.abc import Iterable
from typing import Literal, get_args

from rich.console import Console, Group, RenderableType

from reports.accuracy import score_grids
from reports.against import against_grids
from reports.cells import Comparison, compare
from reports.costs import cost_grids
from reports.formats import TerminalGrid, latex_grid, markdown_grid
from reports.frame import rows
from reports.grid import Grid
from reports.tidy import as_csv, as_json, published, tidy
from results.published import Table
from results.record import Record

Format = Literal["table", "markdown", "csv", "latex", "json"]


def render(
    records: Iterable[Record],
    format: Format = "table",
    *,
    cost: bool = True,
    against: Iterable[Table] = (),
    width: int = 120,
) -> str:
    """The whole comparison as text. `width` concerns the terminal's table alone.

    csv and json are tidy: a number a row, base units; published numbers are rows of their own.
    """
    comparison, tables = compare(rows(records)), tuple(against)
    if format in ("csv", "json"):
        values = [*tidy(comparison, cost=cost)]
        values += published([value for table in tables for value in table.values()])
        return as_csv(iter(values)) if format == "csv" else as_json(iter(values))
    found = _grids(comparison, cost=cost, against=tables)
    if format == "markdown":
        return "\n".join(markdown_grid(grid) for grid in found)
    if format == "latex":
        return "\n".join(latex_grid(grid) for grid in found)
    if format != "table":
        raise ValueError(
            f"no format is called {format!r}; there are {', '.join(get_args(Format))}."
        )
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    console.print(Group(*(TerminalGrid(grid) for grid in found)))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def renderable(
    records: Iterable[Record], *, cost: bool = True, against: Iterable[Table] = ()
) -> RenderableType:
    """The same for a rich console, in colour."""
    found = _grids(compare(rows(records)), cost=cost, against=tuple(against))
    return Group(*(TerminalGrid(grid) for grid in found))


def _grids(comparison: Comparison, *, cost: bool, against: tuple[Table, ...]) -> list[Grid]:
    found = score_grids(comparison)
    if cost:
        found += cost_grids(comparison)
    return found + against_grids(comparison, against)
