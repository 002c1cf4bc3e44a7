"""Runs one trial from beginning to end and returns its record, whatever happens inside."""

import contextlib
import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from bench.errors import FailedGateError
from bench.gate import GATE_HEAD_DIM, gate
from bench.machine import describe_machine
from bench.originals import originals
from bench.plan import Reference, Trial
from bench.provenance import describe_provenance
from bench.registry import load_locator, load_registry
from bench.runners.classification import classify
from bench.runners.cost import Contestant, measure_cost
from bench.runners.distributed import ALONE, Ranks
from bench.runners.found import Found
from bench.runners.language import model_language
from bench.runners.probe import measure_probe
from bench.runners.train import Diverged, Progress, Report
from bench.settings import head_dim, resolved_settings
from methods.api import Method, MissingDependencyError, UnsupportedError
from methods.core.memory_errors import is_out_of_memory
from results.record import Cost, Provenance, Record, Status
from tasks.api import SourceUnavailableError
from tasks.language import LanguageTask
from tasks.probe import ProbePreset, ProbeTask
from tasks.sweep import CostPreset, CostTask


def run_trial(
    trial: Trial, *, command: str, cache: Path | None, report: Report, ranks: Ranks = ALONE
) -> Record:
    """The trial's record. Never raises: what goes wrong is a status with a reason.

    ranks: this process among those that run the trial together.
    """
    started, clock = datetime.datetime.now(datetime.UTC), perf_counter()
    found, untouched = Found(), originals()
    if trial.identity.dtype == "float64":
        torch.set_default_dtype(torch.float64)
    untouched.begin_trial()
    try:
        with _outcome(found):
            method: Method = load_locator(trial.method_locator, "METHOD").value
            task: Any = load_locator(trial.task_locator, "TASK").value
            _measure(trial, method, task, cache, report, found, ranks)
    except Exception as error:
        # The one place that must survive whatever a method does.
        found.status = "out-of-memory" if is_out_of_memory(error) else "crashed"
        found.reason = _sentence(error)
    if not trial.timing:
        found.leave_times_out()
    if verdict := untouched.verdict():
        found.status, found.reason = "failed-gate", verdict
    if found.status == "failed-gate":
        # Nothing is reported on a red gate.
        found = Found(status=found.status, reason=found.reason)
    provenance = describe_provenance(
        method_file=trial.method_file,
        task_file=trial.task_file,
        command=command,
        started=started.isoformat(timespec="seconds"),
        seconds=perf_counter() - clock,
    )
    return as_record(trial, found.status, found.reason, provenance, found)


def as_record(
    trial: Trial,
    status: Status,
    reason: str,
    provenance: Provenance,
    found: Found | None = None,
) -> Record:
    """The record of a trial, also of one that never ran."""
    found = found or Found()
    return Record(
        identity=trial.identity,
        status=status,
        reason=reason,
        role=trial.role,  # type: ignore[arg-type]
        same_as=trial.same_as,
        metrics=found.metrics,
        training=found.training,
        cost=Cost(**found.cost) if found.cost else None,
        untimed=not trial.timing,
        curve=found.curve,
        probe=found.probe,
        language=found.language,
        data=found.data,
        settings_resolved=resolved_settings(trial.preset),
        machine=describe_machine(trial.device, trial.devices),
        provenance=provenance,
    )


@contextlib.contextmanager
def _outcome(found: Found) -> Iterator[None]:
    """Gives each expected failure its status."""
    try:
        yield
    except Diverged as error:
        found.status, found.reason = "diverged", str(error)
    except FailedGateError as error:
        found.status, found.reason = "failed-gate", str(error)
    except UnsupportedError as error:
        found.status, found.reason = "unsupported", str(error)
    except (SourceUnavailableError, MissingDependencyError) as error:
        found.status, found.reason = "unavailable", str(error)


def _measure(
    trial: Trial,
    method: Method,
    task: Any,
    cache: Path | None,
    report: Report,
    found: Found,
    ranks: Ranks,
) -> None:
    torch.manual_seed(trial.identity.seed)
    report(Progress("gate"))
    if isinstance(task, ProbeTask):
        verdict = _verdict(trial, method)
        namesake = _namesake(method)
        measure_probe(
            trial, method, namesake, task, verdict, cache=cache, report=report, found=found
        )
        return
    failure = _gate(trial, method, trial.identity.method_options)
    if failure:
        found.status, found.reason = "failed-gate", failure
    elif isinstance(task, CostTask):
        contestant = Contestant(method, trial.identity.method_options)
        measure_cost(trial, contestant, _reference(trial), report=report, found=found)
    elif isinstance(task, LanguageTask):
        model_language(trial, method, task, cache=cache, report=report, found=found, ranks=ranks)
    else:
        classify(trial, method, task, cache=cache, report=report, found=found)


def _verdict(trial: Trial, method: Method) -> str:
    """What the gate says against the method, for the record of a probe, which runs all the same: it
    is there to show what is wrong, and a number of it is no score."""
    try:
        return _gate(trial, method, trial.identity.method_options) or ""
    except UnsupportedError as error:
        return f"The gate could not judge: {error}"


def _gate(trial: Trial, method: Method, options: Mapping[str, Any]) -> str | None:
    try:
        return gate(
            method,
            options,
            device=trial.device,
            dtype=trial.identity.dtype,
            head_dim=head_dim(trial.preset) or GATE_HEAD_DIM,
            namesake=_namesake(method),
            longest=_longest(trial),
        )
    except ValueError as error:
        # Options that do not fit this task's sizes, such as a rank above the head dimension.
        raise UnsupportedError(str(error)) from error


def _longest(trial: Trial) -> int | None:
    """The longest sequence that the method will see; None where many are measured, or unknown."""
    if isinstance(trial.preset, CostPreset | ProbePreset):
        return None
    # One more for the token that a classifier may read from.
    return trial.preset.max_time + 1 if trial.preset.max_time else None


def _reference(trial: Trial) -> Contestant | str:
    """What the method is measured in turn with, or why there is nothing: it too passes the gate."""
    reference = trial.reference
    assert isinstance(reference, Reference), "the plan chose one"
    method: Method = load_locator(reference.locator, "METHOD").value
    if (reference.locator, reference.options) != (
        trial.method_locator,
        trial.identity.method_options,
    ):
        try:
            failure = _gate(trial, method, reference.options)
        except (UnsupportedError, MissingDependencyError) as error:
            return str(error)
        if failure:
            return f"{method.name} failed the gate. {failure}"
    return Contestant(method, reference.options)


def _namesake(method: Method) -> Method | None:
    if method.same_as is None:
        return None
    return load_registry(("METHOD",)).method(method.same_as).value


def _sentence(error: BaseException) -> str:
    """The error's type and first line, and where it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = ""
    if trace is not None:
        where = f" (in {Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno})"
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return f"{type(error).__name__}: {first}{where}"
