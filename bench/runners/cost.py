"""Runs a cost trial: cells by length, then lengths in between where two curves cross."""

import time
from typing import get_args

from bench.memory import free_memory, limited_memory
from bench.plan import Reference, Trial
from bench.runners.ceilings import higher, measure_ceilings, roofline
from bench.runners.cells import Entrant, Equipment, measure_cell
from bench.runners.clocks import clock_reader
from bench.runners.crossover import find_crossover, next_length
from bench.runners.footprint import Scales
from bench.runners.found import Found
from bench.runners.refusals import Refusal
from bench.runners.samples import make_stopwatch
from bench.runners.train import Progress, Report
from bench.runners.workloads import Conditions, Contestant, Place
from results.curve import Ceilings, CostCell, CostCurve, Mode, Quantity
from tasks.sweep import CostPreset, Sweep

PROBES = 16
"""About how many lengths in between a trial needs: two or three for each crossover."""
PROBING_SHARE = 0.25
"""Of a trial's time, what is kept for the lengths between those asked for."""

__all__ = ["Contestant", "measure_cost"]


def measure_cost(
    trial: Trial,
    method: Contestant,
    reference: Contestant | str,
    *,
    report: Report,
    found: Found,
) -> None:
    """Everything that a cost trial measures, put into `found` cell by cell.

    `reference` is what is measured in turn with the method, or why there is nothing.
    """
    preset, device = trial.preset, trial.device
    assert isinstance(preset, CostPreset), "a cost task has presets of cost"
    identity, sweep = trial.identity, preset.sweep
    started = time.monotonic()
    memory_bytes = free_memory(device)
    with limited_memory(memory_bytes), Scales(device) as scales:
        stopwatch = make_stopwatch(device)
        report(Progress("ceilings"))
        tools = Equipment(
            conditions=Conditions(sweep, identity.dtype, device, identity.seed),
            stopwatch=stopwatch,
            scales=scales,
            clock=clock_reader(device),
            memory_bytes=memory_bytes,
            deadline=started + sweep.total_seconds * (1 - PROBING_SHARE * sweep.crossovers),
        )
        curve = _Curve(trial, sweep, tools, method, reference, found)
        curve.reach(measure_ceilings(identity.dtype, device, stopwatch))
        _sweep(curve, sweep, tools, report)
        tools.deadline = started + sweep.total_seconds
        tools.share_seconds = (tools.deadline - time.monotonic()) / PROBES
        if sweep.crossovers and reference != method:
            _probe(curve, sweep, report)
        curve.reach(measure_ceilings(identity.dtype, device, stopwatch))
    _conclude(found)


class _Curve:
    """The cells so far, put into `found` as they come: what crashes later leaves them there."""

    def __init__(
        self,
        trial: Trial,
        sweep: Sweep,
        tools: Equipment,
        method: Contestant,
        reference: Contestant | str,
        found: Found,
    ) -> None:
        named = trial.reference
        assert isinstance(named, Reference), "the plan chose one"
        self.cells: list[CostCell] = []
        self._tools, self._found = tools, found
        self._method = Entrant(method)
        self._reference: Entrant | Refusal = (
            Refusal("unsupported", reference) if isinstance(reference, str) else Entrant(reference)
        )
        self._compares = sweep.crossovers and reference != method
        self._sweep = sweep
        self._empty = CostCurve(
            level=sweep.level,
            reference=named.name,
            reference_reason=reference if isinstance(reference, str) else "",
            batch=sweep.batch,
            num_heads=sweep.num_heads,
            head_dim=sweep.head_dim,
            memory_method=tools.scales.method,
        )

    def reach(self, ceilings: Ceilings) -> None:
        """The ceilings measured in this trial, the highest of all times."""
        before = self._empty.ceilings
        ceilings = higher(before, ceilings) if before else ceilings
        self._empty = self._empty.model_copy(update={"ceilings": ceilings})
        self._publish()

    def measure(self, place: Place, *, probe: bool) -> CostCell:
        cell = measure_cell(place, self._method, self._reference, self._tools, probe=probe)
        self.cells.append(cell)
        self._publish()
        return cell

    def _publish(self) -> None:
        ranks = {column: n for n, column in enumerate(self._sweep.columns)}
        self.cells.sort(key=lambda c: (ranks[c.mode, c.causal], c.length))
        crossovers = [
            crossover
            for mode, causal in self._sweep.columns
            for quantity in get_args(Quantity)
            if self._compares
            and (crossover := find_crossover(self.cells, _mode(mode), causal, quantity))
        ]
        ceilings = self._empty.ceilings
        cells = [
            c.model_copy(update={"limit_seconds": ceilings and roofline(c, ceilings)})
            for c in self.cells
        ]
        self._found.curve = self._empty.model_copy(
            update={"cells": cells, "crossovers": crossovers}
        )


def _sweep(curve: _Curve, sweep: Sweep, tools: Equipment, report: Report) -> None:
    """Every cell asked for, the short lengths of all modes first."""
    places = [
        Place(_mode(mode), causal, length)
        for length in sweep.all_lengths
        for mode, causal in sweep.columns
    ]
    for number, place in enumerate(places):
        report(Progress(_title(place), number, len(places)))
        # What short lengths leave of their share goes to the longer ones.
        tools.share_seconds = (tools.deadline - time.monotonic()) / (len(places) - number)
        curve.measure(place, probe=False)


def _probe(curve: _Curve, sweep: Sweep, report: Report) -> None:
    """Halve each crossover's interval until it is narrow, or the samples do not tell."""
    for mode, causal in sweep.columns:
        for quantity in get_args(Quantity):
            while crossover := find_crossover(curve.cells, _mode(mode), causal, quantity):
                length = next_length(crossover)
                if length is None:
                    break
                place = Place(_mode(mode), causal, length)
                report(Progress(f"{_title(place)}, crossover"))
                if curve.measure(place, probe=True).status != "completed":
                    break


def _conclude(found: Found) -> None:
    """A trial of which no cell completed did not complete either."""
    cells = found.curve.cells if found.curve else []
    if cells and all(c.status != "completed" for c in cells):
        found.status, found.reason = cells[0].status, cells[0].reason


def _mode(text: str) -> Mode:
    assert text in get_args(Mode), "the sweep checked it"
    return text  # type: ignore[return-value]


def _title(place: Place) -> str:
    direction = "" if place.mode == "decode" else (" causal" if place.causal else " bidirectional")
    return f"{place.mode}{direction} at {place.length}"
