"""Implementations of the same mathematics against each other, cell by cell.

Two methods are measured in trials of their own, each in turn with the reference, so their times are
compared through it: (peer/reference) over (ours/reference). A machine that was slower during one of
the trials slowed its reference as well, and that divides out.
"""

import json
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from reports.columns import Contender
from reports.curve_notes import direction, setting_title
from reports.curves import MODES, Costs, Curve, Setting
from reports.grid import Entry, Grid, Notes, Section, plain
from reports.numbers import digits
from results.curve import Mode
from results.medians import quotient
from results.statistics import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One peer against ours in one mode and direction."""

    ours: Contender
    peer: Contender
    mode: Mode
    causal: bool
    slower: Mapping[int, Interval]
    """How many times as long the peer takes, by length, where both were measured."""


def pairs_of(curves: Sequence[Curve]) -> list[Pair]:
    """Every peer with ours, by mode and direction.

    Ours is the method that a peer's `same_as` names; where it has no curve here, the first of those
    with that name. Options that both have must be equal.
    """
    found = []
    for ours in curves:
        for peer in curves:
            if _are_peers(ours.contender, peer.contender, curves):
                found += _by_direction(ours, peer)
    return found


def peer_grids(costs: Costs) -> list[Grid]:
    """One grid for each setting in which something has a peer."""
    return [
        _grid(setting, pairs)
        for setting, curves in costs.curves.items()
        if (pairs := pairs_of(curves))
    ]


def _are_peers(ours: Contender, peer: Contender, curves: Sequence[Curve]) -> bool:
    if not peer.same_as or ours.method == peer.method:
        return False
    mine, theirs = json.loads(ours.options), json.loads(peer.options)
    if any(json.dumps(mine[x]) != json.dumps(theirs[x]) for x in mine.keys() & theirs.keys()):
        return False
    if ours.method == peer.same_as:
        return True
    methods = {curve.contender.method for curve in curves}
    namesakes = {c.contender.method for c in curves if c.contender.same_as == peer.same_as}
    return peer.same_as not in methods and ours.method == min(namesakes)


def _by_direction(ours: Curve, peer: Curve) -> list[Pair]:
    groups: dict[tuple[Mode, bool], dict[int, Interval]] = defaultdict(dict)
    for place in sorted(ours.points.keys() & peer.points.keys()):
        mine, theirs = ours.points[place], peer.points[place]
        if mine.ratio and theirs.ratio and not (mine.cell.probe or theirs.cell.probe):
            slower = quotient(mine.ratio, theirs.ratio)
            groups[place.mode, place.causal][place.length] = slower
    return [
        Pair(ours=ours.contender, peer=peer.contender, mode=mode, causal=causal, slower=slower)
        for (mode, causal), slower in groups.items()
    ]


def _grid(setting: Setting, pairs: Sequence[Pair]) -> Grid:
    notes = Notes()
    lengths = sorted({length for pair in pairs for length in pair.slower})
    groups: dict[tuple[str, Mode, bool], list[Pair]] = defaultdict(list)
    for pair in pairs:
        groups[pair.ours.label, pair.mode, pair.causal].append(pair)
    sections = [
        Section(title=plain(f"{label}: {mode}, {direction(causal)}"), rows=_rows(group, lengths))
        for (label, mode, causal), group in sorted(groups.items(), key=_order)
    ]
    reference = setting.reference
    notes.general += [
        "How many times as long the other implementation takes: above 1 ours is faster. Compared"
        f" through {reference}, which was measured in turn with each:"
        f" (other/{reference}) / (ours/{reference}).",
        "*: the best of the others in this cell. mean: geometric, over the cells that both have;"
        " worst: the least of them. -: one of the two has no time, as told above.",
        *_in_all(groups),
    ]
    return Grid(
        title=f"Ours against its other implementations: {setting_title(setting)}",
        header=(("other",), *((str(length),) for length in lengths), ("mean",), ("worst",)),
        sections=tuple(sections),
        notes=notes.all(),
    )


def _order(item: tuple[tuple[str, Mode, bool], list[Pair]]) -> tuple[str, int, bool]:
    label, mode, causal = item[0]
    return label, MODES.index(mode), not causal


def _in_all(groups: Mapping[tuple[str, Mode, bool], Sequence[Pair]]) -> list[str]:
    """A line for each of ours: all cells against the best of the others."""
    cells: dict[str, dict[str, float]] = defaultdict(dict)
    for (label, mode, causal), group in groups.items():
        for length, slower in _best_of(group).items():
            cells[label][f"{mode}, {direction(causal)}, {length}"] = slower
    return [
        f"{label} against the best of the others in each of {len(found)} cells: geometric mean"
        f" {digits(_geometric(found.values()))}, worst {digits(min(found.values()))}"
        f" ({min(found, key=lambda cell: found[cell])})."
        for label, found in sorted(cells.items())
    ]


def _best_of(pairs: Sequence[Pair]) -> dict[int, float]:
    """The fastest peer's number at every length, and so the least."""
    lengths = sorted({length for pair in pairs for length in pair.slower})
    return {n: min(p.slower[n].mean for p in pairs if n in p.slower) for n in lengths}


def _geometric(values: Collection[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def _rows(pairs: Sequence[Pair], lengths: Sequence[int]) -> tuple[tuple[Entry, ...], ...]:
    """A row for each peer, and where there are several one for the best of each cell."""
    best = _best_of(pairs) if len(pairs) > 1 else {}
    rows = []
    for pair in sorted(pairs, key=lambda pair: pair.peer.label):
        values = {length: slower.mean for length, slower in pair.slower.items()}
        rows.append(_row(pair.peer.label, values, lengths, best))
    return tuple([*rows, _row("best of each cell", best, lengths, {})] if best else rows)


def _row(
    label: str, row: Mapping[int, float], lengths: Sequence[int], best: Mapping[int, float]
) -> tuple[Entry, ...]:
    entries = [
        Entry(text=digits(row[n]), emphasis="best" if best.get(n) == row[n] else "")
        if n in row
        else Entry(text="-", emphasis="faint")
        for n in lengths
    ]
    summaries = (_geometric(row.values()), min(row.values()))
    return Entry(text=plain(label, 60)), *entries, *(Entry(text=digits(x)) for x in summaries)
