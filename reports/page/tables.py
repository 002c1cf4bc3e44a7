"""The tables of the comparison as the page groups them, each with the records behind it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from reports.accuracy import score_grids
from reports.against import against_grids
from reports.cells import Comparison, compare
from reports.columns import contenders_of
from reports.crossovers import crossover_grids
from reports.curve_tables import curve_grids
from reports.curves import gather, is_cost
from reports.frame import rows
from reports.grid import Grid
from reports.language import gather_language, language_tasks
from reports.language_parts import language_grids
from reports.page.anchors import Anchors
from reports.page.views import View, view_of
from reports.peers import peer_grids
from reports.probes import gather_probes, is_probe
from reports.probes_tables import probe_grids
from reports.proxy_tables import proxy_grids
from results.published import Table
from results.record import Record

SMOKE: Final = "quick"
"""The preset whose differences mean little."""
Of = Callable[[Sequence[Record]], list[Grid]]


def overviews(comparisons: Iterable[Comparison], anchors: Anchors) -> list[View]:
    """Methods against tasks."""
    grids = [grid for comparison in comparisons for grid in score_grids(comparison)]
    return [view_of(grid, f"overview-{i + 1}", anchors, {}) for i, grid in enumerate(grids)]


def language_views(records: Sequence[Record], anchors: Anchors) -> list[View]:
    """Of language tasks, with their price."""
    told = language_tasks(records)
    mine = [record for record in records if record.identity.task in told]
    return [*_views(mine, _language, "language", anchors)]


def cost_views(records: Sequence[Record], anchors: Anchors) -> list[View]:
    """Of cost against length."""
    return [*_views(filter(is_cost, records), _cost, "cost", anchors)]


def probe_views(records: Sequence[Record], anchors: Anchors) -> list[View]:
    """Of probes."""
    return [*_views(filter(is_probe, records), _probes, "probes", anchors)]


def published_views(comparisons: Sequence[Comparison], tables: Iterable[Table]) -> list[View]:
    """What others published, beside ours where the tasks are the same."""
    tables = tuple(tables)
    found = [grid for comparison in comparisons for grid in against_grids(comparison, tables)]
    found = found or against_grids(compare([]), tables)
    # A table that stands beside none of ours is the same every time.
    grids = [*{grid.title: grid for grid in found}.values()]
    nothing = Anchors(())
    return [view_of(grid, f"published-{i + 1}", nothing, {}) for i, grid in enumerate(grids)]


def _language(records: Sequence[Record]) -> list[Grid]:
    return language_grids(gather_language(records), cost=True)


def _cost(records: Sequence[Record]) -> list[Grid]:
    costs = gather(records)
    return [
        *curve_grids(costs),
        *crossover_grids(costs),
        *peer_grids(costs),
        *proxy_grids(costs),
    ]


def _probes(records: Sequence[Record]) -> list[Grid]:
    return probe_grids(gather_probes(records), None)


def _views(records: Iterable[Record], grids_of: Of, name: str, anchors: Anchors) -> Iterator[View]:
    """Of each part of the records whose numbers may share a table."""
    number = 0
    for part in parts(records):
        behind = _trials(part)
        for grid in grids_of(part):
            number += 1
            yield view_of(grid, f"{name}-{number}", anchors, behind)


def parts(records: Iterable[Record]) -> list[list[Record]]:
    """Records by all that makes numbers comparable, but for the method and the seed.

    The machine as well where time is what was measured.
    """
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        plain = record.identity.model_copy(update={"method": "", "method_options": {}, "seed": 0})
        machine = record.machine
        place = f" {machine.threads} {machine.name}" if is_cost(record) else ""
        found[plain.digest() + place].append(record)
    return [*found.values()]


def _trials(records: Sequence[Record]) -> Mapping[str, list[str]]:
    """The digests of each contender, by the label that tables show."""
    flat = rows(records)
    label = {(c.method, c.options): c.label for c in contenders_of(flat)}
    found: dict[str, list[str]] = defaultdict(list)
    for row in flat:
        found[label[row.method, row.options]].append(row.trial)
    return found


def blocks(records: Iterable[Record]) -> list[list[Record]]:
    """Records that share family, preset, number format and device; smoke tests last."""
    found: dict[tuple[str | bool, ...], list[Record]] = defaultdict(list)
    for record in records:
        identity = record.identity
        family = identity.task.split("/")[0]
        place = (identity.dtype, identity.device, identity.compile)
        found[identity.preset == SMOKE, family, identity.preset, *place].append(record)
    return [found[key] for key in sorted(found)]


def compared(records: Iterable[Record]) -> list[Comparison]:
    """Everything that ended with a score of its own, language tasks among it, block by block.

    A method is so called by what tells it from those that it is compared with, and no others.
    """
    scored = [record for record in records if not is_cost(record) and not is_probe(record)]
    return [compare(rows(block)) for block in blocks(scored)]
