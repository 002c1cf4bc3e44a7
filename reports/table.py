"""The comparison table of records, in every format: scores and their price, curves, probes."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, cast, get_args

from rich.console import Console, Group, RenderableType

from reports.accuracy import score_grids
from reports.against import against_grids, against_values
from reports.cells import Comparison, compare
from reports.costs import cost_grids
from reports.crossovers import absent_grids, crossover_grids
from reports.curve_tables import curve_grids
from reports.curve_tidy import (
    absent_values,
    crossover_values,
    curve_values,
    peer_values,
    proxy_values,
)
from reports.curves import Costs, gather, is_cost
from reports.formats import TerminalGrid, latex_grid, markdown_grid
from reports.frame import rows
from reports.grid import Grid
from reports.language import gather_language, language_tasks
from reports.language_parts import LanguagePart, language_grids, language_values
from reports.ledger import ledger_grids, ledger_values
from reports.peers import peer_grids
from reports.probes import Probes, gather_probes, is_probe
from reports.probes_tables import probe_grids, quantities_of
from reports.probes_tidy import probe_values
from reports.proxy_tables import proxy_grids
from reports.tidy import Tidy, as_csv, as_json, tidy
from results.published import Table
from results.record import Record

Format = Literal["table", "markdown", "csv", "latex", "json"]
CostPart = Literal["curves", "crossovers", "peers", "proxy", "absent"]
"""Of what cost trials measured."""
ProbePart = Literal[
    "agreement",
    "moments",
    "variance",
    "slopes",
    "proposals",
    "equivalence",
    "attention",
    "bias",
    "needed",
    "layers",
    "spectra",
]
"""Of what probes measured."""
LedgerPart = Literal["ledger"]
"""What everyone had at its disposal."""
Part = Literal[CostPart, ProbePart, LanguagePart, LedgerPart]

_GRIDS: Final[Mapping[CostPart, Callable[[Costs], list[Grid]]]] = {
    "curves": curve_grids,
    "crossovers": crossover_grids,
    "peers": peer_grids,
    "proxy": proxy_grids,
    "absent": absent_grids,
}
_VALUES: Final[Mapping[CostPart, Callable[[Costs], Iterator[Tidy]]]] = {
    "curves": curve_values,
    "crossovers": crossover_values,
    "peers": peer_values,
    "proxy": proxy_values,
    "absent": absent_values,
}


def render(
    records: Iterable[Record],
    format: Format = "table",
    *,
    cost: bool = True,
    part: Part | None = None,
    against: Iterable[Table] = (),
    width: int = 120,
    ledger: bool = True,
) -> str:
    """The whole comparison as text. `width` concerns the terminal's table alone.

    `cost=False` leaves out the price of scores and the records of cost trials; `part` shows one
    part of cost trials or of probes alone; `ledger=False` leaves the fairness ledger out of the
    whole. csv and json are tidy: a number a row, base units;
    published numbers are rows of their own.
    """
    if format in ("csv", "json"):
        values = _values(records, cost=cost, part=part, against=against, ledger=ledger)
        return as_csv(values) if format == "csv" else as_json(values)
    found = _grids(records, cost=cost, part=part, against=against, ledger=ledger)
    if format == "markdown":
        return "\n".join(markdown_grid(grid) for grid in found)
    if format == "latex":
        return "\n".join(latex_grid(grid) for grid in found)
    if format != "table":
        raise ValueError(
            f"no format is called {format!r}; there are {', '.join(get_args(Format))}."
        )
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    console.print(Group(*(TerminalGrid(grid) for grid in found)))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def renderable(
    records: Iterable[Record],
    *,
    cost: bool = True,
    part: Part | None = None,
    against: Iterable[Table] = (),
) -> RenderableType:
    """The same for a rich console, in colour."""
    found = _grids(records, cost=cost, part=part, against=against)
    return Group(*(TerminalGrid(grid) for grid in found))


def has_part(records: Iterable[Record], part: Part) -> bool:
    """Whether the records have anything to show for it."""
    return bool(_grids(records, cost=True, part=part, against=()))


def scored_records(records: Sequence[Record]) -> Iterator[Record]:
    """Those that tables and figures of scores show: no cost trials, probes or language tasks."""
    told = language_tasks(records)
    return (
        record
        for record in records
        if not is_cost(record) and not is_probe(record) and record.identity.task not in told
    )


def _comparisons(records: Sequence[Record]) -> tuple[Comparison, Comparison]:
    """Of everything with a score: trained tasks, then language tasks."""
    return compare(rows(scored_records(records))), gather_language(records).comparison


def _language_part(part: Part) -> LanguagePart | None:
    return cast(LanguagePart, part) if part in get_args(LanguagePart) else None


def _probes(records: Iterable[Record], part: Part | None) -> Probes:
    """What a part is made of, or everything."""
    return gather_probes(records, None if part is None else quantities_of(part))


def _cost_parts(part: Part | None, *, cost: bool) -> tuple[CostPart, ...]:
    if part is None:
        return get_args(CostPart) if cost else ()
    if part not in get_args(Part):
        raise ValueError(f"no part is called {part!r}; there are {', '.join(get_args(Part))}.")
    return (cast(CostPart, part),) if part in get_args(CostPart) else ()


def _grids(
    records: Iterable[Record],
    *,
    cost: bool,
    part: Part | None,
    against: Iterable[Table],
    ledger: bool = True,
) -> list[Grid]:
    records, found, parts = list(records), [], _cost_parts(part, cost=cost)
    if part is not None and (only := _language_part(part)):
        return language_grids(gather_language(records), only, cost=cost)
    if part == "ledger":
        return [grid for each in _comparisons(records) for grid in ledger_grids(each)]
    if part is None:
        comparison = compare(rows(scored_records(records)))
        found += score_grids(comparison)
        found += cost_grids(comparison) if cost else []
        found += ledger_grids(comparison) if cost and ledger else []
        found += against_grids(comparison, tuple(against))
        languages = gather_language(records)
        found += language_grids(languages, cost=cost)
        found += ledger_grids(languages.comparison) if cost and ledger else []
    if part not in get_args(CostPart):
        found += probe_grids(_probes(records, part), part)
    costs = gather(records)
    return found + [grid for each in parts for grid in _GRIDS[each](costs)]


def _values(
    records: Iterable[Record],
    *,
    cost: bool,
    part: Part | None,
    against: Iterable[Table],
    ledger: bool = True,
) -> Iterator[Tidy]:
    records, parts = list(records), _cost_parts(part, cost=cost)
    if part is not None and (told := _language_part(part)):
        yield from language_values(gather_language(records), told, cost=cost)
        return
    if part == "ledger":
        for trained in _comparisons(records):
            yield from ledger_values(trained)
        return
    if part is None:
        comparison = compare(rows(scored_records(records)))
        yield from tidy(comparison, cost=cost)
        yield from against_values(comparison, tuple(against))
        languages = gather_language(records)
        yield from language_values(languages, cost=cost)
        for trained in (comparison, languages.comparison) if cost and ledger else ():
            yield from ledger_values(trained, prices=False)
    if part not in get_args(CostPart):
        yield from probe_values(_probes(records, part), gaps=part is None)
    costs = gather(records)
    for each in parts:
        yield from _VALUES[each](costs)
