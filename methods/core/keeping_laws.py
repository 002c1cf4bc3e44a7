"""The laws about what a method keeps between calls: nothing, but for what its state reports."""

import copy
import gc
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from methods.core.laws import LawBrokenError, require_close, way
from methods.core.multihead import state_bytes, tensors
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
        for first in (True, False):
            with torch.no_grad(), _Making() as making:
                o = run(subject.inputs(time, seed=_unseen()))
            del o
            if first:
                known = making.alive()
        if kept := _left(making, known):
            raise LawBrokenError(
                f"a {way(causal)} call kept {kept} B of what it computed, after its output was"
                " dropped."
            )


def state_is_all_that_is_kept(subject: Subject) -> None:
    """What decoding goes on from is in the tensors of its state, whose size is recorded: they are
    all that stays of a call, and another instance goes on from a copy of them."""
    run, time = subject.build(True), subject.some_time()
    prefix = time - SECRET.randint(1, min(MOST_STEPPED, time // 2))
    with torch.no_grad():
        for first in (True, False):
            with _Making() as making:
                o, state = run.prefill(subject.inputs(time, seed=_unseen()))
            if first:
                del o, state
                known = making.alive()
        reported = {x.untyped_storage()._cdata for x in tensors((o, state))}
        if kept := _left(making, known | reported):
            raise LawBrokenError(f"prefill kept {kept} B that its state does not report.")
        held = {x.untyped_storage()._cdata: x.untyped_storage().nbytes() for x in tensors(state)}
        if sum(held.values()) > HELD * state_bytes(state):
            raise LawBrokenError(
                f"the state of {state_bytes(state)} B is a view of {sum(held.values())} B, which"
                " stay as long as it does: make a copy."
            )
        inputs = subject.inputs(time)
        _, state = run.prefill(cut(inputs, 0, prefix))
        run.prefill(subject.inputs(prefix, seed=2))
        o, _ = subject.build(True).step(cut(inputs, prefix, time), copy.deepcopy(state))
        require_close(
            o,
            run(inputs)[..., prefix:, :],
            f"going on elsewhere from a copy of the state after {prefix} tokens differs",
        )


def _unseen() -> int:
    """A seed of inputs that no other law has shown: what they gave may be kept already."""
    return SECRET.getrandbits(62)


class _Making(TorchDispatchMode):
    """Sees every storage that is made while it is entered, and keeps none of them alive."""

    def __init__(self) -> None:
        super().__init__()
        # A weak reference keeps its number from being given to another storage.
        self._made: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, Tensor):
                storage = x.untyped_storage()
                if storage._cdata not in self._made:
                    self._made[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        return out

    def alive(self) -> set[int]:
        """The numbers of those that are still there."""
        return {number for number, (ref, _) in self._made.items() if not ref.expired()}

    def num_bytes(self, numbers: set[int]) -> int:
        return sum(self._made[number][1] for number in numbers)


def _left(making: _Making, known: set[int]) -> int:
    """Bytes of the storages made that are alive, the known ones apart."""
    if making.alive() - known:
        # What refers to itself in a circle goes with the next collection.
        gc.collect()
    return making.num_bytes(making.alive() - known)
