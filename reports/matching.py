"""Whether published numbers come from the conditions that ours come from, task by task."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.accuracy import block_title
from reports.cells import Comparison
from reports.columns import Column
from reports.frame import Row
from reports.grid import Entry, Grid, Notes, Section, plain
from reports.tidy import Tidy, of_column
from results.protocols import NEAR, NEAR_LENGTH, Conditions, Protocol, near, published_protocols
from results.published import Table

ASPECTS = ("preset", "data", "length", "training examples", "steps x batch", "layers x width")
ACCURACY = ("accuracy", "percent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Aspect:
    """One thing that must be the same. Either side is empty where nobody says it."""

    name: str
    ours: str
    theirs: str
    same: bool | None
    """None: not known."""

    @property
    def text(self) -> str:
        """Theirs alone where both are the same."""
        if self.same is None:
            return f"{self.ours or 'not known'}, theirs {self.theirs or 'not known'}"
        return self.theirs if self.same else f"{self.ours}, not {self.theirs}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One of our columns against one published protocol."""

    column: Column
    protocol: str
    aspects: tuple[Aspect, ...]
    """Empty where the protocol was read nowhere."""
    note: str = ""

    @property
    def differing(self) -> list[str]:
        return [aspect.name for aspect in self.aspects if aspect.same is False]

    @property
    def same(self) -> bool | None:
        """None: nothing differs that is known, but not all is known."""
        if self.differing:
            return False
        known = self.aspects and all(aspect.same for aspect in self.aspects)
        return True if known else None


def shared_blocks(comparison: Comparison, table: Table) -> list[list[Column]]:
    """Our columns of accuracy whose task the table has. Other people's times stand with none."""
    if (table.quantity, table.unit) != ACCURACY:
        return []
    blocks = [
        [
            column
            for column in columns
            if column.task in table.columns
            and comparison.columns[column].metric in ("", ACCURACY[0])
        ]
        for columns in comparison.blocks()
    ]
    return [columns for columns in blocks if columns]


def matches(comparison: Comparison, columns: Sequence[Column], table: Table) -> list[Match]:
    """Every column against every protocol behind a row of the table whose method is ours too."""
    ours = {contender.method for contender in comparison.contenders}
    names = dict.fromkeys(
        row.protocol or table.protocol for row in table.rows if row.bench_method in ours
    )
    known = published_protocols()
    return [
        _match(comparison, column, name, known.get(name)) for name in names for column in columns
    ]


def verdict(found: Sequence[Match]) -> str:
    """In a sentence: on how many tasks the protocols match, and what differs."""
    if not found:
        return ""
    same = sum(match.same is True for match in found)
    differing = [name for name in ASPECTS if any(name in match.differing for match in found)]
    unknown = sum(match.same is None for match in found)
    several = len({match.protocol for match in found}) > 1
    what = "pairs of a task and a protocol" if several else "tasks"
    text = f"The protocols match on {same or 'none'} of {len(found)} {what}"
    text += f"; not known on {unknown}" * bool(unknown)
    text += f"; they differ in {', '.join(differing)}" if differing else ""
    text += ": the table below says how. Where they differ compare shapes, not decimals."
    return text if same < len(found) else f"The protocols match on all {same} {what}."


def protocol_grids(found: Sequence[Match], columns: Sequence[Column], table: Table) -> list[Grid]:
    """What is the same and what is not, in words; nothing where there is nothing to match."""
    if not found:
        return []
    notes, rows = Notes(), []
    for match in found:
        answer = {True: "yes", False: "no", None: "not known"}[match.same]
        refs = (notes.number(match.note),) if match.note else ()
        task = match.column.task.removeprefix(f"{match.column.family}/")
        entries = [Entry(text=plain(task)), Entry(text=match.protocol, refs=refs)]
        entries.append(Entry(text=answer, emphasis="" if match.same else "faint"))
        told = {aspect.name: aspect.text for aspect in match.aspects}
        entries += [Entry(text=told.get(name, "theirs not known")) for name in ASPECTS]
        rows.append(tuple(entries))
    notes.general.append(
        f"Same: lengths within {NEAR_LENGTH:.0%}, examples and steps x batch within {NEAR:.0%};"
        " data that are the task's own and no stand-in. Layers x width are those of the default"
        " encoder, whatever a method adds."
    )
    return [
        Grid(
            title=f"{block_title('Whether the protocols match', columns)}; {table.title}",
            header=(("task",), ("published",), ("same",), *((name,) for name in ASPECTS)),
            sections=(Section(title="", rows=tuple(rows)),),
            notes=notes.all(),
            words=True,
        )
    ]


