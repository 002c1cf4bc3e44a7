"""Why a method cannot do a task here: pure, from declared capabilities. Free of torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from results.record import Status

if TYPE_CHECKING:
    from methods.api import Method
    from tasks.api import TrainedTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a trial cannot run, as it will stand in its record."""

    status: Status
    reason: str


def method_problem(
    method: "Method", *, device: str, dtype: str, is_installed: Callable[[str], bool]
) -> Problem | None:
    """Why the method cannot run here at all."""
    missing = [p for p in method.can.packages if not is_installed(p)]
    if missing:
        install = method.can.install or f"pip install {' '.join(missing)}"
        return Problem(
            status="unavailable",
            reason=f"{method.name} needs {', '.join(missing)}. Install with: {install}",
        )
    kind = device.split(":")[0]
    if kind not in method.can.devices:
        return Problem(
            status="unsupported",
            reason=f"{method.name} runs on {' and '.join(method.can.devices)}, not on {kind}.",
        )
    if dtype not in method.can.dtypes:
        return Problem(
            status="unsupported",
            reason=f"{method.name} computes in {', '.join(method.can.dtypes)}, not in {dtype}.",
        )
    return None


def task_problem(method: "Method", task: "TrainedTask") -> Problem | None:
    """Why the method cannot do the task anywhere."""
    if task.causal and not method.can.causal:
        return Problem(
            status="unsupported",
            reason=f"{task.name} predicts the next token and {method.name} is not causal.",
        )
    if not task.causal and not method.can.bidirectional:
        return Problem(
            status="unsupported",
            reason=f"{task.name} reads in both directions and {method.name} is causal only.",
        )
    if task.key_padding and not method.can.key_padding:
        return Problem(
            status="unsupported",
            reason=f"{task.name} has sequences of different lengths and {method.name} cannot mask"
            " padding.",
        )
    return None
