"""Methods for cost trials: they sleep, devour or refuse by the length of their input."""

import time

import torch

from methods.api import Capabilities, Method
from tests.fakes.bad_methods import mean

CAN = Capabilities(bidirectional=True, causal=True, key_padding=True)


def sleeps(q, k, v, *, causal=False, key_padding=None, seconds: float = 3e-4):
    """Takes the same time for every token."""
    time.sleep(seconds * q.shape[2])
    return mean(q, k, v, causal=causal, key_padding=key_padding)


def devours(q, k, v, *, causal=False, key_padding=None):
    """Asks for more than there is from 700 tokens on."""
    if q.shape[2] >= 700:
        torch.empty(2**50)
    return mean(q, k, v, causal=causal, key_padding=key_padding)


def refuses(q, k, v, *, causal=False, key_padding=None):
    """Takes no odd length beyond those of the gate, and breaks at 700 tokens."""
    length = q.shape[2]
    if length > 640 and length % 2:
        raise ValueError(f"needs an even number of tokens; {length} came.")
    if length == 700:
        raise RuntimeError("boom")
    return mean(q, k, v, causal=causal, key_padding=key_padding)


SLEEPS = Method(name="fake-sleeps", attention=sleeps, can=CAN)
DEVOURS = Method(name="fake-devours-length", attention=devours, can=CAN)
REFUSES = Method(name="fake-refuses", attention=refuses, can=CAN)
