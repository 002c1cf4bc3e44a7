"""What this machine reaches at best: matrix product, copy and exponential, in a trial's dtype."""

from collections.abc import Callable
from functools import partial
from statistics import median

import torch

from bench.runners.samples import Stopwatch, Turn, take_turns, warm_up
from results.curve import Ceilings, CostCell

SAMPLES = 15
_MATRICES = {"cpu": (256, 512, 1024), "cuda": (4096, 8192)}
"""The fastest counts. On a busy machine that is a small one, which is over before it is held up."""
_COPIED_BYTES = {"cpu": 2**26, "cuda": 2**30}
"""Beyond any cache."""
_EXPONENTS = {"cpu": 2**16, "cuda": 2**26}
"""On a CPU within L2, where a method in chunks would take its exponentials."""


def measure_ceilings(dtype: str, device: str, stopwatch: Stopwatch) -> Ceilings:
    """Each the best of some samples; a second or two on a CPU."""
    kind = device.split(":")[0]
    of_type: torch.dtype = getattr(torch, dtype)

    def normal(*shape: int) -> torch.Tensor:
        generator = torch.Generator(device).manual_seed(0)
        return torch.randn(shape, generator=generator, device=device, dtype=of_type)

    def product(n: int) -> tuple[float, float]:
        left, right, out = normal(n, n), normal(n, n), normal(n, n)
        return _rate(2 * n**3, lambda: torch.mm(left, right, out=out), stopwatch)

    source = normal(_COPIED_BYTES[kind] // of_type.itemsize)
    target = torch.empty_like(source)
    exponents = normal(_EXPONENTS[kind])
    powers = torch.empty_like(exponents)
    copy_best, copy_median = _rate(2 * source.nbytes, lambda: target.copy_(source), stopwatch)
    # On some processors powers of 2 are several times faster, and a method is free to take them.
    exp_best, exp_median = max(
        _rate(exponents.numel(), partial(power, exponents, out=powers), stopwatch)
        for power in (torch.exp, torch.exp2)
    )
    product_best, product_median = max(product(n) for n in _MATRICES[kind])
    return Ceilings(
        matrix_product=product_best,
        memory_copy=copy_best,
        exp=exp_best,
        matrix_product_median=product_median,
        memory_copy_median=copy_median,
        exp_median=exp_median,
    )


def higher(one: Ceilings, other: Ceilings) -> Ceilings:
    """Each rate from where it was higher: a neighbour on the machine only ever lowers one."""
    best = one.model_dump()
    for name in ("matrix_product", "memory_copy", "exp"):
        if getattr(other, name) > getattr(one, name):
            best |= other.model_dump(include={name, f"{name}_median"})
    return Ceilings(**best)


def roofline(cell: CostCell, ceilings: Ceilings) -> float | None:
    """Seconds at these ceilings, one part after another; None where something was not counted."""
    if cell.flops is None or cell.exps is None or cell.least_bytes is None:
        return None
    return (
        cell.flops / ceilings.matrix_product
        + cell.exps / ceilings.exp
        + cell.least_bytes / ceilings.memory_copy
    )


def _rate(work: int, call: Callable[[], object], stopwatch: Stopwatch) -> tuple[float, float]:
    """Work a second: the best and the median."""
    with torch.no_grad():
        warm_up(call, stopwatch, seconds=1.0)
        (seconds,) = take_turns([Turn(call)], stopwatch, least=SAMPLES, most=SAMPLES, seconds=0.0)
    return work / min(seconds), work / median(seconds)
