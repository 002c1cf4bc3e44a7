"""Methods that want more than a trial is given, or will not end. Each attribute is one METHOD."""

import ctypes
import os
import signal
import time

import torch

from methods.api import Method
from tests.fakes.bad_methods import CAN, in_training, mean

LONG = 600
"""Seconds: longer than anything waits for."""
GIBIBYTE = 2**28
"""In numbers of four bytes."""


def _method(misbehave):
    def attention(q, k, v, *, causal=False, key_padding=None):
        out = mean(q, k, v, causal=causal, key_padding=key_padding)
        if in_training(q):
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
    out = mean(q, k, v, causal=causal, key_padding=key_padding)
    return _GreedyBackward.apply(out) if in_training(q) else out


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