def match_values(comparison: Comparison, found: Sequence[Match], table: Table) -> Iterator[Tidy]:
    """A row for each: 1 the same, 0 another, empty not known; the reason says what is what."""
    for match in found:
        told = "; ".join(f"{aspect.name}: {aspect.text}" for aspect in match.aspects)
        yield of_column(
            match.column,
            comparison.columns[match.column],
            method="",
            options="{}",
            role="protocol",
            quantity="protocol_matches",
            unit="1",
            value=None if match.same is None else float(match.same),
            status="compared" if match.aspects else "not known",
            reason=told or "what the protocol was is not known",
            reference=f"{table.name}:{match.protocol}",
        )


def _match(comparison: Comparison, column: Column, name: str, protocol: Protocol | None) -> Match:
    theirs = protocol.of(column.task) if protocol else None
    if protocol is None or theirs is None:
        return Match(column=column, protocol=name, aspects=())
    row = _loaded(comparison, column)
    said = [f"{theirs.note[0].upper()}{theirs.note[1:]}."] if theirs.note else []
    return Match(
        column=column,
        protocol=name,
        aspects=_aspects(column, row, name, theirs),
        note=" ".join([f"{protocol.citation}.", *said]),
    )


def _loaded(comparison: Comparison, column: Column) -> Row | None:
    """A row that knows its data and its training; those of one column agree."""
    rows = (
        row
        for contender in comparison.contenders
        for row in comparison.cell(contender, column).rows
        if row.digest
    )
    return next(rows, None)


def _aspects(column: Column, row: Row | None, name: str, theirs: Conditions) -> tuple[Aspect, ...]:
    protocol = json.loads(row.protocol) if row else {}
    changed = ", changed" * (column.settings != "{}")
    preset = Aspect(
        name="preset",
        ours=f"{column.preset}{changed}",
        theirs=name,
        same=column.preset == name and not changed,
    )
    data = Aspect(
        name="data",
        ours="a stand-in" if row and row.stand_in else column.source.split(":")[0] if row else "",
        theirs="the task's own",
        same=None if row is None else not row.stand_in,
    )
    budget = _product(protocol.get("steps"), protocol.get("batch_size"))
    size = _product(protocol.get("num_layers"), protocol.get("d_model"))
    return (
        preset,
        data,
        _number("length", row.max_time if row else None, theirs.length, NEAR_LENGTH),
        _number("training examples", row.num_train if row else None, theirs.num_train, NEAR),
        _pair("steps x batch", budget, _product(theirs.steps, theirs.batch_size), NEAR),
        _pair("layers x width", size, _product(theirs.num_layers, theirs.d_model), 0.0),
    )


def _number(name: str, ours: int | None, theirs: int | None, share: float) -> Aspect:
    return Aspect(
        name=name,
        ours="" if ours is None else str(ours),
        theirs="" if theirs is None else str(theirs),
        same=None if ours is None or theirs is None else near(ours, theirs, share),
    )


def _product(one: int | None, other: int | None) -> tuple[int, int] | None:
    return None if one is None or other is None else (one, other)


def _pair(
    name: str, ours: tuple[int, int] | None, theirs: tuple[int, int] | None, share: float
) -> Aspect:
    """Of two numbers the products are compared, or with no share to differ by both numbers."""
    same = None
    if ours is not None and theirs is not None:
        alike = near(ours[0] * ours[1], theirs[0] * theirs[1], share)
        same = alike if share else ours == theirs
    return Aspect(
        name=name,
        ours=f"{ours[0]} x {ours[1]}" if ours else "",
        theirs=f"{theirs[0]} x {theirs[1]}" if theirs else "",
        same=same,
    )
