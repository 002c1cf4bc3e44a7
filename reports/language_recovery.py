"""The table of recovery: validation accuracy and loss against the tokens trained on."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from reports.accuracy import number
from reports.grid import Entry, Grid, Notes, Section
from reports.language import Entrant, Group, Languages, mean_over_seeds
from reports.language_notes import common_notes, row_label, spaced, text_note, usual_seeds
from reports.language_tables import NOTHING, title_of
from reports.tokens import tokens_per_step
from results.statistics import Interval

MOST_COLUMNS = 8
"""More are too many to read side by side; csv and json have them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Validation after some tokens, over seeds."""

    step: int
    tokens: int
    accuracy: Interval
    loss: Interval
    seeds: tuple[int, ...]


def points_of(entrant: Entrant) -> list[Point]:
    """By tokens, ascending; also those of seeds that diverged later."""
    found: dict[tuple[int, int], list[tuple[int, float, float]]] = defaultdict(list)
    for record in entrant.records:
        each = tokens_per_step(record)
        if record.training is not None and each is not None:
            for at in record.training.evaluations:
                key = (at.step * each, at.step)
                found[key].append((record.identity.seed, at.accuracy, at.loss))
    return [
        Point(
            step=step,
            tokens=tokens,
            accuracy=mean_over_seeds([accuracy for _, accuracy, _ in seeds]),
            loss=mean_over_seeds([loss for *_, loss in seeds]),
            seeds=tuple(seed for seed, *_ in seeds),
        )
        for (tokens, step), seeds in sorted(found.items())
    ]


def recovery_grids(languages: Languages) -> list[Grid]:
    """One grid for each text and protocol that was evaluated on the way."""
    groups = languages.of("finetuning", "pretraining")
    return [grid for group in groups if (grid := _grid(group)) is not None]


def _grid(group: Group) -> Grid | None:
    found = {e.contender.label: {p.tokens: p for p in points_of(e)} for e in group.entrants}
    every = sorted({tokens for points in found.values() for tokens in points})
    if not every:
        return None
    shown, notes, usual = _thinned(every), Notes(), usual_seeds(group)
    letter = notes.letter(text_note(group))
    sections = []
    for what, unit in (
        ("validation accuracy, %", "fraction"),
        ("validation loss, nat a token", ""),
    ):
        rows = []
        for entrant in group.entrants:
            points = found[entrant.contender.label]
            if points:
                entries = [_entry(points.get(tokens), unit) for tokens in shown]
                rows.append((row_label(entrant, usual), *entries))
        sections.append(Section(title=what, rows=tuple(rows)))
    common_notes(group, notes)
    if len(shown) < len(every):
        notes.general.append(f"{len(shown)} of {len(every)} evaluations; csv and json have all.")
    if any(len(point.seeds) > 1 for points in found.values() for point in points.values()):
        notes.general.append("±: the longer side of the 95 % interval, Student's t over seeds.")
    missing = [e.contender.label for e in group.entrants if not found[e.contender.label]]
    if missing:
        notes.general.append(f"Without a row, as nothing was evaluated: {', '.join(missing)}.")
    return Grid(
        title=title_of(group, "recovery against tokens trained"),
        header=((f"method by tokens [{letter}]",), *((spaced(tokens),) for tokens in shown)),
        sections=tuple(sections),
        notes=notes.all(),
    )


def _thinned(tokens: Sequence[int]) -> list[int]:
    """Evenly, with the first and the last."""
    if len(tokens) <= MOST_COLUMNS:
        return [*tokens]
    steps = MOST_COLUMNS - 1
    return [tokens[round(i * (len(tokens) - 1) / steps)] for i in range(MOST_COLUMNS)]


def _entry(point: Point | None, unit: str) -> Entry:
    if point is None:
        return NOTHING
    if unit:
        return Entry(text=number(point.accuracy, unit))
    reach = f" ±{point.loss.half_width:.3f}" if point.loss.known else ""
    return Entry(text=f"{point.loss.mean:.3f}{reach}")
