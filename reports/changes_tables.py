"""Changes between two sets of results as a table, and as rows for machines."""

import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Final, Literal

from rich.console import Console, Group, RenderableType

from reports.change import LEAST, VERDICTS, Change, Verdict
from reports.formats import TerminalGrid, csv_lines, latex_grid, markdown_grid
from reports.grid import Entry, Grid, Notes, Section, plain
from reports.numbers import count, digits, size
from results.record import Record

Format = Literal["table", "markdown", "csv", "latex", "json"]
MOST_ROWS: Final = 40
"""Of one verdict; csv and json have them all."""
_HEADER: Final = (
    ("method",),
    ("task",),
    ("quantity",),
    ("old",),
    ("new",),
    ("change",),
    ("p, Holm",),
)
_TITLES: Final[Mapping[Verdict, str]] = {
    "worse": "worse",
    "better": "better",
    "noise": "noise: no more than chance or load would do",
    "only in old": "only in the old results",
    "only in new": "only in the new results",
    "not compared": "not compared",
}


def change_grid(
    found: Sequence[Change], old: Sequence[Record], new: Sequence[Record], names: tuple[str, str]
) -> Grid:
    """One table, a section for each verdict; what is the same to the last digit is counted."""
    notes = Notes()
    sections = []
    for verdict, title in _TITLES.items():
        mine = [each for each in found if each.verdict == verdict]
        mine.sort(key=_order)
        if mine:
            rows = tuple(_line(each, notes) for each in mine[:MOST_ROWS])
            sections.append(Section(title=title, rows=rows))
        if len(mine) > MOST_ROWS:
            notes.general.append(
                f"{verdict}: {len(mine) - MOST_ROWS} more, which csv and json show."
            )
    _explain(found, (old, new), names, notes)
    title = f"Changes from {plain(names[0], 60)} to {plain(names[1], 60)}"
    return Grid(title=title, header=_HEADER, sections=tuple(sections), notes=notes.all())


def render_changes(grid: Grid, found: Sequence[Change], format: Format, width: int = 120) -> str:
    """The table in one of the five formats."""
    if format == "csv":
        return _csv(found)
    if format == "json":
        return json.dumps([*map(_finite, _flat(found))], indent=1, allow_nan=False) + "\n"
    if format == "markdown":
        return markdown_grid(grid)
    if format == "latex":
        return latex_grid(grid)
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    console.print(renderable_changes(grid))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def renderable_changes(grid: Grid) -> RenderableType:
    """The same for a rich console, in colour."""
    return Group(TerminalGrid(grid))


def in_words(change: Change) -> str:
    """One line, such as for a failing check."""
    subject = change.subject
    where = " ".join(filter(None, (subject.task, subject.preset, subject.where)))
    if change.kind == "trial":
        return plain(f"{subject.label}, {where}: {change.reason}")
    old, new = (_number(change, value) for value in (change.old, change.new))
    return plain(f"{subject.label}, {where}: {_quantity(change)} {old} -> {new}")


def _order(change: Change) -> tuple[float, str, str, str]:
    """The worst first; of what became better the best."""
    times = change.times_worse
    size_ = abs(math.log(times)) if 0 < times < math.inf else math.inf
    subject = change.subject
    return -size_, subject.task, subject.label, change.quantity


def _line(change: Change, notes: Notes) -> tuple[Entry, ...]:
    subject = change.subject
    refs = (notes.number(_sentence(change.reason)),) if change.reason else ()
    where = [subject.preset, subject.where]
    where += [subject.dtype] if subject.dtype != "float32" else []
    where += ["compiled"] if subject.compile else []
    seeds = f"seed{'s' * (not change.seeds.isdigit())} {change.seeds}" if change.seeds else ""
    p_value = change.p_value
    return (
        Entry(text=plain(subject.label, 60), remark=seeds, refs=refs),
        Entry(text=plain(subject.task), remark=plain(", ".join(filter(None, where)))),
        Entry(text=_quantity(change)),
        _value(change, change.old),
        _value(change, change.new),
        _change(change),
        Entry(text="-" if p_value is None else "<0.001" if p_value < 0.001 else f"{p_value:.3f}"),
    )


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def _quantity(change: Change) -> str:
    name = change.quantity.removesuffix("_seconds").removesuffix("_bytes").replace("_", " ")
    return {"step": "time of a step", "latency": "time of a call"}.get(name, name)


