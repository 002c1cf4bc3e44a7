"""Synthetic records of cost trials, for tests; every name and number in them is made up."""

from collections.abc import Callable, Sequence

import numpy as np

from results.curve import Ceilings, CostCell, CostCurve, Crossover
from results.record import Record, Scalar
from tests.results.records import fake_identity, fake_machine, fake_provenance

MODES = (("forward", True), ("forward", False), ("training", True), ("decode", True))
LENGTHS = (256, 512, 1024, 2048, 4096, 8192, 16384)
PRODUCT, COPY, EXP = 340e9, 26.8e9, 8.8e9
FACTORS = {"forward": 1.0, "training": 3.5}
WIDTH = 8 * 64
"""Numbers in a token: heads times head dimension."""


def quadratic(mode: str, length: int) -> tuple[float, float]:
    """Operations and bytes of attention with a matrix of scores."""
    if mode == "decode":
        return 4.0 * WIDTH * length, 8.0 * WIDTH * length
    return FACTORS[mode] * 4 * WIDTH * length**2, FACTORS[mode] * 40.0 * length**2


def linear(mode: str, length: int) -> tuple[float, float]:
    """Operations and bytes of attention with a state."""
    if mode == "decode":
        return 4.0 * WIDTH * 128, 8.0 * WIDTH * 128
    return FACTORS[mode] * 8 * WIDTH * 128 * length, FACTORS[mode] * 60.0 * WIDTH * length


def seconds_of(mode: str, length: int, law: Callable[[str, int], tuple[float, float]]) -> float:
    """By bytes moved for the most part, so that a fit has something to find."""
    flops, moved = law(mode, length)
    return 3e-5 + 0.3 * flops / PRODUCT + 2 * moved / COPY


def samples(middle: float, seed: int, n: int = 20) -> list[float]:
    """Scattered by two percent."""
    return [float(x) for x in middle * np.random.default_rng(seed).lognormal(0, 0.02, n)]


def fake_cell(
    mode: str = "forward",
    causal: bool = True,
    length: int = 1024,
    *,
    law: Callable[[str, int], tuple[float, float]] = linear,
    slower: float = 1.0,
    seed: int = 0,
    **rest: object,
) -> CostCell:
    """Measured in turn with a reference of quadratic cost."""
    flops, moved = law(mode, length)
    values: dict[str, object] = {
        "status": "completed",
        "seconds": samples(slower * seconds_of(mode, length, law), 2 * seed),
        "reference_seconds": samples(0.2 * seconds_of(mode, length, quadratic), 2 * seed + 1),
        "peak_bytes": int(slower * moved),
        "reference_peak_bytes": 4 * WIDTH * length,
        "flops": int(flops),
        "exps": 16 * length,
        "bytes_moved": int(moved),
        "least_bytes": 16 * WIDTH * length,
        "limit_seconds": flops / PRODUCT + 16 * WIDTH * length / COPY,
        "kernels": ["torch operations"],
    }
    return CostCell(mode=mode, causal=causal, length=length, **(values | rest))  # type: ignore[arg-type]


def failed_cell(
    length: int, *, status: str = "timed-out", reason: str = "would take 31 s.", **where: object
) -> CostCell:
    place = {"mode": "forward", "causal": True} | where
    return CostCell(length=length, status=status, reason=reason, **place)  # type: ignore[arg-type]


def fake_cells(
    *,
    law: Callable[[str, int], tuple[float, float]] = linear,
    slower: float = 1.0,
    lengths: Sequence[int] = LENGTHS,
    stop: int = 10**9,
    seed: int = 0,
) -> list[CostCell]:
    """Every mode at every length; from `stop` on time has run out."""
    cells = []
    for mode, causal in MODES:
        for length in lengths:
            if length >= stop and mode != "decode":
                cells.append(failed_cell(length, mode=mode, causal=causal))
            else:
                more = {"law": law, "slower": slower, "seed": seed + 7 * len(cells)}
                cells.append(fake_cell(mode, causal, length, **more))  # type: ignore[arg-type]
    return cells


def fake_crossovers(verdict: str = "crosses", **ends: int | None) -> list[Crossover]:
    """In both quantities, forward and causal."""
    if verdict == "crosses":
        ends = {"below": 640, "above": 704, **ends}
    return [
        Crossover(
            quantity=quantity,
            mode="forward",
            causal=True,
            verdict=verdict,
            shortest=256,
            longest=16384,
            **ends,
        )
        for quantity in ("latency", "memory")
    ]


def fake_cost_record(
    method: str = "fake-attention",
    cells: Sequence[CostCell] | None = None,
    *,
    options: dict[str, Scalar] | None = None,
    role: str = "method",
    same_as: str | None = None,
    crossovers: Sequence[Crossover] = (),
    machine: str = "Fake CPU, 2 cores, 8 GiB",
    threads: int = 2,
    dtype: str = "float32",
    preset: str = "kernel",
    seed: int = 0,
    **curve: object,
) -> Record:
    values: dict[str, object] = {
        "level": "kernel",
        "reference": "fake-exact",
        "batch": 1,
        "num_heads": 8,
        "head_dim": 64,
        "memory_method": "made up",
        "cells": list(fake_cells() if cells is None else cells),
        "crossovers": list(crossovers),
        "ceilings": Ceilings(matrix_product=PRODUCT, memory_copy=COPY, exp=EXP),
    }
    return Record(
        identity=fake_identity(
            method, "cost", options=options, preset=preset, dtype=dtype, seed=seed
        ),
        status="completed",
        role=role,  # type: ignore[arg-type]
        same_as=same_as,
        curve=CostCurve(**(values | curve)),  # type: ignore[arg-type]
        machine=fake_machine(machine).model_copy(update={"threads": threads}),
        provenance=fake_provenance(),
    )
