"""Methods that want more than a trial is given, or will not end. Each attribute is one METHOD."""

import ctypes
import os
import signal
import time

import torch

from methods.api import Capabilities, Method

CAN = Capabilities(bidirectional=True, causal=True, key_padding=True)
LONG = 600
"""Seconds: longer than anything waits for."""
GIBIBYTE = 2**28
"""In numbers of four bytes."""


def _mean(q, k, v, *, causal, key_padding):
    weights = torch.ones(q.shape[2], k.shape[2], dtype=q.dtype, device=q.device)
    if causal:
        weights = weights.tril()
    weights = weights.expand(q.shape[0], q.shape[1], -1, -1)
    if key_padding is not None:
        weights = weights * ~key_padding[:, None, None, :]
    return weights @ v / weights.sum(-1, keepdim=True).clamp(min=1)


def _in_training(q):
    # The gate runs small tensors; the fake task's batches have 16 examples.
    return q.shape[0] == 16


def _method(misbehave):
    def attention(q, k, v, *, causal=False, key_padding=None):
        out = _mean(q, k, v, causal=causal, key_padding=key_padding)
        if _in_training(q):
            misbehave(out)
        return out

    name = misbehave.__name__.replace("_", "-")
    return Method(name=f"fake-{name}", can=CAN, attention=attention)


class _GreedyBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        torch.ones(GIBIBYTE)
        return grad


def _greedy_backward(q, k, v, *, causal=False, key_padding=None):
    out = _mean(q, k, v, causal=causal, key_padding=key_padding)
    return _GreedyBackward.apply(out) if _in_training(q) else out


def gorges(_):
    """Asks for 1 GiB in its forward pass."""
    torch.ones(GIBIBYTE)


def ignores_sigterm(_):
    """Never comes back, and cannot be asked to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(LONG)


def holds_the_lock(_):
    """Never comes back from C, where no other thread of Python runs meanwhile."""
    ctypes.PyDLL(None).sleep(LONG)


def escapes(_):
    """Starts a process in a session of its own, which no longer has a parent here."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(LONG)
        os._exit(0)


def prints(_):
    """Writes 8 MiB at every step."""
    for _ in range(8):
        os.write(1, b"x" * 2**20)


def naps(_):
    """Takes a while."""
    time.sleep(0.05)


GORGES, IGNORES_SIGTERM, HOLDS_THE_LOCK, ESCAPES, PRINTS, NAPS = map(
    _method, (gorges, ignores_sigterm, holds_the_lock, escapes, prints, naps)
)
GREEDY_BACKWARD = Method(name="fake-greedy-backward", can=CAN, attention=_greedy_backward)
METHOD = NAPS
