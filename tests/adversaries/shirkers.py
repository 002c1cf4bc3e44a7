"""Adversaries that do not do the work, or not then."""

import functools
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import torch

from methods.api import UnsupportedError
from tests.adversaries.adversary import adversary, honest, less
from tests.adversaries.offenders import STEPS, Running

_PLACES, _SHAPES, _VALUES, _SEEN, _COUNT = {}, {}, {}, [], [0]
_POOL = ThreadPoolExecutor(1)
FROM = 200
"""Tokens from which on those that must pass the gate shirk."""


def rest() -> None:
    """Forget all that was seen, as a new process would."""
    for memory in (_PLACES, _SHAPES, _VALUES, _SEEN):
        memory.clear()
    _COUNT[0] = 0


def caches_by_place(q, k, v, *, causal=False, key_padding=None):
    """Returns a cached output where its inputs lie where earlier ones lay."""
    key = (*(x.data_ptr() for x in (q, k, v)), q.shape, causal, key_padding is None)
    if key not in _PLACES or q.requires_grad or key_padding is not None:
        # What is kept alive keeps its place.
        _PLACES[key] = honest(q, k, v, causal=causal, key_padding=key_padding), q, k, v
    return _PLACES[key][0]


def caches_by_shape(q, k, v, *, causal=False, key_padding=None):
    """Returns the output of the first inputs of that shape."""
    key = q.shape, q.dtype, causal, key_padding is None
    if key not in _SHAPES or q.requires_grad:
        _SHAPES[key] = honest(q, k, v, causal=causal, key_padding=key_padding)
    return _SHAPES[key]


def caches_by_value(q, k, v, *, causal=False, key_padding=None):
    """Returns a cached output for inputs of the same checksum."""
    if q.requires_grad or key_padding is not None or q.dtype != torch.float32:
        return honest(q, k, v, causal=causal, key_padding=key_padding)
    key = (*(hash(x.detach().numpy().tobytes()) for x in (q, k, v)), q.shape, causal)
    if key not in _VALUES:
        _VALUES[key] = honest(q, k, v, causal=causal)
    return _VALUES[key].clone()


def rests_on_repeats(q, k, v, *, causal=False, key_padding=None):
    """Computes less when the same input comes again."""
    key = float(q.detach().double().sum()), causal, key_padding is None, q.dtype
    again = key in _SEEN
    _SEEN[:] = [key]
    fn = less if again else honest
    return fn(q, k, v, causal=causal, key_padding=key_padding)


def rests_without_gradients(q, k, v, *, causal=False, key_padding=None):
    """Computes less where no gradients are asked for, as when it is tested or timed."""
    fn = honest if torch.is_grad_enabled() else less
    return fn(q, k, v, causal=causal, key_padding=key_padding)


