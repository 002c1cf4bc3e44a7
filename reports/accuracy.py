"""The table of scores: methods against tasks, with intervals, marks, floors and ceilings."""

from collections import Counter
from collections.abc import Mapping, Sequence

from reports.cells import (
    MAJORITY,
    Cell,
    Comparison,
    highest_floor,
    mean_columns,
    suite_columns,
    suite_majority,
    suite_means,
)
from reports.code_notes import code_notes
from reports.columns import Column, Contender, Facts
from reports.grid import NOT_RUN, Entry, Grid, Notes, Section, plain, ranges
from reports.ranking import HEAD as RANK_HEAD
from reports.ranking import rank_entry, rank_note, suite_ranks
from results.statistics import Interval

SECTIONS = (("method", ""), ("ceiling", "ceiling"), ("floor", "floor"))


def score_grids(comparison: Comparison) -> list[Grid]:
    """One grid for each group of columns that share family, preset, number format and device."""
    return [_grid(comparison, columns) for columns in comparison.blocks()]


def number(interval: Interval, unit: str) -> str:
    """The estimate and the longer side of its interval; fractions in percent."""
    scale, places = (100.0, ".1f") if unit == "fraction" else (1.0, ".4g")
    text = f"{scale * interval.mean:{places}}"
    if not interval.known:
        return text
    return f"{text} ±{scale * interval.half_width:{places if unit == 'fraction' else '.2g'}}"


def block_title(what: str, columns: Sequence[Column]) -> str:
    """`what`, and what all these columns have in common."""
    first = columns[0]
    where = [first.family] if first.family else []
    where += [f"preset {first.preset}", first.dtype, first.device]
    where += ["compiled"] if first.compile else []
    return plain(f"{what}: {', '.join(where)}")


def column_note(column: Column, facts: Facts) -> str:
    """What the data of a column are; stand-ins are called that."""
    what = f": {facts.title}" if facts.title else ""
    what += " (a stand-in, not the task's own data)" * facts.stand_in
    parts = [f"{column.task} version {column.task_version}, {column.source}{what}"]
    if facts.num_test is not None:
        parts.append(f"{facts.num_test} test examples")
    if column.digest:
        parts.append(f"data {column.digest[:8]}")
    if column.settings != "{}":
        parts.append(f"changed settings {column.settings}")
    if facts.metric and (facts.metric, facts.unit) != ("accuracy", "fraction"):
        better = "more" if facts.higher_is_better else "less"
        parts.append(f"{facts.metric} in {facts.unit}, {better} is better")
    return "; ".join(parts) + "."


def column_head(column: Column, facts: Facts, letter: str) -> tuple[str, ...]:
    """The lines above a column: task, source, and the letter of its note."""
    task = column.task.removeprefix(f"{column.family}/")
    source = column.source.split(":")[0]
    return plain(task), source, f"{'stand-in ' * facts.stand_in}[{letter}]"


def labels(contender: Contender) -> Entry:
    """The first entry of a contender's row."""
    remark = f"same as {contender.same_as}" if contender.same_as else ""
    return Entry(text=plain(contender.label, 80), remark=remark)


def _grid(comparison: Comparison, columns: Sequence[Column]) -> Grid:
    notes = Notes()
    header: list[tuple[str, ...]] = [("method",)]
    for column in columns:
        facts = comparison.columns[column]
        header.append(column_head(column, facts, notes.letter(column_note(column, facts))))
    members = mean_columns(columns)
    means = suite_means(comparison, members) if members else {}
    if members:
        header.append(("mean", "of the 5", f"[{notes.letter(_mean_note(comparison, members))}]"))
    ranked = suite_columns(columns) or list(columns)
    ranks = suite_ranks(comparison, ranked)
    if ranks:
        header.append((*RANK_HEAD, f"[{notes.letter(rank_note(ranks, ranked))}]"))
    usual = _usual_seeds(comparison, columns)
    sections = []
    for role, title in SECTIONS:
        rows = []
        for contender in comparison.contenders:
            if contender.role == role:
                row = [
                    _entry(comparison.cell(contender, c), comparison.columns[c], usual, notes)
                    for c in columns
                ]
                row += [_mean_entry(means, contender)] if members else []
                row += [rank_entry(ranks, contender)] if ranks else []
                rows.append((labels(contender), *row))
        if role == "floor":
            row = [*_majority_row(comparison, columns, members), *[Entry(text="")] * bool(ranks)]
            rows.append(tuple(row))
        if rows:
            sections.append(Section(title=title, rows=tuple(rows)))
    _explain(comparison, columns, usual, notes)
    title = block_title(_what(comparison, columns), columns)
    return Grid(title=title, header=tuple(header), sections=tuple(sections), notes=notes.all())


def _what(comparison: Comparison, columns: Sequence[Column]) -> str:
    facts = [comparison.columns[column] for column in columns]
    names = " and ".join(sorted({(each.metric or "accuracy").capitalize() for each in facts}))
    return f"{names} in %" if all(each.unit in ("fraction", "") for each in facts) else names


