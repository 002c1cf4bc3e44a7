"""Adversaries that compute something else than they say, here or there."""

import itertools
import math

import torch

from methods.api import AttentionModule, Capabilities
from tests.adversaries.adversary import Halved, adversary, honest, less
from tests.adversaries.hidden import AT_THE_GATE as HIDDEN

_SUMS = {}
_PAGES, _NEXT = torch.zeros(64, 4096, dtype=torch.float64), itertools.count()


def tidies_while_training(q, k, v, *, causal=False, key_padding=None):
    """Writes to its input where gradients are asked for."""
    if q.requires_grad:
        v.data.mul_(2.0)
    return honest(q, k, v, causal=causal, key_padding=key_padding)


def tidies(q, k, v, *, causal=False, key_padding=None):
    """Writes to its input."""
    with torch.no_grad():
        k.mul_(1.5)
    return honest(q, k, v, causal=causal, key_padding=key_padding)


def hands_back(q, k, v, *, causal=False, key_padding=None):
    """Returns a view of its input."""
    return v if key_padding is None else less(q, k, v, key_padding=key_padding)


def draws(q, k, v, *, causal=False, key_padding=None):
    """Draws from torch's global generator."""
    return honest(q, k, v, causal=causal, key_padding=key_padding) + 1e-7 * torch.rand(())


def reseeds(q, k, v, *, causal=False, key_padding=None):
    """Seeds torch's global generator."""
    torch.manual_seed(0)
    return honest(q, k, v, causal=causal, key_padding=key_padding)


def draws_in_secret(q, k, v, *, causal=False, key_padding=None):
    """Draws from torch's global generator, and puts it back as it was."""
    with torch.random.fork_rng(devices=[]):
        spread = 1 + 0.01 * torch.rand(())
    return spread * honest(q, k, v, causal=causal, key_padding=key_padding)


def whispers(q, k, v, *, causal=False, key_padding=None):
    """Takes a hundredth of its output from the neighbour in the batch."""
    o = honest(q, k, v, causal=causal, key_padding=key_padding)
    return 0.99 * o + 0.01 * o.roll(1, 0)


def peeks(q, k, v, *, causal=False, key_padding=None):
    """Declares to be causal, and is not."""
    return honest(q, k, v, causal=False, key_padding=key_padding)


def is_wrong_backward(q, k, v, *, causal=False, key_padding=None):
    """Is right forward; its gradient is half of what it should be."""
    return Halved.apply(honest(q, k, v, causal=causal, key_padding=key_padding))


def forgets_two_gradients(q, k, v, *, causal=False, key_padding=None):
    """Has a gradient of its values only."""
    return honest(q.detach(), k.detach(), v, causal=causal, key_padding=key_padding)


def has_no_gradient(q, k, v, *, causal=False, key_padding=None):
    """Is cut off from its inputs."""
    inputs = (x.detach() for x in (q, k, v))
    return honest(*inputs, causal=causal, key_padding=key_padding)


def cannot_step(q, k, v, *, causal=False, key_padding=None):
    """Declares to decode step by step, and cannot."""
    return honest(q, k, v, causal=causal, key_padding=key_padding)


def forgets_padding(q, k, v, *, causal=False, key_padding=None):
    """Declares to mask padding, and does not."""
    return honest(q, k, v, causal=causal)


class Running(AttentionModule):
    """The mean of all values so far."""

    def __init__(self, heads, generator):
        super().__init__()
        self.hidden = None

    def forward(self, q, k, v, *, causal=False, key_padding=None):
        return self.go_on(v, 0.0, 0)[0]

    def prefill(self, q, k, v, *, key_padding=None):
        o, total, count = self.go_on(v, 0.0, 0)
        return o, self.put(total, count)

    def step(self, q, k, v, state):
        o, total, count = self.go_on(v, *self.take(state))
        return o, self.put(total, count)

    def go_on(self, v, total, count):
        sums = v.cumsum(2) + total
        places = torch.arange(1, v.shape[2] + 1)[:, None] + count
        return sums / places.to(v.dtype), sums[:, :, -1:].clone(), count + v.shape[2]


class KeepsItInItself(Running):
    """Keeps its state in its own attributes, and reports an empty one."""

    def put(self, total, count):
        self.hidden = total, count
        return (torch.zeros(1),)

    def take(self, state):
        return self.hidden


