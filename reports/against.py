"""Our scores beside published ones: a column for each, never one for both."""

from collections.abc import Iterator, Mapping, Sequence

from reports.accuracy import block_title, column_head, column_note, number
from reports.cells import Cell, Comparison, mean_columns, suite_means
from reports.columns import Column, Contender
from reports.grid import NOT_RUN, Entry, Grid, Notes, Section, plain
from reports.matching import match_values, matches, protocol_grids, shared_blocks, verdict
from reports.tidy import Tidy, published
from results.published import LRA_TASKS, Row, Table

NOTHING = Entry(text="-", emphasis="faint")
CHECKED = {"V": "read in the source itself", "S": "read in another paper", "R": "recalled"}


def against_grids(comparison: Comparison, tables: Sequence[Table]) -> list[Grid]:
    """Side by side where a table's tasks and methods are among ours; the other tables after."""
    grids, lone = [], []
    methods = {contender.method for contender in comparison.contenders}
    for table in tables:
        blocks = shared_blocks(comparison, table)
        if blocks and methods & {row.bench_method for row in table.rows}:
            for columns in blocks:
                grids.append(_beside(comparison, columns, table))
                grids += protocol_grids(matches(comparison, columns, table), columns, table)
        else:
            lone.append(_alone(table))
    return grids + lone


def against_values(comparison: Comparison, tables: Sequence[Table]) -> Iterator[Tidy]:
    """A row for every published number, and one for each protocol of a task of ours."""
    for table in tables:
        yield from published(list(table.values()))
        for columns in shared_blocks(comparison, table):
            yield from match_values(comparison, matches(comparison, columns, table), table)


def _beside(comparison: Comparison, columns: Sequence[Column], table: Table) -> Grid:
    notes = Notes()
    header: list[tuple[str, ...]] = [("method",)]
    for column in columns:
        facts = comparison.columns[column]
        letter = notes.letter(f"Ours: {column_note(column, facts)}")
        task, _, mark = column_head(column, facts, letter)
        header += [(task, "ours", mark), (task, "publ.")]
    members = mean_columns(columns)
    means = suite_means(comparison, members) if members else {}
    header += [("mean", "ours")] if members else []
    header.append(("mean of 5", "publ."))
    rows: dict[str, list[tuple[Entry, ...]]] = {
        "in both": [],
        "ours alone": [],
        "published alone": [],
    }
    for contender, row in _pairs(comparison, table):
        entries = [_label(contender, row, table, notes)]
        for column in columns:
            entries.append(_ours(comparison, column, contender))
            entries.append(_theirs(row, column.task, table, notes))
        entries += [_our_mean(means, contender)] if members else []
        section = "ours alone" if row is None else "in both" if contender else "published alone"
        rows[section].append((*entries, _mean(row)))
    notes.general.append(verdict(matches(comparison, columns, table)))
    _explain(table, notes)
    title = block_title("Ours beside published, accuracy in %", columns)
    return Grid(
        title=f"{title}; {table.title}",
        header=tuple(header),
        sections=tuple(Section(title=t, rows=tuple(found)) for t, found in rows.items() if found),
        notes=notes.all(),
    )


def _pairs(comparison: Comparison, table: Table) -> list[tuple[Contender | None, Row | None]]:
    """Every contender with its published row, if any, then the rows that none of them has."""
    theirs = {row.bench_method: row for row in table.rows}
    ours = {contender.method for contender in comparison.contenders}
    pairs: list[tuple[Contender | None, Row | None]] = []
    pairs += [(contender, theirs.get(contender.method)) for contender in comparison.contenders]
    return pairs + [(None, row) for method, row in theirs.items() if method not in ours]


def _our_mean(means: Mapping[str, Cell], contender: Contender | None) -> Entry:
    cell = means.get(contender.label) if contender else None
    if cell is None or cell.interval is None:
        return NOTHING
    return Entry(text=number(cell.interval, "fraction"))


def _alone(table: Table) -> Grid:
    """A published table that has nothing of ours to stand beside."""
    notes = Notes()
    is_suite = set(LRA_TASKS) <= set(table.columns)
    rows = []
    for row in table.rows:
        entries = [_label(None, row, table, notes)]
        entries += [_theirs(row, column, table, notes) for column in table.columns]
        rows.append((*entries, _mean(row)) if is_suite else tuple(entries))
    _explain(table, notes)
    heads = [("method",), *((column.removeprefix("lra/"),) for column in table.columns)]
    return Grid(
        title=f"Published alone: {table.title}, {table.quantity} in {table.unit}",
        header=(*heads, ("mean of 5",)) if is_suite else tuple(heads),
        sections=(Section(title="", rows=tuple(rows)),),
        notes=notes.all(),
    )


def _explain(table: Table, notes: Notes) -> None:
    notes.general += [
        f"Published: {table.title} ({table.citation}); protocol {table.protocol};"
        f" {CHECKED[table.mark]} unless a note says otherwise."
        + f" Measured on {table.machine}, which says nothing of times here."
        * bool(table.machine),
        table.note,
        "F: reported to fail; -: nothing to show."
        + " Means are recomputed from the five tasks." * (table.unit == "percent"),
    ]


def _label(contender: Contender | None, row: Row | None, table: Table, notes: Notes) -> Entry:
    said = []
    if row is not None:
        if row.protocol or row.citation:
            checked = CHECKED[row.mark or table.mark]
            said.append(f"{row.citation}; protocol {row.protocol}; {checked}.")
        said += [row.note] if row.note else []
        said += [f"Printed as {p.value} ({p.where}). {p.note}" for p in row.printed if p.slip]
    refs = tuple(notes.number(text) for text in said)
    if contender is None:
        return Entry(text=row.method if row else "", refs=refs)
    return Entry(text=plain(contender.label, 60), remark=row.method if row else "", refs=refs)


def _mean(row: Row | None) -> Entry:
    mean = row.mean() if row else None
    return NOTHING if mean is None else Entry(text=f"{mean:.2f}")


def _ours(comparison: Comparison, column: Column, contender: Contender | None) -> Entry:
    if contender is None:
        return NOTHING
    cell = comparison.cell(contender, column)
    if cell.interval is None:
        return Entry(text=cell.rows[0].status if cell.rows else NOT_RUN, emphasis="faint")
    return Entry(text=number(cell.interval, comparison.columns[column].unit))


def _theirs(row: Row | None, column: str, table: Table, notes: Notes) -> Entry:
    cell = next((cell for cell in row.cells if cell.column == column), None) if row else None
    if cell is None:
        return NOTHING
    if cell.value is None:
        return Entry(text="F")
    refs = (notes.number(f"{cell.note[0].upper()}{cell.note[1:]}."),) if cell.note else ()
    # Speeds are printed with one decimal, accuracies and gigabytes with two.
    places = 1 if table.unit == "1/s" else 2
    return Entry(text=f"{cell.value:.{places}f}", refs=refs)