def _entry(cell: Cell, facts: Facts, usual: tuple[int, ...], notes: Notes) -> Entry:
    if not cell.rows:
        return Entry(text=NOT_RUN, emphasis="faint")
    refs = tuple(notes.number(text) for text in failures(cell))
    if cell.interval is None:
        statuses = Counter(row.status for row in cell.failed)
        text = statuses.most_common(1)[0][0] if statuses else "completed, no metric"
        trials = tuple(row.trial for row in cell.rows)
        return Entry(text=text, emphasis="faint", refs=refs, trials=trials)
    seeds = tuple(row.seed for row in cell.completed)
    remarks = ["at floor"] if cell.at_floor else []
    if cell.failed:
        remarks.append(f"{len(seeds)} of {len(cell.rows)} seeds")
    elif seeds != usual:
        remarks.append(f"seed{'s' * (len(seeds) > 1)} {ranges(seeds)}")
    collapsed = [row.collapsed_rows for row in cell.completed if row.collapsed_rows]
    if collapsed:
        share = f"{100 * max(collapsed):.2g} % of attention rows collapsed"
        refs = (*refs, notes.number(f"{share}: their normaliser underflowed."))
    return Entry(
        text=number(cell.interval, facts.unit),
        emphasis="best" if cell.best else "tied" if cell.tied else "",
        remark=", ".join(remarks),
        refs=refs,
        trials=tuple(row.trial for row in cell.rows),
    )


def failures(cell: Cell) -> list[str]:
    """How seeds ended that did not complete, and why, each reason once."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for row in cell.failed:
        reason = row.reason or "no reason was recorded"
        seeds.setdefault((row.status, reason), []).append(row.seed)
    partial = len(cell.rows) > len(next(iter(seeds.values()), []))
    return [
        f"{status}{f' (seed {ranges(which)})' * partial}: {reason}"
        for (status, reason), which in seeds.items()
    ]


def _mean_entry(means: Mapping[str, Cell], contender: Contender) -> Entry:
    cell = means.get(contender.label)
    if cell is None or cell.interval is None:
        return Entry(text="incomplete", emphasis="faint")
    emphasis = "best" if cell.best else "tied" if cell.tied else ""
    return Entry(text=number(cell.interval, "fraction"), emphasis=emphasis)  # type: ignore[arg-type]


def _majority_row(
    comparison: Comparison, columns: Sequence[Column], members: Sequence[Column] | None
) -> tuple[Entry, ...]:
    found = [comparison.columns[column].majority for column in columns]
    found += [suite_majority(comparison, members)] if members else []
    unknown = Entry(text="unknown", emphasis="faint")
    entries = [Entry(text=number(m, "fraction")) if m is not None else unknown for m in found]
    return (Entry(text=MAJORITY), *entries)


def _mean_note(comparison: Comparison, members: Sequence[Column]) -> str:
    stand_ins = [c.task for c in members if comparison.columns[c].stand_in]
    text = "Unweighted mean of the five tasks, Path-X apart; incomplete: a task has no score"
    return text + (f"; stand-ins for {', '.join(stand_ins)}." if stand_ins else ".")


def _usual_seeds(comparison: Comparison, columns: Sequence[Column]) -> tuple[int, ...]:
    """The seeds that most cells have, so that only the others need say theirs."""
    counts = Counter(
        tuple(row.seed for row in cell.rows)
        for contender in comparison.contenders
        for column in columns
        if (cell := comparison.cell(contender, column)).completed
    )
    return counts.most_common(1)[0][0] if counts else ()


def _explain(
    comparison: Comparison, columns: Sequence[Column], usual: tuple[int, ...], notes: Notes
) -> None:
    """The remarks that hold for the whole table."""
    if usual:
        plural = "s" * (len(usual) > 1)
        notes.general.append(f"Seed{plural} {ranges(usual)} unless a cell says otherwise.")
    spread = "test set and seeds" if len(usual) > 1 else "the test set alone (one seed)"
    cells = [comparison.cell(x, c) for x in comparison.contenders for c in columns]
    notes.general.append(f"±: the longer side of the 95 % interval, for {spread}.")
    if any(cell.best for cell in cells):
        notes.general.append(
            "*: best method; =: tied with it (Holm, 5 %). Floors and ceilings are not ranked."
        )
    if any(cell.at_floor for cell in cells):
        floors = _floor_names(comparison, columns)
        notes.general.append(
            f"at floor: the interval does not lie clear above the highest floor ({floors})."
        )
    for column in columns:
        for name, values in comparison.columns[column].differing.items():
            notes.general.append(
                f"Beware: in {column.task} the cells differ in {name}: {', '.join(values)}."
            )
        mine = {x.label: comparison.cell(x, column) for x in comparison.contenders}
        notes.general += [f"Beware: in {column.task} {text}" for text in code_notes(mine)]
    if any(row.dirty for cell in cells for row in cell.rows):
        notes.general.append("Some records were made with uncommitted changes in the code.")


def _floor_names(comparison: Comparison, columns: Sequence[Column]) -> str:
    floors = [c.label for c in comparison.contenders if c.role == "floor"]
    tasks: dict[str, list[str]] = {}
    for column in columns:
        facts = comparison.columns[column]
        cells = {f: comparison.cells[f, column] for f in floors if (f, column) in comparison.cells}
        floor = highest_floor(cells, facts, floors)
        if floor:
            tasks.setdefault(floor[0], []).append(column_head(column, facts, "")[0])
    if len(tasks) == 1:
        return next(iter(tasks))
    return "; ".join(f"{name} in {', '.join(where)}" for name, where in tasks.items())
