"""The laws that a method must keep here and now, before anything is measured on this machine."""

from collections.abc import Mapping
from typing import Any

import torch

from bench.originals import originals
from methods.api import Method
from methods.core.testing import GATE_LAWS, NARROW, check_method

GATE_HEAD_DIM = 16
"""Where the protocol has no one head dimension."""


def gate(
    method: Method,
    options: Mapping[str, Any],
    *,
    device: str,
    dtype: str,
    head_dim: int = GATE_HEAD_DIM,
    namesake: Method | None = None,
    longest: int | None = None,
) -> str | None:
    """None if the method may be measured, else every broken law with what was seen.

    `longest` is the longest sequence of the trial, where that is known beforehand. Another
    implementation of a method is compared with its namesake as well, and a trial in low precision
    also checks that. The trial's random numbers are what they were before.
    """
    laws = list(GATE_LAWS)
    if namesake is not None:
        laws.append("equals-namesake")
    if dtype in NARROW:
        laws.append("low-precision-is-close")
    gpus = [] if device == "cpu" else [torch.device(device)]
    with torch.random.fork_rng(devices=gpus):
        outcomes = check_method(
            method,
            options=options,
            device=device,
            laws=laws,
            namesake=namesake,
            head_dim=head_dim,
            longest=longest,
            dtype=dtype,
        )
    if verdict := originals().verdict():
        # What else was seen may have been made up.
        return verdict
    broken = [f"{outcome.law}: {outcome.detail}" for outcome in outcomes if not outcome.passed]
    return " ".join(broken) or None
