"""What is said of scores that stand together and were measured with different code."""

from collections import Counter
from collections.abc import Iterator, Mapping

from reports.cells import Cell
from reports.frame import Row
from reports.grid import ranges


def code_notes(cells: Mapping[str, Cell]) -> Iterator[str]:
    """Of the cells of one column, by label: whose seeds are of several versions of the method, and
    who was measured with another version of the task than most."""
    mixed = [name for name, cell in cells.items() if len(_methods(cell)) > 1]
    if mixed:
        yield f"the method's code is not the same in all seeds of {'; '.join(mixed)}."
    rows = [row for cell in cells.values() for row in cell.completed if row.task_digest]
    usual = _usual(rows)
    others = [text for name, cell in cells.items() if (text := _others(name, cell, usual))]
    if others:
        yield f"the task's code was another than for most in {'; '.join(others)}."


def _methods(cell: Cell) -> set[str]:
    return {row.method_digest for row in cell.completed if row.method_digest}


def _usual(rows: list[Row]) -> str:
    """The version of the task that most were measured with; of two, the one begun last."""
    counts = Counter(row.task_digest for row in rows)
    last = {row.task_digest: row.started for row in sorted(rows, key=lambda row: row.started)}
    return max(counts, key=lambda digest: (counts[digest], last[digest]), default="")


def _others(name: str, cell: Cell, usual: str) -> str:
    """The contender and its seeds, where not all of them are of the other code."""
    seeds = [row.seed for row in cell.completed if row.task_digest not in ("", usual)]
    if not seeds or len(seeds) == len(cell.completed):
        return name if seeds else ""
    return f"{name} (seed{'s' * (len(seeds) > 1)} {ranges(seeds)})"
