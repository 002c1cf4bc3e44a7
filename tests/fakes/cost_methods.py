"""Methods for cost trials: they sleep, devour or refuse by the length of their input."""

import time

import numpy as np
import torch

from methods.api import AttentionModule, Capabilities, Method
from methods.softmax import softmax_attention
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


class KeepsScores(AttentionModule):
    """Softmax attention that writes its scores into a place which it keeps."""

    def __init__(self, heads, generator):
        super().__init__()
        self.scores = torch.empty(0)

    def forward(self, q, k, v, *, causal=False, key_padding=None):
        if torch.is_grad_enabled() or key_padding is not None or q.dtype != torch.float32:
            return softmax_attention(q, k, v, causal=causal, key_padding=key_padding)
        shape = (*q.shape[:3], k.shape[2])
        if self.scores.shape != shape:
            self.scores = q.new_empty(shape)
        torch.matmul(q * q.shape[-1] ** -0.5, k.mT, out=self.scores)
        if causal:
            for time in range(1, shape[2]):
                self.scores[:, :, time - 1, time:] = -torch.inf
        self.scores.sub_(self.scores.amax(-1, keepdim=True)).exp_()
        o = self.scores @ v
        return o / self.scores.sum(-1, keepdim=True)


def in_numpy(q, k, v, *, causal=False, key_padding=None):
    """The mean of all values so far, by numpy where no gradient is asked for."""
    if torch.is_grad_enabled() or key_padding is not None or q.dtype != torch.float32:
        return mean(q, k, v, causal=causal, key_padding=key_padding)
    values = v.numpy()
    places = np.arange(1, v.shape[2] + 1, dtype=np.float32)[:, None]
    means = values.cumsum(2) / places if causal else values.mean(2, keepdims=True) + 0 * values
    return torch.from_numpy(means)


SLEEPS = Method(name="fake-sleeps", attention=sleeps, can=CAN)
DEVOURS = Method(name="fake-devours-length", attention=devours, can=CAN)
REFUSES = Method(name="fake-refuses", attention=refuses, can=CAN)
KEEPS_SCORES = Method(name="fake-keeps-scores", attention=KeepsScores, can=CAN)
NUMPY = Method(name="fake-numpy", attention=in_numpy, can=CAN)
