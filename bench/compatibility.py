"""Why a method cannot do a task here: pure, from declared capabilities. Free of torch."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import UsageError
from results.record import Status
from tasks.language import LanguagePreset

if TYPE_CHECKING:
    from bench.registry import AnyTask
    from bench.settings import AnyPreset
    from methods.api import Capabilities, Method
    from tasks.api import TrainedTask
    from tasks.language import LanguageTask
    from tasks.probe import ProbeTask
    from tasks.sweep import Sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a trial cannot run, as it will stand in its record."""

    status: Status
    reason: str


def method_problem(
    method: "Method",
    *,
    device: str,
    dtype: str | None,
    is_installed: Callable[[str], bool],
    options: Mapping[str, object] | None = None,
    head_dim: int | None = None,
    compute_capability: tuple[int, int] | None = None,
) -> Problem | None:
    """Why the method cannot run here at all; what is None is not asked about."""
    can = method.can.with_options(options or {})
    missing = [p for p in can.packages if not is_installed(p)]
    if missing:
        install = can.install or f"pip install {' '.join(missing)}"
        return Problem(
            status="unavailable",
            reason=f"{method.name} needs {', '.join(missing)}. Install with: {install}",
        )
    for reason in _refusals(method.name, can, device, dtype, head_dim, compute_capability):
        return Problem(status="unsupported", reason=reason)
    return None


def _refusals(
    name: str,
    can: "Capabilities",
    device: str,
    dtype: str | None,
    head_dim: int | None,
    compute_capability: tuple[int, int] | None,
) -> Iterator[str]:
    kind = device.split(":")[0]
    if kind not in can.devices:
        yield f"{name} runs on {' and '.join(can.devices)}, not on {kind}."
    if kind == "cuda" and compute_capability and (old := can.gpu_problem(compute_capability)):
        yield f"{name} {old}. Choose another GPU with --device, or another method."
    if dtype is not None and dtype not in can.dtypes:
        yield f"{name} computes in {', '.join(can.dtypes)}, not in {dtype}. Choose with --dtype."
    if head_dim is not None and (wrong := can.head_dim_problem(head_dim)):
        yield f"{name} {wrong}. Choose a preset with such heads, or another method."


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


def language_problem(
    method: "Method", task: "LanguageTask", preset: LanguagePreset, dtype: str, *, compiled: bool
) -> Problem | None:
    """Why the method cannot predict the next token under this protocol."""
    reason = None
    if compiled:
        reason = f"{task.name} trains without torch.compile. Leave --compile out."
    elif dtype == "float16":
        reason = (
            f"{task.name} does not scale its gradients, of which float16 loses the smallest. Choose"
            " --dtype bfloat16."
        )
    elif not method.can.causal:
        reason = f"{task.name} predicts the next token and {method.name} is not causal."
    elif method.mixer is not None and preset.decoder is None:
        reason = (
            f"{method.name} is a whole mixer: a pretrained model keeps its projections and takes"
            " another attention only."
        )
    return Problem(status="unsupported", reason=reason) if reason else None


def check_devices(devices: int, task: "AnyTask", preset: "AnyPreset") -> None:
    """Raises UsageError where a trial of the task cannot run on that many devices together."""
    if devices == 1:
        return
    if devices < 1:
        raise UsageError(f"A trial takes 1 device or more, not {devices} (--devices-per-trial).")
    if not isinstance(preset, LanguagePreset):
        raise UsageError(
            f"{task.name} runs on one device: only language tasks can be cut over several. Leave"
            " --devices-per-trial out."
        )
    if preset.training.batch_size % devices:
        raise UsageError(
            f"{task.name}, preset {preset.name!r}: {devices} devices do not share"
            f" {preset.training.batch_size} blocks equally. Choose another --devices-per-trial, or"
            " --set batch_size."
        )


def sweep_problem(method: "Method", task: str, sweep: "Sweep", *, compiled: bool) -> Problem | None:
    """Why a cost task cannot measure the method at all."""
    if compiled:
        return Problem(
            status="unsupported",
            reason=f"{task} measures what runs without torch.compile. Leave --compile out.",
        )
    if method.mixer is not None and sweep.level == "kernel":
        return Problem(
            status="unsupported",
            reason=f"{method.name} is a whole mixer: it takes no queries, keys and values."
            " Measure it with --preset layer, or --set level=layer.",
        )
    return None


def probe_problem(method: "Method", task: "ProbeTask", *, compiled: bool) -> Problem | None:
    """Why a probe cannot look into the method at all."""
    if compiled:
        return Problem(
            status="unsupported",
            reason=f"{task.name} measures what runs without torch.compile. Leave --compile out.",
        )
    if method.mixer is not None:
        return Problem(
            status="unsupported",
            reason=f"{method.name} is a whole mixer: it takes no queries and keys to measure at.",
        )
    if task.needs == "features" and not method.has_features:
        return Problem(
            status="unsupported",
            reason=f"{task.name} measures features against the kernel that they estimate, and"
            f" {method.name} has neither.",
        )
    return None
