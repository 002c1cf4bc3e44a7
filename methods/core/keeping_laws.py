"""The laws about what a method keeps between calls: nothing, but for what its state reports."""

import copy
import gc
from typing import Any

import torch

from methods.core.laws import LawBrokenError, require_close, way
from methods.core.multihead import state_bytes, tensors
from methods.core.storages import Watch, storages
from methods.core.subject import SECRET, Subject, cut

HELD = 2
"""How many times its own size a state may keep alive: its parts may be views of one whole."""
MOST_STEPPED = 16
"""Some go on token by token, whatever they are given."""


def nothing_kept_between_calls(subject: Subject) -> None:
    """When the output of a second call is dropped, no tensor that was made in it is left.

    The first call may keep what it likes, such as a mask for its length. A result that is kept to
    be given out again would make the time of a call a lie.
    """
    for causal in subject.directions:
        run, time = subject.build(causal), subject.some_time()
        for _ in range(2):
            with torch.no_grad(), Watch() as watch:
                o = run(subject.inputs(time, seed=_unseen()))
            del o
        if kept := _left(watch):
            raise LawBrokenError(
                f"a {way(causal)} call kept {kept} B of what it computed, after its output was"
                " dropped."
            )


def state_is_all_that_is_kept(subject: Subject) -> None:
    """What decoding goes on from is in the tensors of its state, whose size is recorded: they are
    all that stays of a call, and another instance goes on from a copy of them, whatever else the
    call wrote to being put back as it was."""
    run, time = subject.build(True), subject.some_time()
    prefix = time - SECRET.randint(1, min(MOST_STEPPED, time // 2))
    with torch.no_grad():
        for _ in range(2):
            with Watch() as watch:
                o, state = run.prefill(subject.inputs(time, seed=_unseen()))
        if kept := _left(watch, list(tensors((o, state)))):
            raise LawBrokenError(f"prefill kept {kept} B that its state does not report.")
        held = {x.untyped_storage()._cdata: x.untyped_storage().nbytes() for x in tensors(state)}
        if sum(held.values()) > HELD * state_bytes(state):
            raise LawBrokenError(
                f"the state of {state_bytes(state)} B is a view of {sum(held.values())} B, which"
                " stay as long as it does: make a copy."
            )
        inputs = subject.inputs(time)
        with Watch(saves=True) as watch:
            _, state = run.prefill(cut(inputs, 0, prefix))
        state = copy.deepcopy(state)
        watch.undo()
        run.prefill(subject.inputs(prefix, seed=2))
        o, _ = subject.build(True).step(cut(inputs, prefix, time), state)
        require_close(
            o,
            run(inputs)[..., prefix:, :],
            f"going on elsewhere from a copy of the state after {prefix} tokens differs",
        )


def _unseen() -> int:
    """A seed of inputs that no other law has shown: what they gave may be kept already."""
    return SECRET.getrandbits(62)


def _left(watch: Watch, reported: Any = ()) -> int:
    """Bytes that were made and are alive, those of the reported tensors apart."""
    if watch.made(apart_from=storages(reported)):
        # What refers to itself in a circle goes with the next collection.
        gc.collect()
    return watch.made(apart_from=storages(reported))
