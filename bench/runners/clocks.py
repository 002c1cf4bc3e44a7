"""A GPU's clock and throttling, read before and after what is timed.

Through NVIDIA's management library, if its Python package is there. A processor's clock is not
read: what a guest system is told of it says nothing of the moment.
"""

import importlib
from collections.abc import Callable
from typing import NamedTuple

FALL = 0.95
"""A clock that ends below this share of where it began has fallen."""
THROTTLES = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "thermal slowdown by software",
    0x40: "thermal slowdown by hardware",
    0x80: "power brake",
}
"""Bits of nvmlClocksEventReasons that slow a GPU down, from nvml.h."""


class Clock(NamedTuple):
    """One reading; None and empty where the library tells nothing."""

    hertz: float | None = None
    throttles: frozenset[str] = frozenset()


ReadClock = Callable[[], Clock]


def clock_reader(device: str) -> ReadClock:
    """A function that reads this device's clock now."""
    if device == "cpu":
        return Clock
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return Clock
    import torch

    nvml.nvmlInit()
    # The index would not do: CUDA may number, hide and split devices otherwise.
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    handle = nvml.nvmlDeviceGetHandleByUUID(uuid)

    def read() -> Clock:
        try:
            megahertz = nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)
            bits = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
        except nvml.NVMLError:
            return Clock()
        reasons = frozenset(reason for bit, reason in THROTTLES.items() if bits & bit)
        return Clock(hertz=megahertz * 1e6, throttles=reasons)

    return read


def clock_flags(before: Clock, after: Clock) -> list[str]:
    """What the two readings say against the samples between them."""
    flags = []
    if before.hertz and after.hertz and after.hertz < FALL * before.hertz:
        flags.append("clock fell")
    flags += [f"throttled: {reason}" for reason in sorted(before.throttles | after.throttles)]
    return flags
