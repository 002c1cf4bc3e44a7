"""Checks published numbers: `python -m results.lint` tells the slips, and fails on flaws.

A slip is a summary that its own cells contradict, printed so by its source and marked as one here.
A flaw is our mistake: a slip without a mark, a number without its source, a doubtful number
without a note.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

from results.published import Printed, Row, Table, published_tables, recompute

ROUNDING = 1e-6
"""Half a unit of the last digit is exact in decimals, and not in binary."""
ALIKE = 3
"""As many equal cells in two rows look like a row copied by mistake."""


def slips(tables: Sequence[Table]) -> list[str]:
    """Every printed summary that is marked as a slip, and what its cells give."""
    return [
        f"{table.title}, {row.method}: {printed.quantity} is printed as {printed.value:g}"
        f" ({printed.where}), and the cells give {recompute(row, printed, table):.2f}."
        for table in tables
        for row in table.rows
        for printed in row.printed
        if printed.slip
    ]


def flaws(tables: Sequence[Table]) -> list[str]:
    """What must be mended, one sentence each; nothing where all is well."""
    found = [
        f"{table.title}, {row.method}: {text}"
        for table in tables
        for row in table.rows
        for text in (*_summaries(row, table), *_cells(row, table), *_lengths(row, table))
    ]
    for table in tables:
        found += [f"{table.title}: {text}" for text in _rows(table)]
    return found + list(_across(tables))


def agrees(row: Row, printed: Printed, table: Table) -> bool:
    """Whether the cells give the printed summary, to the digits that it is printed with."""
    ratio = printed.quantity.startswith("ratio")
    digits = 1 if ratio else len(str(printed.value).partition(".")[2])
    return abs(recompute(row, printed, table) - printed.value) <= 0.5 * 10.0**-digits + ROUNDING


def _summaries(row: Row, table: Table) -> Iterator[str]:
    for printed in row.printed:
        said = f"{printed.quantity}, printed as {printed.value:g}"
        right = recompute(row, printed, table)
        if not agrees(row, printed, table) and not printed.slip:
            yield f"{said}, does not follow from the cells, which give {right:.2f}."
        if agrees(row, printed, table) and printed.slip:
            yield f"{said}, is marked as a slip and follows from the cells."
        if printed.slip and f"{right:.2f}" not in printed.note:
            yield f"{said}, is a slip whose note does not say {right:.2f}."


def _cells(row: Row, table: Table) -> Iterator[str]:
    if not (row.citation or table.citation).strip():
        yield "has no citation."
    if row.mark == "R" or (row.mark is None and table.mark == "R"):
        yield "is recalled, and was read nowhere."
    for cell in row.cells:
        if cell.value is None and not cell.note:
            yield f"{cell.column} is missing and does not say why."
        if cell.value is not None and table.unit == "percent" and not 0 <= cell.value <= 100:
            yield f"{cell.column} is {cell.value:g}, which is no percentage."
        if cell.value is not None and cell.value <= 0:
            yield f"{cell.column} is {cell.value:g}, which is not above 0."


def _lengths(row: Row, table: Table) -> Iterator[str]:
    """Longer sequences take more time and memory: what does not is said to be doubtful."""
    if table.unit == "percent":
        return
    for shorter, longer in pairwise(row.cells):
        if shorter.value is None or longer.value is None or shorter.note or longer.note:
            continue
        faster = table.higher_is_better and longer.value > shorter.value
        if faster or (not table.higher_is_better and longer.value <= shorter.value):
            yield (
                f"{longer.column} is {longer.value:g} after {shorter.value:g} at {shorter.column},"
                " and no note says that it is doubtful."
            )


def _rows(table: Table) -> Iterator[str]:
    for one, other in combinations(table.rows, 2):
        if one.bench_method == other.bench_method:
            yield f"{one.method} and {other.method} are both {one.bench_method}."
        values = {cell.column: cell.value for cell in one.cells if cell.value is not None}
        alike = [c for c in other.cells if c.column in values and values[c.column] == c.value]
        noted = one.note or other.note
        if table.unit == "percent" and len(alike) >= ALIKE and not noted:
            yield f"{one.method} and {other.method} agree in {len(alike)} cells: a row copied?"


def _across(tables: Sequence[Table]) -> Iterator[str]:
    """The same number of the same source in two tables must be the same."""
    seen: dict[tuple[str, ...], float] = {}
    for table in tables:
        for cell in table.values():
            if cell.value is None or cell.protocol in ("own", "unknown"):
                continue
            key = (cell.bench_method, cell.column, cell.quantity, cell.protocol)
            if seen.setdefault(key, cell.value) != cell.value:
                yield (
                    f"{cell.method}, {cell.column}, protocol {cell.protocol}: {cell.value:g} in"
                    f" {table.title}, and {seen[key]:g} in another table."
                )


def main() -> int:
    """Tells both. 1 where there is a flaw."""
    tables = published_tables()
    found = flaws(tables)
    num_cells = sum(len(row.cells) for table in tables for row in table.rows)
    num_printed = sum(len(row.printed) for table in tables for row in table.rows)
    told = slips(tables)
    lines = [f"{num_cells} cells and {num_printed} printed summaries in {len(tables)} tables."]
    lines += [f"Slip: {text}" for text in told] + [f"Flaw: {text}" for text in found]
    lines.append(f"{len(told)} slips, all marked; {len(found)} flaws.")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
