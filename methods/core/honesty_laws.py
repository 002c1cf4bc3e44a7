"""The laws that a method breaks by deceit, or by a mistake that looks like it."""

import itertools
import random
import threading
from time import sleep

import numpy as np
import torch
from torch import Tensor

from methods.api import UnsupportedError
from methods.core.laws import LawBrokenError, require_close, way
from methods.core.memory_errors import is_out_of_memory
from methods.core.subject import SECRET, SPAN, Subject, cut, join

TIME = 33
PATIENCE = 0.02
"""Seconds in which work that was left for later shows."""
DRAWN_LENGTHS = 2


def future_not_seen_at_length(subject: Subject) -> None:
    """As `future-not-seen`, at lengths drawn anew each time, and at the longest that will come.

    Who fails at a length breaks the law. A length may be refused, by UnsupportedError or
    ValueError, if it is so in other shapes too: the trial is refused then as well. Where memory
    runs out nothing is known of the method, and the trial, which takes more, cannot be run.
    """
    longest = subject.longest or SPAN
    drawn = {SECRET.randint(2, max(2, min(longest, SPAN))) for _ in range(DRAWN_LENGTHS)}
    for length in sorted(drawn | {max(2, longest)}):
        # One head takes less memory than any trial of this length does.
        alone = length > SPAN and subject.method.mixer is None
        heads = subject.heads(1, grouped=False) if alone else None
        run = subject.build(True, heads=heads, trained=True)
        now = SECRET.randint(length // 2, length - 1)
        inputs, other = (subject.inputs(length, seed=seed, batch=1) for seed in (1, 2))
        if alone:
            inputs, other = (tuple(x[:, :1] for x in given) for given in (inputs, other))
        changed = join(cut(inputs, 0, now), cut(other, now, length))
        with torch.no_grad():
            try:
                before, after = (run(x)[..., :now, :] for x in (inputs, changed))
            except (UnsupportedError, ValueError) as error:
                _require_refused(subject, length, error)
                continue
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                raise MemoryError(f"One sequence of {length} tokens: {error}") from error
        require_close(
            after,
            before,
            f"of {length} tokens, the output at times before {now} moved when the future changed,",
        )


def _require_refused(subject: Subject, length: int, error: Exception) -> None:
    """Two sequences and all heads are refused as well: the limit is one of length."""
    try:
        with torch.no_grad():
            subject.build(True)(subject.inputs(length))
    except (UnsupportedError, ValueError):
        return
    raise LawBrokenError(f"{length} tokens are refused in one shape only: {error}")


def modes_agree(subject: Subject) -> None:
    """Trained or tested, with gradients or without, it is the same, and its inputs stay as they
    were."""
    for causal in subject.directions:
        run, time = subject.build(causal, trained=True), subject.some_time()
        inputs = subject.inputs(time)
        kept = [x.clone() for x in inputs]
        with torch.no_grad():
            expected = run(inputs)
        for training in (False, True):
            run.module.train(training)
            leaves = tuple(x.clone().requires_grad_() for x in inputs)
            o = run(leaves)
            if o.requires_grad:
                o.sum().backward()  # type: ignore[no-untyped-call]
            what = (
                f"{way(causal)} output of {time} tokens in {'train' if training else 'eval'} mode"
            )
            require_close(o, expected, f"{what} with gradients differs from that without them")
            with torch.no_grad():
                require_close(run(inputs), expected, f"{what} differs from that in eval mode")
            for given in (leaves, inputs):
                if not all(map(torch.equal, given, kept)):
                    raise LawBrokenError(f"the {what} came with a write to its inputs.")


def global_random_state_not_used(subject: Subject) -> None:
    """Whatever is drawn comes from the generator that was handed in when it was built."""
    run, inputs = subject.build(subject.directions[0]), subject.inputs(TIME)
    run.module.train()
    outputs, python, numpy = [], random.getstate(), np.random.get_state()
    for seed in (1, 2):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        before = _random_states(subject.device)
        outputs.append(run(inputs))
        if _random_states(subject.device) != before:
            raise LawBrokenError("a call drew from torch's global generator, or seeded it.")
    random.setstate(python)
    np.random.set_state(numpy)
    require_close(outputs[1], outputs[0], "the output moved with the seed of global generators,")


def _random_states(device: str) -> list[bytes]:
    states = [torch.get_rng_state()]
    if device != "cpu":
        states.append(torch.cuda.get_rng_state(device))
    return [state.numpy().tobytes() for state in states]


def output_is_plain_and_final(subject: Subject) -> None:
    """The result is a tensor of its own, with its numbers in it: no promise, no view, no thread
    that is still to fill it."""
    before = set(threading.enumerate())
    given: list[tuple[str, Tensor, Tensor]] = []
    for causal, time in itertools.product(subject.directions, (TIME, subject.some_time())):
        inputs = subject.inputs(time)
        with torch.no_grad():
            o = subject.build(causal)(inputs)
        what = f"the {way(causal)} output of {time} tokens"
        if type(o) is not Tensor or o.layout != torch.strided:
            raise LawBrokenError(f"{what} is a {type(o).__name__}, and no plain tensor.")
        given.append((what, o, o.clone()))
        if any(_storage(x) == _storage(o) for x in inputs):
            raise LawBrokenError(f"{what} is a view of an input: a write to one changes both.")
    if left := [t.name for t in set(threading.enumerate()) - before if t.is_alive()]:
        raise LawBrokenError(f"a call left a thread running: {', '.join(left)}.")
    sleep(PATIENCE)
    for what, o, kept in given:
        if not torch.equal(o.nan_to_num(), kept.nan_to_num()):
            raise LawBrokenError(f"{what} changed after the call had returned.")


def _storage(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()
