"""The laws of a method that continues a sequence with a state."""

import torch

from methods.core.laws import LawBrokenError, require_close
from methods.core.multihead import state_bytes
from methods.core.subject import Subject, cut


def stepping_equals_whole(subject: Subject) -> None:
    """A prefix, then one token at a time."""
    _continues(subject, (9, *(1,) * 24), "stepping token by token")
    _continues(subject, (1, 1, 1), "stepping from the first token on")


def segments_equal_whole(subject: Subject) -> None:
    """A sequence continued in segments of any length gives what the whole gives."""
    _continues(subject, (7, 1, 16, 9), "going on in segments")
    _continues(subject, (130, 31), "going on after a long segment")


def _continues(subject: Subject, segments: tuple[int, ...], what: str) -> None:
    run = subject.build(True, trained=True)
    inputs = subject.inputs(sum(segments))
    o, state = run.prefill(cut(inputs, 0, segments[0]))
    outputs, start = [o], segments[0]
    for length in segments[1:]:
        o, state = run.step(cut(inputs, start, start + length), state)
        outputs.append(o)
        start += length
    require_close(torch.cat(outputs, -2), run(inputs), f"{what} differs from the whole")


def state_size_constant(subject: Subject) -> None:
    """The state weighs the same after one token and after many."""
    run = subject.build(True)
    sizes = {}
    for time in (1, 33, 161):
        _, state = run.prefill(subject.inputs(time))
        sizes[time] = state_bytes(state)
    _, state = run.step(subject.inputs(7), state)
    sizes[168] = state_bytes(state)
    if len(set(sizes.values())) > 1:
        grown = ", ".join(f"{size} B after {time}" for time, size in sizes.items())
        raise LawBrokenError(f"the decoding state grows with time: {grown} tokens.")
