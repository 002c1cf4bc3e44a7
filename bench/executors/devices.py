"""The devices that trials run on: here alone torch is asked what there is."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The processor, or one GPU."""

    name: str = "cpu"
    """What torch is given: `cpu` or `cuda:N`."""
    kind: str = "cpu"
    """`cpu`, or the GPU's name: two GPUs of one kind are the same device to a record."""
    memory_bytes: int | None = None
    """Of a GPU."""
    compute_capability: tuple[int, int] | None = None
    """What generation a GPU is of."""
    visible_as: str = ""
    """What CUDA_VISIBLE_DEVICES calls a GPU, or several that run a trial together."""

    @property
    def environment(self) -> dict[str, str]:
        """With this a process sees no other GPU; it, or the first of several, is `cuda:0` there."""
        return {"CUDA_VISIBLE_DEVICES": self.visible_as} if self.visible_as else {}


def visible_gpus() -> tuple[Device, ...]:
    """Those that torch sees, in its order."""
    import torch

    if not torch.cuda.is_available():
        return ()
    hidden_behind = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = hidden_behind.split(",") if hidden_behind else []
    found = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        gpu = Device(
            name=f"cuda:{index}",
            kind=properties.name,
            memory_bytes=properties.total_memory,
            compute_capability=(properties.major, properties.minor),
            visible_as=names[index].strip() if names else str(index),
        )
        found.append(gpu)
    return tuple(found)


def find_devices(
    text: str,
    list_gpus: Callable[[], tuple[Device, ...]] = visible_gpus,
    *,
    per_trial: int = 1,
) -> tuple[Device, ...]:
    """The devices that `auto`, `all`, `cpu`, `cuda` or `cuda:N` name, at least one.

    `auto` is the first GPU, `all` is every GPU, and either is the processor where there is none.
    per_trial: GPUs that are one device together; the one that is named is then the first.
    """
    asked = re.fullmatch(r"auto|all|cpu|cuda(?::(\d+))?", text)
    if asked is None:
        raise ValueError(f"The device {text!r} is none of auto, all, cpu, cuda and cuda:N.")
    gpus = () if text == "cpu" else list_gpus()
    if not gpus and text in ("auto", "all", "cpu"):
        return (Device(),)
    if not gpus:
        raise ValueError(f"The device {text!r} was asked for, but torch sees no GPU. Use cpu.")
    index = int(asked[1] or 0)
    if index >= len(gpus):
        raise ValueError(
            f"The device {text!r} was asked for, but torch sees {len(gpus)} GPUs:"
            f" cuda:0 to cuda:{len(gpus) - 1}."
        )
    groups = _grouped(gpus[index:], per_trial) if per_trial > 1 else gpus[index:]
    return groups if text == "all" else groups[:1]


def _grouped(gpus: tuple[Device, ...], size: int) -> tuple[Device, ...]:
    """GPUs of one kind, `size` at a time, as one device each. What is left over stays idle."""
    groups = []
    for kind in dict.fromkeys(gpu.kind for gpu in gpus):
        alike = [gpu for gpu in gpus if gpu.kind == kind]
        for start in range(0, len(alike) - size + 1, size):
            names = ",".join(gpu.visible_as for gpu in alike[start : start + size])
            groups.append(replace(alike[start], visible_as=names))
    if not groups:
        raise ValueError(
            f"A trial was to have {size} GPUs of one kind (--devices-per-trial), more than torch"
            f" sees: {', '.join(gpu.kind for gpu in gpus)}."
        )
    return tuple(groups)
