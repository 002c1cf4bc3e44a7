"""The page's summary: sentences made from the numbers, each number with its link."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from reports.accuracy import number
from reports.cells import Cell, Comparison, highest_floor, mean_columns, suite_means
from reports.columns import Column, Contender
from reports.crossovers import crossover_text
from reports.curve_notes import direction, setting_title
from reports.curves import MODES, Curve, Setting, gather
from reports.front import machines, offers
from reports.numbers import count, digits
from reports.page.anchors import Anchors
from reports.page.scores import columns_of, where
from reports.page.tables import SMOKE
from reports.probes import gather_probes
from reports.probes_agreement import JUDGED
from reports.probes_pivot import CLOSE
from results.record import Record

MOST_NAMES: Final = 8
"""Of a list; the tables have the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Text, perhaps a link."""

    text: str
    link: str = ""


Sentence = tuple[Piece, ...]


@dataclass(slots=True, kw_only=True)
class Finding:
    """What is said of one task or setting."""

    title: str
    link: str = ""
    sentences: list[Sentence] = field(default_factory=list)
    keys: Mapping[str, str] = field(default_factory=dict)
    """What it is chosen by."""
    smoke: bool = False
    """Of a preset whose differences mean little."""

    def say(self, *pieces: str | Piece) -> None:
        """Adds a sentence."""
        self.sentences.append(
            tuple(Piece(text=piece) if isinstance(piece, str) else piece for piece in pieces)
        )


def headline(records: Sequence[Record]) -> str:
    """How much there is, from when, and how it ended."""
    methods = {record.identity.method for record in records}
    tasks = {record.identity.task for record in records}
    places = {record.machine.name for record in records}
    days = sorted({record.provenance.started[:10] for record in records})
    ended = Counter(record.status for record in records)
    completed = ended.pop("completed", 0)
    text = (
        f"{_many(len(records), 'trial')} of {_many(len(methods), 'method')} on"
        f" {_many(len(tasks), 'task')}, measured on {_many(len(places), 'machine')}"
        f" {f'on {days[0]}' if len(days) == 1 else f'from {days[0]} to {days[-1]}'}."
    )
    if not ended:
        return f"{text} All of them completed."
    how = ", ".join(f"{number} {status}" for status, number in ended.most_common())
    return f"{text} {completed} of them completed; {how}."


def findings(
    records: Sequence[Record], comparisons: Sequence[Comparison], anchors: Anchors
) -> list[Finding]:
    """Suites and scores first, then what cost trials and probes found."""
    found = [finding for each in comparisons for finding in _of_suites(each, anchors)]
    found += [
        _of_scores(comparison, column, f"#{name}", anchors)
        for name, comparison, column in columns_of(comparisons)
    ]
    costs = gather(records)
    found += [_of_cost(setting, curves) for setting, curves in costs.curves.items()]
    return [each for each in (*found, *_of_probes(records)) if each.sentences]


def _of_suites(comparison: Comparison, anchors: Anchors) -> Iterator[Finding]:
    """The mean over a suite, where methods have all of it."""
    for columns in comparison.blocks():
        members = mean_columns(columns)
        means = suite_means(comparison, members) if members else {}
        if not means or members is None:
            continue

        def told(contender: Contender, cell: Cell, members: Sequence[Column] = members) -> Piece:
            assert cell.interval is not None
            cells = [comparison.cell(contender, column) for column in members]
            trials = [row.trial for each in cells for row in each.rows]
            text = f"{contender.label} {number(cell.interval, 'fraction')} %"
            return Piece(text=text, link=anchors.link(trials))

        first = members[0]
        finding = Finding(
            title=f"mean of the suite {first.family}, preset {first.preset}", link="#overview"
        )
        finding.keys = anchors.keys(
            row.trial
            for c in comparison.contenders
            for m in members
            for row in comparison.cell(c, m).rows
        )
        pairs = [(c, means[c.label]) for c in comparison.contenders if c.label in means]
        _ranked(finding, pairs, told)
        finding.smoke = first.preset == SMOKE
        yield finding


def _ranked(
    finding: Finding,
    scored: Sequence[tuple[Contender, Cell]],
    told: Callable[[Contender, Cell], Piece],
) -> None:
    """Who is best, who is tied with it, and where the ceiling lies."""
    best = [told(c, cell) for c, cell in scored if cell.best]
    tied = [told(c, cell) for c, cell in scored if cell.tied]
    if best and tied:
        finding.say("Best: ", *best, "; tied with it: ", *_listed(tied), ".")
    elif best:
        finding.say("Best: ", *best, ", ahead of all other methods by more than chance explains.")
    elif scored:
        lone = [(c, cell) for c, cell in scored if c.role == "method"] or scored
        finding.say("Not ranked: ", *_listed([told(*pair) for pair in lone]), ".")
    ceilings = [told(c, cell) for c, cell in scored if c.role == "ceiling"]
    if ceilings and best:
        finding.say("The ceiling: ", *_listed(ceilings), ".")


def _of_scores(comparison: Comparison, column: Column, link: str, anchors: Anchors) -> Finding:
    finding = Finding(title=where(column), link=link)
    facts = comparison.columns[column]
    cells = [(c, cell) for c in comparison.contenders if (cell := comparison.cell(c, column)).rows]

    def told(contender: Contender, cell: Cell) -> Piece:
        assert cell.interval is not None
        unit = " %" if facts.unit in ("fraction", "") else ""
        text = f"{contender.label} {number(cell.interval, facts.unit)}{unit}"
        return Piece(text=text, link=anchors.link([row.trial for row in cell.rows]))

    scored = [(c, cell) for c, cell in cells if cell.interval is not None]
    finding.keys = anchors.keys(row.trial for _, cell in cells for row in cell.rows)
    _ranked(finding, scored, told)
    _front(finding, comparison, column, anchors)
    _floor(finding, comparison, column, scored)
    if _of_one_run(scored):
        finding.say("One seed each: what another seed would change is in no interval here.")
    failed = [c.label for c, cell in cells if cell.interval is None]
    if failed:
        finding.say(f"Without a score: {_names(failed)}; the reasons are under Failures.")
    if facts.stand_in:
        finding.say("The data are a stand-in, not the task's own.")
    finding.smoke = column.preset == SMOKE
    return finding


def _of_one_run(scored: Sequence[tuple[Contender, Cell]]) -> bool:
    """Whether a method is called best by one run alone."""
    return any(cell.best and len(cell.completed) == 1 for _, cell in scored)


def _front(finding: Finding, comparison: Comparison, column: Column, anchors: Anchors) -> None:
    """Who no other method beats in both score and speed, on each machine."""
    places = machines(comparison, [column])
    for place in places:
        found = offers(comparison, column, place)
        front = [offer for offer in found if offer.on_front]
        if len(found) < 2 or not front:
            continue
        pieces = []
        for offer in sorted(front, key=lambda each: each.tokens_per_second):
            cell = comparison.cell(offer.contender, column)
            pieces.append(
                Piece(
                    text=f"{offer.contender.label} ({count(offer.tokens_per_second)} tokens/s)",
                    link=anchors.link([row.trial for row in cell.rows]),
                )
            )
        on = f" on {place[0]}" if len(places) > 1 else ""
        finding.say(
            f"On the front of score against training speed{on}, best score first: ",
            *_listed(pieces),
            ".",
        )


def _floor(
    finding: Finding,
    comparison: Comparison,
    column: Column,
    scored: Sequence[tuple[Contender, Cell]],
) -> None:
    at_floor = [c.label for c, cell in scored if cell.at_floor]
    if not at_floor:
        return
    facts = comparison.columns[column]
    cells = {c.label: cell for c, cell in scored}
    floors = [c.label for c, _ in scored if c.role == "floor"]
    floor = highest_floor(cells, facts, floors)
    if floor:
        finding.say(f"Not clear above the floor ({floor[0]}): {_names(at_floor)}.")


def _of_cost(setting: Setting, curves: Sequence[Curve]) -> Finding:
    """At the longest length that two methods reached, who is fastest; and the crossovers."""
    finding = Finding(title=f"cost: {setting_title(setting)}", link="#cost")
    for mode in MODES:
        for causal in (True, False):
            times = _longest(curves, mode, causal)
            if len(times) < 2:
                continue
            length = times[0][2]
            first, second = times[0], times[1]
            finding.say(
                f"{mode.capitalize()}, {direction(causal)}, {length} tokens: fastest is"
                f" {first[1]} with {digits(1000 * first[0])} ms, then {second[1]} with"
                f" {digits(1000 * second[0])} ms."
            )
    crossing = [
        f"{curve.contender.label} {crossover_text(each)} ({each.mode}, {direction(each.causal)})"
        for curve in curves
        for each in curve.crossovers
        if each.quantity == "latency" and each.mode == "forward"
    ]
    if crossing:
        finding.say(f"Faster than {setting.reference} from a length of: {_names(crossing)}.")
    return finding


def _longest(curves: Sequence[Curve], mode: str, causal: bool) -> list[tuple[float, str, int]]:
    """Seconds, label and length of everyone at the longest length of two or more."""
    times: dict[int, list[tuple[float, str, int]]] = {}
    for curve in curves:
        for place, point in curve.points.items():
            if (place.mode, place.causal) == (mode, causal) and point.seconds is not None:
                found = (point.seconds.mean, curve.contender.label, place.length)
                times.setdefault(place.length, []).append(found)
    several = [length for length, found in times.items() if len(found) > 1]
    return sorted(times[max(several)]) if several else []


def _of_probes(records: Sequence[Record]) -> Iterator[Finding]:
    for group in gather_probes(records).groups:
        setting = group.setting
        finding = Finding(title=f"{setting.task}, preset {setting.preset}", link="#probes")
        names = JUDGED.get(setting.task, ())
        off = [
            away
            for name in names
            for reading in group.of(name)
            if (away := reading.standard_errors) is not None
        ]
        if off:
            near = sum(abs(away) <= CLOSE for away in off)
            finding.say(
                f"{near} of {len(off)} measured numbers lie within {CLOSE:.0f} standard errors of"
                " what theory says in closed form."
            )
        if group.gates:
            finding.say(f"The gate speaks against {_names(sorted(group.gates))}.")
        yield finding


def _listed(pieces: Sequence[Piece]) -> list[str | Piece]:
    """With commas between."""
    found: list[str | Piece] = []
    for i, piece in enumerate(pieces[:MOST_NAMES]):
        found += [", ", piece] if i else [piece]
    if len(pieces) > MOST_NAMES:
        found.append(f" and {len(pieces) - MOST_NAMES} more")
    return found


def _names(names: Iterable[str]) -> str:
    names = [*names]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
