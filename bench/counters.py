"""What a call costs on paper: operations, exponentials, bytes moved, attention kernels.

Conventions, stated once. Only matrix products, convolutions and fused attention count, 2 for a
multiply-add, as in every published count; elementwise work, reductions and softmax do not. A fused
attention kernel counts as torch counts it: 2 B H T S (d + v) forward, the whole rectangle even when
causal, so that it equals the same mathematics written out; backward 2.5 times that, where attention
written out has twice, because the kernel computes the scores again. What a causal kernel leaves out
of the rectangle stands apart, in `masked_flops`; `analytic_attention_flops` halves it.
"""

import functools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from methods.core.storages import Seen, bytes_alive, note, storages, written_to

TORCH_OPERATIONS = "torch operations"
"""The kernel of a method that is written in ordinary tensor operations."""

_aten = torch.ops.aten
_TORCH_NAMESPACES = frozenset({"aten", "prims", "prim", "rngprims", "profiler", "c10d", "fsdp"})
_ATTENTION_WORDS = ("scaled_dot_product", "flash", "efficient_attention", "flex_attention")
_FREE = re.compile(
    r"(new_)?empty(_like|_strided)?|_unsafe_view|_fused_sdp_choice|device|layout"
    r"|(sym_)?(size|stride|numel|storage_offset|is_contiguous)|dim|is_same_size"
)
"""They read and write no element, whatever their schema says."""
_SHAPED = re.compile(r"new_\w+|\w+_like")
"""They read no element of the tensor whose shape they take."""
_EXPONENTIAL = frozenset(
    {"exp", "exp2", "expm1", "sigmoid", "silu", "softplus", "tanh", "elu", "mish", "logaddexp"}
    | {"_softmax", "_log_softmax", "_safe_softmax", "logsumexp", "logcumsumexp", "log_sigmoid"}
)
"""Operations that take an exponential of each element; an in-place form ends in one more `_`."""
_UNKNOWN_WORDS = ("linalg_", "_fft_", "_cdist", "rnn", "lstm", "gru", "_int_mm", "grouped_mm")
"""Parts of names of torch's own operations that do matrix-like work without a formula here."""
_ELEMENTWISE = frozenset({"linalg_vector_norm"})
"""They have such a part in their name and do no such work."""
_TABLES = 0.01
"""Of the bytes moved, the share below which what came from outside is taken for constants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one call did, forward and backward if it ran both."""

    flops: int
    masked_flops: int
    """Of `flops`, the half that fused causal attention need not compute."""
    exps: int
    """Exponentials, those within softmax, sigmoid and fused attention too; the latter takes them
    anew backward, and if causal half of them."""
    bytes_moved: int
    """Tensors in and out of every operation that is not a view: an upper bound, without any cache
    or fusion. A broadcast tensor counts as it lies in memory; a lookup counts its whole table."""
    kernels: tuple[str, ...]
    """Attention kernels in the order first seen; a backward goes by its forward's name."""
    blind: tuple[str, ...]
    """Operations whose work `flops` lacks: where there are any, an analytic count is needed."""
    outside: bool
    """Whether work was done past torch's dispatcher, so that no other count tells of the call."""


def count_call(fn: Callable[[], object], inputs: Sequence[Tensor] = ()) -> Counts:
    """Run `fn` once, eagerly, and count every operation that reaches torch's dispatcher.

    What works past the dispatcher (numpy, an extension without registered operations, a bare Triton
    kernel) cannot be seen, but it leaves a trace: contents that no operation wrote, or `inputs` of
    which none read anything.
    """
    tally = _Tally()
    with tally:
        result = fn()
    tally.trace.read(result)
    del result
    from_outside = tally.trace.bytes_from_outside()
    outside = from_outside > _TABLES * tally.bytes_moved or not tally.trace.reached(inputs)
    return Counts(
        flops=tally.flops,
        masked_flops=tally.masked_flops,
        exps=tally.exps,
        bytes_moved=tally.bytes_moved,
        kernels=tuple(tally.kernels) or (() if outside else (TORCH_OPERATIONS,)),
        blind=tuple(tally.blind),
        outside=outside,
    )