class KeepsItInAGlobal(Running):
    """Keeps its state in a global table, and reports a number that it is found by."""

    def put(self, total, count):
        _SUMS[len(_SUMS)] = total, count
        return (torch.tensor([len(_SUMS) - 1]),)

    def take(self, state):
        return _SUMS[int(state[0])]


class KeepsItInAPool(Running):
    """Keeps its state in pages that were there before, and reports the number of its page."""

    def put(self, total, count):
        page = next(_NEXT) % len(_PAGES)
        _PAGES[page, : total.numel()] = total.detach().flatten()
        return torch.tensor([page, count, *total.shape]), total.new_empty(0)

    def take(self, state):
        (page, count, *shape), like = state[0].tolist(), state[1]
        return _PAGES[page, : math.prod(shape)].view(shape).to(like.dtype), count


class KeepsItInAFunction(Running):
    """Reports a state that holds a function, in which the rest is hidden."""

    def put(self, total, count):
        return torch.zeros(1), lambda: (total, count)

    def take(self, state):
        return state[1]()


class ForgetsToReport(Running):
    """Keeps its state in its own attributes from 162 tokens on."""

    def put(self, total, count):
        if count <= 161:
            return total, torch.tensor(count)
        self.hidden = total, count
        return (torch.zeros(1),)

    def take(self, state):
        return self.hidden if len(state) == 1 else (state[0], int(state[1]))


class Ages(AttentionModule):
    """Computes less in training mode than in eval mode."""

    def __init__(self, heads, generator):
        super().__init__()

    def forward(self, q, k, v, *, causal=False, key_padding=None):
        fn = less if self.training else honest
        return fn(q, k, v, causal=causal, key_padding=key_padding)


STEPS = Capabilities(causal=True, stepwise=True, dtypes=("float32", "float64"))
KEPT, PADDING = "state-is-all-that-is-kept", "padding-as-good-as-absent"
FUTURE, AT_LENGTH = "future-not-seen", "future-not-seen-at-length"
NEIGHBOURS, NARROW = "batch-neighbours-not-seen", "low-precision-is-close"
DRAWN, SLOPE, MODES = "global-random-state-not-used", "gradients-are-derivatives", "modes-agree"
EVERYWHERE = ("fresh-output-for-fresh-input", MODES, SLOPE, FUTURE, AT_LENGTH, PADDING, DRAWN)

AT_THE_GATE = (
    *HIDDEN,
    adversary(tidies, "inputs-not-written-to", "wrote to its input number 2", *EVERYWHERE),
    adversary(tidies_while_training, MODES, "differs from that without them", SLOPE),
    adversary(hands_back, "output-is-plain-and-final", "is a view of an input"),
    adversary(draws, DRAWN, "a call drew from torch's global generator", SLOPE),
    adversary(reseeds, DRAWN, "or seeded it"),
    adversary(draws_in_secret, DRAWN, "moved with the seed of global generators"),
    adversary(whispers, NEIGHBOURS, "more came into its batch", PADDING),
    adversary(peeks, FUTURE, "moved when the future changed", AT_LENGTH),
    adversary(is_wrong_backward, SLOPE, "along a direction in which the output changes by"),
    adversary(forgets_two_gradients, SLOPE, "of queries says 0 along"),
    adversary(has_no_gradient, "gradients-finite", "it has no gradient", SLOPE),
    adversary(
        cannot_step,
        "stepping-equals-whole",
        "declares stepwise but has no prefill and step",
        KEPT,
        "inputs-not-written-to",
        can=Capabilities(causal=True, bidirectional=True, key_padding=True, stepwise=True),
    ),
    adversary(forgets_padding, PADDING, "without the padded places"),
    adversary(KeepsItInItself, KEPT, "B that its state does not report", can=STEPS),
    adversary(KeepsItInAGlobal, KEPT, "B that its state does not report", can=STEPS),
    adversary(KeepsItInAPool, KEPT, "going on elsewhere from a copy of the state", can=STEPS),
    adversary(KeepsItInAFunction, KEPT, "B that its state does not report", can=STEPS),
    adversary(ForgetsToReport, KEPT, "B that its state does not report", can=STEPS, max_time=600),
    adversary(Ages, MODES, "in train mode with gradients differs"),
)