def _value(change: Change, value: float | None) -> Entry:
    if value is None:
        return Entry(text="-", emphasis="faint")
    return Entry(text=_number(change, value))


def _number(change: Change, value: float | None) -> str:
    if value is None:
        return "-"
    if change.unit == "fraction":
        return f"{100 * value:.1f} %"
    if change.unit == "s":
        return f"{digits(1000 * value)} ms"
    if change.unit == "B":
        return size(value)
    return count(value) if change.unit == "1" else f"{value:.4g}"


def _change(change: Change) -> Entry:
    interval = change.change
    if interval is None:
        return Entry(text="-", emphasis="faint")
    if change.kind != "score":
        text = f"x{digits(interval.mean)}"
        span = f"[{digits(interval.low)}, {digits(interval.high)}]"
        return Entry(text=text, remark=span if interval.known else "")
    scale, places = (100.0, ".1f") if change.unit == "fraction" else (1.0, ".3g")
    span = f"[{scale * interval.low:+{places}}, {scale * interval.high:+{places}}]"
    text = f"{scale * interval.mean:+{places}}"
    return Entry(text=text, remark=span if interval.known else "")


def _explain(
    found: Sequence[Change],
    sides: tuple[Sequence[Record], Sequence[Record]],
    names: tuple[str, str],
    notes: Notes,
) -> None:
    totals = Counter(change.verdict for change in found)
    told = ", ".join(f"{totals[verdict]} {verdict}" for verdict in VERDICTS if totals[verdict])
    notes.general.append(f"In all: {told or 'nothing to compare'}. same: to the last digit.")
    for name, records in zip(names, sides, strict=True):
        commits = Counter((record.provenance.commit or "no commit")[:9] for record in records)
        machines = sorted({record.machine.name for record in records})
        text = ", ".join(f"{commit} ({number})" for commit, number in commits.most_common(5))
        notes.general.append(f"{name}: commits {text}; {'; '.join(machines)}.")
    tests = sorted({change.test for change in found if change.test and change.kind != "counted"})
    notes.general.append(
        "change: new minus old of scores, in points of percent where they are shares; new over old"
        " of all else; in brackets 95 % intervals. worse and better: p after Holm, over all changes"
        f" of scores, of time or of memory, is at most 0.05. Tests: {'; '.join(tests) or 'none'}."
    )
    notes.general.append(
        "Time and memory are held against each other on one machine with as many threads only. By"
        " the spread between runs of one trial where seeds show it; else a change must exceed"
        f" {100 * (LEAST - 1):.0f} % with its whole interval, since a run lies further from the"
        " next than its own samples say."
    )


def _flat(found: Iterable[Change]) -> Iterator[dict[str, object]]:
    """A row a change, in base units."""
    for each in found:
        subject = asdict(each.subject)
        label = subject.pop("label")
        interval = each.change
        known = interval is not None and interval.known
        yield {
            **subject,
            "label": label,
            "seeds": each.seeds,
            "quantity": each.quantity,
            "unit": each.unit,
            "kind": each.kind,
            "verdict": each.verdict,
            "old": each.old,
            "new": each.new,
            "change": interval.mean if interval else None,
            "low": interval.low if interval and known else None,
            "high": interval.high if interval and known else None,
            "times_worse": each.times_worse,
            "p_value": each.p_value,
            "test": each.test,
            "reason": each.reason,
        }


def _csv(found: Sequence[Change]) -> str:
    lines = [*_flat(found)]
    return csv_lines([*lines[0]], lines) if lines else ""


def _finite(values: dict[str, object]) -> dict[str, object]:
    return {
        name: None if isinstance(v, float) and not math.isfinite(v) else v
        for name, v in values.items()
    }