class _Trace:
    """Which contents operations read and wrote."""

    def __init__(self) -> None:
        self._written: dict[int, Seen] = {}
        self._found: dict[int, Seen] = {}
        self._read: set[int] = set()

    def follow(self, func: Any, name: str, args: Any, kwargs: dict[str, Any], out: Any) -> None:
        """What this operation, no view, does to the contents of its tensors."""
        into = written_to(func, args, kwargs)
        if kwargs.get("beta") == 0:
            # What is multiplied by nothing may have been left empty.
            into.append(args[0])
        if not _SHAPED.fullmatch(name):
            over = {id(x) for x in pytree.tree_leaves(into)}
            self.read([x for x in pytree.tree_leaves((args, kwargs)) if id(x) not in over])
        note(self._written, storages((out, into)))

    def read(self, tree: object) -> None:
        """The contents of its tensors are looked at."""
        self._read.update(x._cdata for x in storages(tree))
        note(self._found, storages(tree), apart_from=self._written)

    def bytes_from_outside(self) -> int:
        """Bytes that were read, though no operation had written them, and are gone by now: what was
        there before the call is there after it."""
        return sum(x.num_bytes for x in self._found.values()) - bytes_alive(self._found)

    def reached(self, inputs: Sequence[Tensor]) -> bool:
        """Whether any of these was read; there may be none."""
        return not inputs or any(x._cdata in self._read for x in storages(inputs))


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation below autograd, so a backward pass is counted by what it runs."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0
        self.masked_flops = 0
        self.exps = 0
        self.bytes_moved = 0
        self.kernels: dict[str, None] = {}
        self.blind: dict[str, None] = {}
        self.trace = _Trace()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        formula = _formulas().get(getattr(func, "overloadpacket", func))
        if formula is None and isinstance(func, torch._ops.OpOverload):
            # In inference mode composite operations arrive whole.
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        name = func.name().split("::")[-1].split(".")[0]
        work = 0 if formula is None else int(formula(*args, **kwargs, out_val=out))
        self.flops += work
        if name.removesuffix("_") in _EXPONENTIAL:
            self.exps += max(_numel(args[0]), _numel(out))
        elif "scaled_dot_product" in name:
            self._note_fused(func, args, kwargs, work)
        self._note(func.namespace, name, known=formula is not None)
        if not _FREE.fullmatch(name) and not getattr(func, "is_view", False):
            # A tensor to write into comes back as the result: it is written once and not read.
            read = {k: v for k, v in kwargs.items() if k != "out"}
            self.bytes_moved += sum(map(_num_bytes, pytree.tree_leaves((args, read, out))))
            self.trace.follow(func, name, args, kwargs, out)
        return out

    def _note_fused(self, func: Any, args: Any, kwargs: dict[str, Any], work: int) -> None:
        given = {
            a.name: args[i] if i < len(args) else kwargs.get(a.name, a.default_value)
            for i, a in enumerate(func._schema.arguments)
        }
        if "query" not in given:
            return
        (*batch, query_time, _), key_time = given["query"].shape, given["key"].shape[-2]
        scores = math.prod(batch) * query_time * key_time
        if given.get("is_causal"):
            self.masked_flops += work // 2
            scores //= 2
        self.exps += scores

    def _note(self, namespace: str, name: str, *, known: bool) -> None:
        foreign = namespace not in _TORCH_NAMESPACES
        attention = any(word in name for word in _ATTENTION_WORDS)
        if foreign or attention:
            self.kernels[f"{namespace}.{name}".removesuffix("_backward")] = None
        unknown = name not in _ELEMENTWISE and any(word in name for word in _UNKNOWN_WORDS)
        if not known and (foreign or attention or unknown):
            self.blind[f"{namespace}.{name}"] = None


def _num_bytes(leaf: object) -> int:
    if not isinstance(leaf, Tensor):
        return 0
    return min(leaf.numel() * leaf.element_size(), leaf.untyped_storage().nbytes())


def _numel(leaf: object) -> int:
    return leaf.numel() if isinstance(leaf, Tensor) else 0


@functools.cache
def _formulas() -> dict[Any, Callable[..., int]]:
    """Torch's formulas, and ours for what it does not know."""
    ours = {
        _aten.mv: _product(0),
        _aten.addmv: _product(1),
        _aten.dot: _product(0),
        _aten.vdot: _product(0),
        _aten.addbmm: _product(1),
        _aten._int_mm: _product(0),
        _aten._addmm_activation: _product(1),
    }
    for name in ("addmm", "baddbmm", "addmv", "addbmm"):
        # Writing into the sum is another operation to the dispatcher, and the same work.
        ours[getattr(_aten, f"{name}_")] = _product(1)
    fused = flop_registry[_aten._scaled_dot_product_flash_attention]
    fused_backward = flop_registry[_aten._scaled_dot_product_flash_attention_backward]
    for name in ("flash_attention_for_cpu", "fused_attention_overrideable"):
        ours[getattr(_aten, f"_scaled_dot_product_{name}")] = fused
        ours[getattr(_aten, f"_scaled_dot_product_{name}_backward")] = fused_backward
    return {**flop_registry, **ours}


def _product(left: int) -> Callable[..., int]:
    """The work of a product whose left factor is argument `left`, its right factor the next."""

    def work(*args: Tensor, **_: object) -> int:
        right = args[left + 1]
        return 2 * args[left].numel() * (right.shape[-1] if right.dim() > 1 else 1)

    return work


def analytic_attention_flops(
    kind: Literal["exact", "linear"],
    *,
    batch: int,
    heads: int,
    query_time: int,
    key_time: int,
    head_dim: int,
    value_dim: int,
    num_features: int = 0,
    causal: bool = False,
    chunk: int = 0,
    backward: bool = False,
) -> int:
    """Attention alone, by its formula, for kernels whose work cannot be counted.

    exact: 2 B H T S (d + v), half of it if causal. linear, with m features: 2 d m to project each
    query and each key, 2 m v to write each key into the state, 2 m v to read it for each query, and
    if causal in chunks of c another c (m + v) a query within its chunk. `backward` adds the
    backward pass: 2.5 times the forward where the scores are computed again (exact), twice where
    each product has two gradients (linear). To stand beside a counted causal call, which is never
    halved, ask for `causal=False`.
    """
    if kind == "exact":
        forward = 2 * batch * heads * query_time * key_time * (head_dim + value_dim)
        forward = forward // 2 if causal else forward
        return forward + (forward * 5 // 2 if backward else 0)
    if num_features < 1:
        raise ValueError(
            f"linear attention needs num_features of 1 or more to be counted, got {num_features}."
        )
    within_chunk = chunk * (num_features + value_dim) if causal else 0
    a_token = 2 * num_features * (head_dim + value_dim)
    forward = batch * heads * ((query_time + key_time) * a_token + query_time * within_chunk)
    return forward * (3 if backward else 1)
