"""A layer of a transformers cache that keeps a method's state instead of keys and values."""

import functools
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from methods.api import Keys, UnsupportedError, Values
from methods.core.multihead import tensors
from methods.core.pretrained_interface import ATTENTION, CONTINUED, LAYER, Continuation


class RecurrentState:
    """The state of one layer, of a size that does not grow with time.

    `update` hands keys and values through, and leaves word on the attention module, which is called
    next and goes on from the state. transformers finds its own base class behind this one.
    """

    is_compileable = False
    is_croppable = False
    is_sliding = False
    supports_early_init = False

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        # A copy of the cache must not be one of the model.
        self._module = weakref.ref(module)
        self._continuation = Continuation()
        self._seen = 0

    @property
    def state(self) -> Any:
        """As the method's `prefill` and `step` return it; None before the first token."""
        return self._continuation.state

    def update(self, keys: Keys, values: Values, *args: Any, **given: Any) -> tuple[Keys, Values]:
        """Takes note of the next tokens, and keeps none of them."""
        del args, given
        module = self._module()
        if module is None or ATTENTION not in module._modules:
            raise UnsupportedError(
                "The layer that this cache was made for is swapped no more. Make a new cache."
            )
        self._seen += keys.shape[2]
        window = module.__dict__[LAYER].window
        if window is not None and self._seen > window:
            raise UnsupportedError(
                f"This layer sees the last {window} tokens only, and {self._seen} came."
            )
        self._continuation.fresh = keys
        setattr(module, CONTINUED, self._continuation)
        return keys, values

    def lazy_initialization(self, keys: Keys, values: Values) -> None:
        """There is nothing to make ready."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """As if all keys were there: the mask tells which of the next tokens are padding."""
        return self._seen + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens so far."""
        return self._seen

    def get_max_length(self) -> int:
        """No bound."""
        return -1

    def reset(self) -> None:
        """Begin anew."""
        self._continuation = Continuation()
        self._seen = 0

    def crop(self, tokens_to_remove: int) -> None:
        """A state cannot forget its last tokens."""
        if tokens_to_remove:
            raise UnsupportedError("A recurrent state cannot forget tokens. Use the default cache.")

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """The states of these examples, as beam search asks."""
        self._each(lambda x: x.index_select(0, beam_idx.to(x.device)))

    def batch_select_indices(self, indices: Tensor) -> None:
        """The states of these examples alone."""
        self._each(lambda x: x[indices])

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Each example so many times."""
        self._each(lambda x: x.repeat_interleave(repeats, 0))

    def _each(self, change: Callable[[Tensor], Tensor]) -> None:
        if len({x.shape[:1] for x in tensors(self.state)}) > 1:
            raise UnsupportedError(
                "This method's state holds more than one entry for each example of a batch, and"
                " cannot be reordered. Use the default cache."
            )
        self._continuation.state = _mapped(self.state, change)


@functools.cache
def layer_class() -> type:
    """RecurrentState as one of transformers' own layers."""
    from transformers.cache_utils import CacheLayerMixin

    return type("RecurrentLayer", (RecurrentState, CacheLayerMixin), {})


def _mapped(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same tuples, lists and dicts around changed tensors."""
    if isinstance(state, Tensor):
        return change(state)
    if isinstance(state, dict):
        return {name: _mapped(part, change) for name, part in state.items()}
    if isinstance(state, tuple | list):
        parts = [_mapped(part, change) for part in state]
        return type(state)(*parts) if type(state) not in (tuple, list) else type(state)(parts)
    return state
