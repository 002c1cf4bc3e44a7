"""The table and the sentence on what predicts time better, operations or bytes moved."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reports.curves import FAMILY, MODES, Circumstances, Costs
from reports.grid import Entry, Grid, Notes, Section, plain
from reports.numbers import count, digits, percent
from reports.proxy import FEWEST_METHODS, Fit, Timed, compare_fits, fit_models

EVERY_MODE = "all modes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The fits over the cells of one mode, or of all."""

    name: str
    cells: int
    methods: int
    fits: tuple[Fit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The fits of one machine, device and number format."""

    around: Circumstances
    """Without a preset, since all are fitted together."""
    scopes: tuple[Scope, ...]
    too_few: tuple[str, ...]
    """Modes in which there are not methods enough."""
    blind: Mapping[str, int]
    """Cells left out by method, because their operations or bytes could not be counted."""


def proxies(costs: Costs) -> list[Proxy]:
    """All completed cells by machine and number format; levels and sizes are fitted together."""
    groups: dict[Circumstances, list[Timed]] = defaultdict(list)
    blind: dict[Circumstances, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for setting, curves in costs.curves.items():
        around = replace(setting.around, task=FAMILY, task_version=0, preset="", settings="{}")
        for curve in curves:
            # What does not attend says nothing about what attention costs.
            points = curve.points.items() if curve.contender.role != "floor" else ()
            for place, point in points:
                if point.seconds is None:
                    continue
                flops, moved = point.cell.flops, point.cell.bytes_moved
                if flops is None or moved is None:
                    blind[around][curve.contender.label] += 1
                    continue
                groups[around].append(
                    Timed(
                        method=curve.contender.method,
                        mode=place.mode,
                        seconds=point.seconds.mean,
                        flops=flops,
                        bytes_moved=moved,
                    )
                )
    everywhere = sorted({*groups, *blind}, key=_words)
    return [_proxy(around, groups[around], blind[around]) for around in everywhere]


def proxy_grids(costs: Costs) -> list[Grid]:
    """One grid for each machine and number format with methods enough."""
    return [_grid(proxy) for proxy in proxies(costs) if proxy.scopes]


def verdict(scope: Scope) -> str:
    """Which predicts better, in words that follow from the numbers alone."""
    fits = {fit.model: fit for fit in scope.fits if fit.overhead}
    pair = sorted((fits["operations"], fits["bytes moved"]), key=lambda fit: fit.median_error)
    better, worse = pair
    wins, methods, p_value = compare_fits(better, worse)
    sure = "" if p_value < 0.05 else ", which may be chance"
    name = scope.name.capitalize()
    if better.median_error == worse.median_error:
        return f"{name}: operations and bytes moved predict alike."
    if not (better.seconds_per_flop or better.seconds_per_byte):
        return (
            f"{name}: neither operations nor bytes moved predict better than a constant a call,"
            f" with a median error of {percent(better.median_error)} %."
        )
    return (
        f"{name}: {better.model} predict better than {worse.model}, with a median"
        f" error of {percent(better.median_error)} % against {percent(worse.median_error)} %,"
        f" nearer for {wins} of {methods} methods (sign test p = {p_value:.2g}{sure})"
        f"{_by_rank(better, worse)}. Both together: {percent(fits['both'].median_error)} %."
    )


def _by_rank(better: Fit, worse: Fit) -> str:
    one, other = better.rank_correlation, worse.rank_correlation
    if math.isnan(one) or math.isnan(other):
        return ""
    if f"{one:.2f}" == f"{other:.2f}":
        return f"; by rank correlation they are alike ({one:.2f})"
    agrees = "too" if one >= other else "it is the other way round"
    return f"; by rank correlation {agrees} ({one:.2f} against {other:.2f})"


def _words(around: Circumstances) -> tuple[str, ...]:
    threads = f"{around.threads} thread{'s' * (around.threads != 1)}"
    compiled = ("compiled",) if around.compile else ()
    return (around.machine, threads, around.device, around.dtype, *compiled)


def _proxy(around: Circumstances, cells: Sequence[Timed], blind: Mapping[str, int]) -> Proxy:
    scopes, too_few = [], []
    modes = [mode for mode in MODES if any(cell.mode == mode for cell in cells)]
    for name in (EVERY_MODE, *modes) if len(modes) > 1 else modes:
        here = [cell for cell in cells if name in (EVERY_MODE, cell.mode)]
        methods = {cell.method for cell in here}
        if len(methods) < FEWEST_METHODS:
            too_few.append(name)
        else:
            fits = tuple(fit_models(here))
            scopes.append(Scope(name=name, cells=len(here), methods=len(methods), fits=fits))
    return Proxy(around=around, scopes=tuple(scopes), too_few=tuple(too_few), blind=dict(blind))


def _grid(proxy: Proxy) -> Grid:
    notes = Notes()
    sections = [
        Section(
            title=f"{scope.name}: {scope.cells} cells of {scope.methods} methods",
            rows=tuple(_row(fit) for fit in scope.fits),
        )
        for scope in proxy.scopes
    ]
    notes.general += [verdict(scope) for scope in proxy.scopes]
    notes.general += [
        "Error and R2 of log time are those of methods left out of the fit, one after another; rank"
        " correlation (Spearman) and the rates on the right are of the fit on all cells. Fits"
        " minimise the squared log of predicted over measured medians; a share that a fit does not"
        " use has a -. The sentences speak of the fits with a constant.",
    ]
    if proxy.blind:
        who = ", ".join(f"{name} ({n})" for name, n in sorted(proxy.blind.items()))
        notes.general.append(
            f"{sum(proxy.blind.values())} cells left out, whose operations or bytes are not"
            f" counted: {who}."
        )
    if proxy.too_few:
        notes.general.append(
            f"Not fitted, with fewer than {FEWEST_METHODS} methods: {', '.join(proxy.too_few)}."
        )
    heads = [("time by",), ("median", "error %"), ("rank", "corr."), ("R2 of", "log time")]
    heads += [("operations", "a second"), ("bytes", "a second"), ("microseconds", "a call")]
    return Grid(
        title=plain(f"What predicts time: {', '.join(_words(proxy.around))}"),
        header=tuple(heads),
        sections=tuple(sections),
        notes=notes.all(),
    )


def _row(fit: Fit) -> tuple[Entry, ...]:
    label = fit.model + (" + constant" if fit.overhead else "")
    r2 = f"{fit.log_r2:.2f}" if fit.log_r2 > -10 else "< -10"
    rank = "-" if math.isnan(fit.rank_correlation) else f"{fit.rank_correlation:.2f}"
    numbers = (percent(fit.median_error), rank, r2)
    rates = (_rate(fit.seconds_per_flop), _rate(fit.seconds_per_byte))
    call = digits(1e6 * fit.seconds_per_call) if fit.seconds_per_call else "-"
    return tuple(Entry(text=text) for text in (label, *numbers, *rates, call))


def _rate(seconds_each: float | None) -> str:
    return count(1 / seconds_each) if seconds_each else "-"
