"""Adversaries that are honest at the sizes and dtypes of a first look."""

import torch

from methods.api import AttentionModule, UnsupportedError
from tests.adversaries.adversary import Halved, adversary, honest, less


def whispers_in_a_crowd(q, k, v, *, causal=False, key_padding=None):
    """Takes a hundredth of its output from the neighbour in a batch of three or more."""
    o = honest(q, k, v, causal=causal, key_padding=key_padding)
    return o if len(o) < 3 else 0.99 * o + 0.01 * o.roll(1, 0)


def fails_when_alone(q, k, v, *, causal=False, key_padding=None):
    """Sees the future from 162 tokens on, and fails there where one sequence comes alone."""
    if q.shape[2] > 161 and len(q) == 1:
        raise RuntimeError("too busy")
    return honest(q, k, v, causal=causal and q.shape[2] <= 161, key_padding=key_padding)


def refuses_when_alone(q, k, v, *, causal=False, key_padding=None):
    """Sees the future from 162 tokens on, and refuses there one sequence that comes alone."""
    if q.shape[2] > 161 and len(q) == 1:
        raise UnsupportedError("One sequence is too few.")
    return honest(q, k, v, causal=causal and q.shape[2] <= 161, key_padding=key_padding)


def peeks_when_narrow(q, k, v, *, causal=False, key_padding=None):
    """Sees the future in bfloat16 from 34 tokens on."""
    seen = q.dtype == torch.bfloat16 and q.shape[2] > 33
    return honest(q, k, v, causal=causal and not seen, key_padding=key_padding)


def degrades_in_half(q, k, v, *, causal=False, key_padding=None):
    """Computes something else in float16."""
    fn = less if q.dtype == torch.float16 else honest
    return fn(q, k, v, causal=causal, key_padding=key_padding)


def is_softmax_up_to_161(q, k, v, *, causal=False, key_padding=None):
    """Claims to be softmax, and is so up to 161 tokens."""
    fn = honest if q.shape[2] <= 161 else less
    return fn(q, k, v, causal=causal, key_padding=key_padding)


def degrades_when_narrow(q, k, v, *, causal=False, key_padding=None):
    """Computes something else in bfloat16."""
    fn = less if q.dtype == torch.bfloat16 else honest
    return fn(q, k, v, causal=causal, key_padding=key_padding)


def is_wrong_backward_beyond_33(q, k, v, *, causal=False, key_padding=None):
    """Its gradient is half of what it should be from 34 tokens on."""
    o = honest(q, k, v, causal=causal, key_padding=key_padding)
    return Halved.apply(o) if q.shape[2] > 33 else o


def is_wrong_backward_far_out(q, k, v, *, causal=False, key_padding=None):
    """Its gradient is half of what it should be from 500 tokens on."""
    o = honest(q, k, v, causal=causal, key_padding=key_padding)
    return Halved.apply(o) if q.shape[2] >= 500 else o


def is_wrong_backward_in_float32(q, k, v, *, causal=False, key_padding=None):
    """Its gradient is half of what it should be in float32."""
    o = honest(q, k, v, causal=causal, key_padding=key_padding)
    return Halved.apply(o) if q.dtype == torch.float32 else o


def is_wrong_backward_when_narrow(q, k, v, *, causal=False, key_padding=None):
    """Its gradient is half of what it should be in bfloat16."""
    o = honest(q, k, v, causal=causal, key_padding=key_padding)
    return Halved.apply(o) if q.dtype == torch.bfloat16 else o


def peeks_beyond_64(q, k, v, *, causal=False, key_padding=None):
    """Sees the future from 65 tokens on."""
    return honest(q, k, v, causal=causal and q.shape[2] <= 64, key_padding=key_padding)


def peeks_beyond_512(q, k, v, *, causal=False, key_padding=None):
    """Sees the future from 513 tokens on."""
    return honest(q, k, v, causal=causal and q.shape[2] <= 512, key_padding=key_padding)


class AgesWithLength(AttentionModule):
    """Computes less in training mode from 41 tokens on."""

    def __init__(self, heads, generator):
        super().__init__()

    def forward(self, q, k, v, *, causal=False, key_padding=None):
        fn = less if self.training and q.shape[2] > 40 else honest
        return fn(q, k, v, causal=causal, key_padding=key_padding)


MODES, SLOPE = "modes-agree", "gradients-are-derivatives"
FUTURE, AT_LENGTH = "future-not-seen", "future-not-seen-at-length"
NEIGHBOURS, NARROW = "batch-neighbours-not-seen", "low-precision-is-close"

AT_THE_GATE = (
    adversary(whispers_in_a_crowd, NEIGHBOURS, "more came into its batch"),
    adversary(
        fails_when_alone,
        AT_LENGTH,
        "it raised RuntimeError: too busy",
        NEIGHBOURS,
        SLOPE,
        max_time=600,
    ),
    adversary(
        refuses_when_alone, AT_LENGTH, "refused in one shape only", NEIGHBOURS, SLOPE, max_time=600
    ),
    adversary(
        peeks_when_narrow,
        FUTURE,
        "bfloat16 output at times before 135 moved",
        SLOPE,
        dtype="bfloat16",
    ),
    adversary(degrades_in_half, NARROW, "float16 output is", SLOPE, dtype="float16"),
    adversary(
        is_softmax_up_to_161,
        "equals-namesake",
        "the output differs from softmax's",
        same_as="softmax",
        max_time=600,
    ),
    adversary(degrades_when_narrow, NARROW, "bfloat16 output is", SLOPE, dtype="bfloat16"),
    adversary(is_wrong_backward_beyond_33, SLOPE, "along a direction in which"),
    adversary(is_wrong_backward_far_out, SLOPE, "gradient at 601 tokens of", max_time=600),
    adversary(is_wrong_backward_in_float32, SLOPE, "of its norm away from float64's"),
    adversary(
        is_wrong_backward_when_narrow,
        SLOPE,
        "of its norm away from float64's",
        dtype="bfloat16",
    ),
    adversary(peeks_beyond_64, AT_LENGTH, "moved when the future changed", FUTURE, max_time=600),
    adversary(peeks_beyond_512, AT_LENGTH, "moved when the future changed", max_time=600),
    adversary(AgesWithLength, MODES, "in train mode with gradients differs", max_time=600),
)
