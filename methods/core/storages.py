"""Which tensors' storages operations use, make and write to."""

from collections.abc import Container, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, UntypedStorage
from torch._ops import OpOverload
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Seen(NamedTuple):
    """A storage that is not kept alive; the reference keeps its number from another one."""

    ref: StorageWeakRef
    num_bytes: int


class Watch(TorchDispatchMode):
    """Sees every storage that operations use while it is entered, and keeps none of them alive."""

    supports_higher_order_operators = True

    def __init__(self, *, saves: bool = False) -> None:
        """`saves`: copy what was there before it is first written to, for `undo`."""
        super().__init__()
        self._saves = saves
        self._made: dict[int, Seen] = {}
        self._found: dict[int, Seen] = {}
        self._before: dict[int, tuple[UntypedStorage, UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        kwargs = kwargs or {}
        # What was made of plain numbers comes into being as an argument of this one.
        if func is not torch.ops.aten.lift_fresh.default:
            note(self._found, storages((args, kwargs)), apart_from=self._made)
        if self._saves:
            for storage in storages(written_to(func, args, kwargs)):
                if storage._cdata in self._found and storage._cdata not in self._before:
                    self._before[storage._cdata] = storage, storage.clone()
        out = func(*args, **kwargs)
        note(self._made, storages(out), apart_from=self._found)
        return out

    def undo(self) -> None:
        """Put back what was written over."""
        for storage, before in self._before.values():
            storage.copy_(before)

    def made(self, *, apart_from: Iterable[UntypedStorage] = ()) -> int:
        """Bytes that were made here and are still there."""
        return bytes_alive(self._made, apart_from)

    def found(self, *, apart_from: Iterable[UntypedStorage] = ()) -> int:
        """Bytes that were there before, were used, and are still there."""
        return bytes_alive(self._found, apart_from)


def storages(tree: Any) -> Iterator[UntypedStorage]:
    """Of every tensor in it."""
    return (x.untyped_storage() for x in tree_leaves(tree) if isinstance(x, Tensor))


def written_to(func: Any, args: Any, kwargs: Any) -> list[Any]:
    """The arguments that an operation says it writes to."""
    declared = enumerate(func._schema.arguments if isinstance(func, OpOverload) else ())
    names = {x for i, a in declared if a.alias_info and a.alias_info.is_write for x in (i, a.name)}
    return [x for name, x in (*enumerate(args), *kwargs.items()) if name in names]


def note(
    seen: dict[int, Seen], found: Iterable[UntypedStorage], *, apart_from: Container[int] = ()
) -> None:
    """Puts those found with the others, but for these numbers."""
    for x in found:
        if x._cdata not in seen and x._cdata not in apart_from:
            seen[x._cdata] = Seen(StorageWeakRef(x), x.nbytes())


def bytes_alive(seen: dict[int, Seen], apart_from: Iterable[UntypedStorage] = ()) -> int:
    """Bytes of those that are still there."""
    known = {x._cdata for x in apart_from}
    return sum(
        x.num_bytes for number, x in seen.items() if number not in known and not x.ref.expired()
    )
