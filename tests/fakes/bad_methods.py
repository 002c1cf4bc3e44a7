"""Methods that fail in every way a trial must survive. Each attribute is one METHOD."""

import ctypes
import os
import time

import torch

from methods.api import Capabilities, Method

CAN = Capabilities(bidirectional=True, causal=True, key_padding=True)


def mean(q, k, v, *, causal, key_padding):
    """Of the values that may be seen: what is left where nothing goes wrong."""
    weights = torch.ones(q.shape[2], k.shape[2], dtype=q.dtype, device=q.device)
    if causal:
        weights = weights.tril()
    weights = weights.expand(q.shape[0], q.shape[1], -1, -1)
    if key_padding is not None:
        weights = weights * ~key_padding[:, None, None, :]
    return weights @ v / weights.sum(-1, keepdim=True).clamp(min=1)


def in_training(q):
    """Whether the gate is over."""
    # The gate runs small tensors; the fake task's batches have 16 examples.
    return q.shape[0] == 16


def crashes(q, k, v, *, causal=False, key_padding=None):
    """Raises in training, after the gate."""
    if in_training(q):
        raise RuntimeError("boom <b>with</b> [red]markup[/red]")
    return mean(q, k, v, causal=causal, key_padding=key_padding)


def dies(q, k, v, *, causal=False, key_padding=None):
    """Takes its process down."""
    if in_training(q):
        print("last words", flush=True)
        ctypes.string_at(0)
    return mean(q, k, v, causal=causal, key_padding=key_padding)


def hangs(q, k, v, *, causal=False, key_padding=None):
    """Never comes back, and has forked a child that sleeps too."""
    if in_training(q):
        if os.fork() == 0:
            time.sleep(600)
        time.sleep(600)
    return mean(q, k, v, causal=causal, key_padding=key_padding)


def explodes(q, k, v, *, causal=False, key_padding=None):
    """Gives no numbers."""
    out = mean(q, k, v, causal=causal, key_padding=key_padding)
    return out * float("nan") if in_training(q) else out


def devours(q, k, v, *, causal=False, key_padding=None):
    """Asks for more memory than there is."""
    if in_training(q):
        torch.zeros(2**45)
    return mean(q, k, v, causal=causal, key_padding=key_padding)


def gorges(q, k, v, *, causal=False, key_padding=None):
    """Asks for 1 GiB, which the machine has and a limited trial has not."""
    if in_training(q):
        torch.zeros(2**28)
    return mean(q, k, v, causal=causal, key_padding=key_padding)


def leaks(q, k, v, *, causal=False, key_padding=None):
    """Ignores padding."""
    return mean(q, k, v, causal=causal, key_padding=None)


CRASHES, DIES, HANGS, EXPLODES, DEVOURS, GORGES, LEAKS = (
    Method(name=f"fake-{f.__name__}", can=CAN, attention=f)
    for f in (crashes, dies, hangs, explodes, devours, gorges, leaks)
)
METHOD = CRASHES