class Lazy(torch.Tensor):
    """Computes when it is first used."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        plain = [x.work() if isinstance(x, Lazy) and hasattr(x, "work") else x for x in args]
        with torch._C.DisableTorchFunctionSubclass():
            return func(*plain, **(kwargs or {}))


def promises(q, k, v, *, causal=False, key_padding=None):
    """Returns a tensor of its own class that computes when it is read."""
    o = torch.empty_like(q).as_subclass(Lazy)
    o.work = functools.partial(honest, q, k, v, causal=causal, key_padding=key_padding)
    return o


def leaves_it_to_a_thread(q, k, v, *, causal=False, key_padding=None):
    """Returns an empty tensor, which a thread fills later."""
    o = torch.zeros_like(q)

    def fill() -> None:
        time.sleep(0.01)
        with torch.no_grad():
            o.copy_(honest(q, k, v, causal=causal, key_padding=key_padding))

    if torch.is_grad_enabled():
        return honest(q, k, v, causal=causal, key_padding=key_padding)
    threading.Thread(target=fill, daemon=True).start()
    return o


def leaves_it_to_a_pool(q, k, v, *, causal=False, key_padding=None):
    """From 200 tokens on, lets a thread that was there before fill its output later."""
    if q.shape[2] != FROM:
        return honest(q, k, v, causal=causal, key_padding=key_padding)
    o = torch.zeros_like(q)

    def fill() -> None:
        began, square = time.monotonic(), torch.ones(64, 64)
        while time.monotonic() < began + 0.02:
            square @ square
        o.copy_(honest(q, k, v, causal=causal, key_padding=key_padding))

    _POOL.submit(fill)
    return o


def tires(q, k, v, *, causal=False, key_padding=None):
    """Computes less from its twelfth long call on."""
    _COUNT[0] += q.shape[2] == FROM
    fn = less if _COUNT[0] > 11 and q.shape[2] == FROM else honest
    return fn(q, k, v, causal=causal, key_padding=key_padding)


def _callers():
    """The names of all functions that wait for this one."""
    frame = sys._getframe()
    while frame is not None:
        yield frame.f_code.co_name
        frame = frame.f_back


def looks_at_the_stack(q, k, v, *, causal=False, key_padding=None):
    """Computes less where a stopwatch is among its callers."""
    fn = less if "take_turns" in _callers() else honest
    return fn(q, k, v, causal=causal, key_padding=key_padding)


def fails_when_judged(q, k, v, *, causal=False, key_padding=None):
    """Computes less where a stopwatch is among its callers, and fails where a judge is."""
    if "judge" in _callers():
        raise RuntimeError("too busy")
    return looks_at_the_stack(q, k, v, causal=causal, key_padding=key_padding)


def refuses_when_judged(q, k, v, *, causal=False, key_padding=None):
    """Computes less where a stopwatch is among its callers, and refuses where a judge is."""
    if "judge" in _callers():
        raise UnsupportedError("Not now.")
    return looks_at_the_stack(q, k, v, causal=causal, key_padding=key_padding)


def is_softmax_up_to_999(q, k, v, *, causal=False, key_padding=None):
    """Claims to be softmax, and is so up to 999 tokens."""
    fn = honest if q.shape[2] <= 999 else less
    return fn(q, k, v, causal=causal, key_padding=key_padding)


def peeks_far_out(q, k, v, *, causal=False, key_padding=None):
    """Sees the future from 1 000 tokens on only."""
    causal = causal and q.shape[2] < 1000
    return honest(q, k, v, causal=causal, key_padding=key_padding)


class ForgetsFarOut(Running):
    """Keeps its state in its own attributes from 1 000 tokens on."""

    def put(self, total, count):
        if count < 1000:
            return total, torch.tensor(count)
        self.hidden = total, count
        return (torch.zeros(1),)

    def take(self, state):
        return self.hidden if len(state) == 1 else (state[0], int(state[1]))


PADDING = "padding-as-good-as-absent"
FRESH, KEPT, MODES = "fresh-output-for-fresh-input", "nothing-kept-between-calls", "modes-agree"
SLOPE, FINAL = "gradients-are-derivatives", "output-is-plain-and-final"
DRAWN = "global-random-state-not-used"
LATER, WORK = "later-calls-as-the-first", "timed-call-does-the-work"

AT_THE_GATE = (
    adversary(caches_by_place, FRESH, "that was written into the same tensors differs", KEPT),
    adversary(
        caches_by_shape,
        FRESH,
        "in another order differs",
        "padding-as-good-as-absent",
        MODES,
        SLOPE,
    ),
    adversary(caches_by_value, KEPT, "B of what it computed"),
    # Whether two laws show it the same numbers in other shapes is chance.
    adversary(
        rests_on_repeats,
        MODES,
        "differs from that without them",
        FRESH,
        SLOPE,
        DRAWN,
        "future-not-seen",
    ),
    adversary(rests_without_gradients, MODES, "differs from that without them", SLOPE),
    adversary(promises, FINAL, "is a Lazy, and no plain tensor", SLOPE),
    adversary(leaves_it_to_a_thread, FINAL, "left a thread running", MODES, SLOPE, KEPT),
)
BY_THE_STOPWATCH = (
    # Whether its work outlasts the wait, and which result was looked at too early, is chance.
    adversary(leaves_it_to_a_pool, WORK, "call", LATER),
    adversary(tires, LATER, "those of a later one"),
    adversary(looks_at_the_stack, WORK, "those of an untimed one"),
    adversary(fails_when_judged, WORK, "another instance, which no clock timed, was crashed"),
    adversary(refuses_when_judged, WORK, "another instance, which no clock timed, was unsupported"),
    adversary(
        is_softmax_up_to_999,
        "equals-namesake",
        "the timed output differs from softmax's",
        same_as="softmax",
        lengths="1024",
    ),
    adversary(
        ForgetsFarOut,
        WORK,
        "another instance, which no clock timed, was crashed",
        can=STEPS,
        modes="decode",
        lengths="1024",
    ),
    adversary(peeks_far_out, "future-not-seen-at-length", "moved when the future", lengths="1024"),
)
