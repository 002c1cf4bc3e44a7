"""The table of trained language models: before and after training, the gap closed, the price."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reports.accuracy import SECTIONS, block_title, failures, labels, number
from reports.cells import MAJORITY, highest_floor
from reports.costs import by_machine
from reports.grid import Entry, Grid, Notes, Section, plain
from reports.language import (
    CEILING,
    FLOOR,
    Entrant,
    Group,
    Kind,
    Languages,
    after,
    before,
    rate_of,
)
from reports.language_notes import (
    card_notes,
    common_notes,
    exact_notes,
    rate_text,
    seeds_remark,
    shared_settings,
    spaced,
    text_note,
    usual_seeds,
)
from reports.numbers import count
from reports.tokens import tokens_trained
from results.statistics import Interval, over_seeds

NOTHING = Entry(text="-", emphasis="faint")
MOST_FREQUENT = "most frequent token"


@dataclass(frozen=True, slots=True)
class _Table:
    group: Group
    usual: tuple[int, ...]
    notes: Notes = field(default_factory=Notes)


@dataclass(frozen=True, slots=True)
class _Part:
    """A column: its head and what stands in it."""

    head: tuple[str, ...]
    entry: Callable[[_Table, Entrant], Entry]


def training_grids(languages: Languages, kind: Kind, *, cost: bool = True) -> list[Grid]:
    """One grid for each text and protocol: finetuned models, or such from scratch."""
    return [_grid(group, cost=cost) for group in languages.of(kind)]


def title_of(group: Group, what: str) -> str:
    """Of which model, what the table shows, and what all of it has in common."""
    model = shared_settings(group).get("model")
    kind = group.kind.capitalize()
    return block_title(f"{kind} {model}, {what}" if model else f"{kind}, {what}", [group.column])


def _grid(group: Group, *, cost: bool) -> Grid:
    table = _Table(group, usual_seeds(group))
    letter = table.notes.letter(text_note(group))
    parts = _scores(letter) + (_speeds(table) if cost else []) + _facts(group)
    sections = []
    for role, title in SECTIONS:
        rows = [
            (labels(entrant.contender), *(part.entry(table, entrant) for part in parts))
            for entrant in group.entrants
            if entrant.contender.role == role
        ]
        majority = group.facts.majority
        if role == "floor" and majority is not None:
            known = Entry(text=f"{100 * majority.mean:.1f}")
            rows.append((Entry(text=MOST_FREQUENT), NOTHING, known, *[NOTHING] * (len(parts) - 2)))
        if rows:
            sections.append(Section(title=title, rows=tuple(rows)))
    _explain(table)
    return Grid(
        title=title_of(group, "next-token accuracy in %"),
        header=(("method",), *(part.head for part in parts)),
        sections=tuple(sections),
        notes=table.notes.all(),
    )


def _scores(letter: str) -> list[_Part]:
    return [
        _Part(("untrained", f"[{letter}]"), _accuracy_before),
        _Part(("trained", f"[{letter}]"), _accuracy_after),
        _Part(("gap", "closed"), _gap),
        _Part(("loss", "nat a token"), _loss),
        _Part(("perplexity",), _perplexity),
    ]


def _facts(group: Group) -> list[_Part]:
    parts = [
        _Part(("loss", "spikes"), _spikes),
        _Part(("parameters", "trained / own"), _parameters),
    ]
    records = [record for entrant in group.entrants for record, _ in entrant.completed]
    if len({tokens_trained(record) for record in records}) > 1:
        parts.append(_Part(("tokens", "trained"), _tokens))
    if any(record.language and record.language.runs for record in records):
        parts.append(_Part(("learning", "rate"), _rates))
    return parts


def _speeds(table: _Table) -> list[_Part]:
    """A column for each machine: two never share one."""
    everyone = [row for entrant in table.group.entrants for row in entrant.cell.rows]
    timed = [row for row in everyone if row.tokens_per_second is not None]
    machines = sorted(by_machine(timed))
    parts = []
    for machine, threads in machines:
        plural = "s" * (threads != 1)
        note = f"In training, the median step; on {plain(machine)} with {threads} thread{plural}."
        letter = table.notes.letter(note)
        parts.append(_Part(("tokens", "a second", f"[{letter}]"), _speed(machine, threads)))
    return parts


def _speed(machine: str, threads: int) -> Callable[[_Table, Entrant], Entry]:
    def entry(_: _Table, entrant: Entrant) -> Entry:
        mine = by_machine(entrant.cell.rows).get((machine, threads), [])
        found = [row.tokens_per_second for row in mine if row.tokens_per_second is not None]
        return Entry(text=count(statistics.median(found))) if found else NOTHING

    return entry


def _accuracy_before(_: _Table, entrant: Entrant) -> Entry:
    scores = entrant.accuracies(before)
    return Entry(text=number(over_seeds(scores), "fraction")) if scores else NOTHING


def _accuracy_after(table: _Table, entrant: Entrant) -> Entry:
    cell = entrant.cell
    refs = tuple(table.notes.number(text) for text in failures(cell))
    if cell.interval is None:
        status = cell.failed[0].status if cell.failed else "completed, no metric"
        return Entry(text=status, emphasis="faint", refs=refs)
    remarks = ["at floor"] if cell.at_floor else []
    remarks += [said] if (said := seeds_remark(entrant, table.usual)) else []
    return Entry(
        text=number(cell.interval, "fraction"),
        emphasis="best" if cell.best else "tied" if cell.tied else "",
        remark=", ".join(remarks),
        refs=refs,
    )


def mean_loss(entrant: Entrant) -> Interval | None:
    """After training, over seeds and blocks."""
    scores = entrant.losses(after)
    return over_seeds(scores) if scores else None


def _loss(_: _Table, entrant: Entrant) -> Entry:
    loss = mean_loss(entrant)
    if loss is None:
        return NOTHING
    reach = f" ±{loss.half_width:.3f}" if loss.known else ""
    return Entry(text=f"{loss.mean:.3f}{reach}")


def _perplexity(_: _Table, entrant: Entrant) -> Entry:
    loss = mean_loss(entrant)
    known = loss is not None and loss.mean < 700
    return Entry(text=f"{math.exp(loss.mean):.4g}") if loss is not None and known else NOTHING


def _gap(table: _Table, entrant: Entrant) -> Entry:
    if entrant.contender.method in (FLOOR, CEILING) and entrant.contender.role != "method":
        return NOTHING
    share = table.group.gap_closed(entrant)
    return NOTHING if share is None else Entry(text=number(share, "fraction"))


def _parameters(_: _Table, entrant: Entrant) -> Entry:
    """Those that learned, and those that the method brought along."""
    if not entrant.completed:
        return NOTHING
    trained = max(language.trained_parameters for _, language in entrant.completed)
    own = max(language.method_parameters for _, language in entrant.completed)
    return Entry(text=f"{count(trained)} / {count(own)}")


def _tokens(_: _Table, entrant: Entrant) -> Entry:
    values = {n for record, _ in entrant.completed if (n := tokens_trained(record)) is not None}
    return Entry(text=", ".join(map(spaced, sorted(values)))) if values else NOTHING


def _spikes(_: _Table, entrant: Entrant) -> Entry:
    return Entry(text=str(entrant.spikes)) if entrant.completed else NOTHING


def _rates(_: _Table, entrant: Entrant) -> Entry:
    rates = [rate for record, _ in entrant.completed if (rate := rate_of(record)) is not None]
    return Entry(text=", ".join(map(rate_text, sorted(set(rates))))) if rates else NOTHING


def _explain(table: _Table) -> None:
    """The remarks that hold for the whole table."""
    group, notes = table.group, table.notes
    common_notes(group, notes)
    cells = [entrant.cell for entrant in group.entrants]
    notes.general.append(
        f"±: the longer side of the 95 % interval, Student's t over test {_spread(group)}."
        " Perplexity is the exponential of the loss."
    )
    if any(cell.best for cell in cells):
        notes.general.append(
            "*: best method; =: tied with it (paired over blocks, Holm, 5 %). Floors and ceilings"
            " are not ranked."
        )
    if any(cell.at_floor for cell in cells):
        notes.general.append(
            f"at floor: the interval does not lie clear above the highest floor"
            f" ({_floor_name(group)})."
        )
    notes.general += [_gap_note(group), *card_notes(group.entrants), *exact_notes(group.entrants)]
    several = any(len(entrant.completed) > 1 for entrant in group.entrants)
    notes.general.append(
        "Own parameters: those that the method brought along."
        + " Spikes are those of all seeds together." * several
    )


def _spread(group: Group) -> str:
    """What an interval is taken over: seeds too, in rows that have several."""
    several = {len(entrant.completed) > 1 for entrant in group.entrants if entrant.completed}
    if several == {True, False}:
        return "blocks, and over seeds in rows of several"
    return "blocks and seeds" if True in several else "blocks (one seed)"


def _gap_note(group: Group) -> str:
    shown: Sequence[Entrant] = [e for e in group.entrants if group.gap_closed(e) is not None]
    if shown:
        return (
            f"Gap closed: (method - {FLOOR}) / ({CEILING} - {FLOOR}), trained accuracies; interval"
            " by the delta method, paired over blocks."
        )
    return (
        f"No gap is shown: it needs {FLOOR} and {CEILING}, trained alike on the same text, and"
        f" {CEILING} clear above {FLOOR}."
    )


def _floor_name(group: Group) -> str:
    cells = {entrant.contender.label: entrant.cell for entrant in group.entrants}
    floors = [e.contender.label for e in group.entrants if e.contender.role == "floor"]
    found = highest_floor(cells, group.facts, floors)
    name = found[0] if found else ""
    return MOST_FREQUENT if name == MAJORITY else name
