"""The places of readings: which coordinates differ among them, and fewer where there are many."""

import json
from collections import defaultdict
from collections.abc import Sequence

from reports.probes import Reading
from results.probe import Coordinate


def differing(readings: Sequence[Reading]) -> list[str]:
    """The coordinates that are not the same in all of these, in the order found."""
    names = dict.fromkeys(name for reading in readings for name in reading.where)
    return [
        name
        for name in names
        if len({json.dumps(reading.where.get(name)) for reading in readings}) > 1
    ]


def common(readings: Sequence[Reading]) -> dict[str, Coordinate]:
    """The coordinates that are the same in all of these."""
    apart = set(differing(readings))
    first = readings[0].where if readings else {}
    return {name: value for name, value in first.items() if name not in apart}


def is_number(value: Coordinate | None) -> bool:
    """Whether it can stand on an axis; true and false cannot."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def thinned(
    readings: Sequence[Reading], names: Sequence[str], most: int
) -> tuple[list[Reading], list[str]]:
    """Those at about `most` places along the coordinates named, and what was left out.

    Words, such as spectra, stay as far as there is room; of numbers beside each of them the ends
    stay and every other value between.
    """
    words = [name for name in names if not all(map(is_number, values_of(readings, name)))]
    numbers = [name for name in names if name not in words]
    groups: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        groups[_place(reading, words)].append(reading)
    room = max(1, most // len(groups)) if groups else 1
    kept = [
        each for group in list(groups.values())[:most] for each in _fewer_of(group, numbers, room)
    ]
    said = []
    for name in names:
        left, asked = values_of(kept, name), len(values_of(readings, name))
        if len(left) < asked:
            said.append(shown_of(name, left, asked))
    return kept, said


def shown_of(name: str, left: Sequence[Coordinate | None], asked: int) -> str:
    """A sentence without its end; a single value stands nowhere else, and is named."""
    alone = f" ({text_of(left[0])})" if len(left) == 1 else ""
    return f"Shown: {len(left)} of {asked} values of {name.replace('_', ' ')}{alone}"


def _fewer_of(readings: list[Reading], names: Sequence[str], most: int) -> list[Reading]:
    values = {name: values_of(readings, name) for name in names}
    kept = readings
    while len({_place(reading, names) for reading in kept}) > most:
        richest = max(values, key=lambda name: len(values[name]))
        values[richest] = _fewer(values[richest])
        kept = [r for r in kept if all(r.where.get(n) in values[n] for n in names)]
    return kept


def swept(readings: Sequence[Reading], name: str) -> list[Reading]:
    """Those on a line along this coordinate: with all else alike there is another value of it.

    A probe that varies one thing at a time has few of them, however many coordinates differ.
    """
    lines: dict[str, set[str]] = defaultdict(set)
    keys = []
    for reading in readings:
        rest = {other: value for other, value in reading.where.items() if other != name}
        keys.append(json.dumps([reading.contender.label, rest], sort_keys=True))
        lines[keys[-1]].add(json.dumps(reading.where.get(name)))
    return [r for r, key in zip(readings, keys, strict=True) if len(lines[key]) > 1]


def values_of(readings: Sequence[Reading], name: str) -> list[Coordinate | None]:
    """Every value of a coordinate once, numbers ascending, words in the order found."""
    found = list(dict.fromkeys(reading.where.get(name) for reading in readings))
    if all(is_number(value) for value in found):
        found.sort(key=lambda value: float(value or 0))
    return found


def _place(reading: Reading, names: Sequence[str]) -> str:
    return json.dumps([reading.where.get(name) for name in names])


def _fewer(values: list[Coordinate | None]) -> list[Coordinate | None]:
    """The ends and every other one between; of three the ends, of two the last."""
    if len(values) <= 3:
        return values[-1:] if len(values) == 2 else [values[0], values[-1]]
    return values[::2] if len(values) % 2 else [*values[:-1:2], values[-1]]


def text_of(value: Coordinate | None) -> str:
    """A coordinate for a reader."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
