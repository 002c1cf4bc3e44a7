"""Attention ready to be called: a method's feature map or attention function, built and guarded."""

import functools
from abc import ABC, abstractmethod
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import (
    AttentionModule,
    Calibrates,
    FeatureMap,
    Features,
    Heads,
    KeyPadding,
    Keys,
    Method,
    Outputs,
    Queries,
    Values,
)
from methods.core import capabilities
from methods.core.linear_attention import State, linear_attention, normaliser
from methods.core.one_token import attend_one_token
from methods.core.positive_features import PositiveFeatures
from methods.core.walked_features import WalkedFeatures


class BuiltAttention(torch.nn.Module, ABC):
    """`[b, h, t, d]` in and out. Asking for what the method does not declare raises."""

    def __init__(self, method: Method, heads: Heads) -> None:
        super().__init__()
        self.method = method
        self.heads = heads

    def forward(
        self,
        q: Queries,
        k: Keys,
        v: Values,
        *,
        causal: bool = False,
        key_padding: KeyPadding | None = None,
    ) -> Outputs:
        """Every query sees every unpadded key; if `causal`, those up to its own time."""
        self._require(q, k, v, causal, key_padding)
        return self._attend(q, k, v, causal, key_padding)

    def prefill(
        self, q: Queries, k: Keys, v: Values, *, key_padding: KeyPadding | None = None
    ) -> tuple[Outputs, Any]:
        """The causal outputs of a sequence's first part, and the state that `step` continues."""
        capabilities.require_stepwise(self.method)
        self._require(q, k, v, True, key_padding)
        return self._continue(q, k, v, key_padding, None)

    def step(self, q: Queries, k: Keys, v: Values, state: Any) -> tuple[Outputs, Any]:
        """The causal outputs of the next tokens, one or more, and the state after them."""
        capabilities.require_stepwise(self.method)
        self._require(q, k, v, True, None)
        return self._continue(q, k, v, None, state)

    def normaliser(
        self,
        q: Queries,
        k: Keys,
        *,
        causal: bool = False,
        key_padding: KeyPadding | None = None,
    ) -> Float[Tensor, "b h t"] | None:
        """What each row is divided by: zero where it collapsed, infinity where it sees no key.

        None for a method that is not a feature map.
        """
        del q, k, causal, key_padding
        return None

    @property
    def wants_calibration(self) -> bool:
        """Whether the method sets itself from training data; else the following do nothing."""
        return False

    def observe(self, q: Queries, k: Keys, *, key_padding: KeyPadding | None = None) -> None:
        """Let the method take note of one batch of whole sequences, before `settle`."""
        del q, k, key_padding

    def settle(self) -> None:
        """Let the method set itself from all that it observed, which it then forgets."""

    def calibrate(self, q: Queries, k: Keys, *, key_padding: KeyPadding | None = None) -> None:
        """Observe, and settle."""
        self.observe(q, k, key_padding=key_padding)
        self.settle()

    @abstractmethod
    def _attend(
        self, q: Queries, k: Keys, v: Values, causal: bool, key_padding: KeyPadding | None
    ) -> Outputs: ...

    @abstractmethod
    def _continue(
        self, q: Queries, k: Keys, v: Values, key_padding: KeyPadding | None, state: Any
    ) -> tuple[Outputs, Any]: ...

    def _require(
        self, q: Tensor, k: Tensor, v: Tensor, causal: bool, key_padding: KeyPadding | None
    ) -> None:
        method, heads = self.method, self.heads
        capabilities.require_direction(method, causal)
        capabilities.require_padding(method, key_padding)
        for x, num_heads in (
            (q, heads.num_heads),
            (k, heads.num_kv_heads),
            (v, heads.num_kv_heads),
        ):
            capabilities.require_tensor(method, x)
            if x.ndim != 4 or x.shape[1] != num_heads:
                raise ValueError(
                    f"{method.name} was built for {heads.num_heads} query heads and"
                    f" {heads.num_kv_heads} key-value heads in [batch, heads, time, dim];"
                    f" a tensor of shape {list(x.shape)} came."
                )
        capabilities.require_times(method, q.shape[2], k.shape[2], causal)


class KernelAttention(BuiltAttention):
    """A feature map in the linear-attention core."""

    def __init__(self, method: Method, heads: Heads, feature_map: FeatureMap) -> None:
        super().__init__(method, heads)
        self.feature_map = feature_map

    def normaliser(
        self,
        q: Queries,
        k: Keys,
        *,
        causal: bool = False,
        key_padding: KeyPadding | None = None,
    ) -> Float[Tensor, "b h t"]:
        self._require(q, k, k, causal, key_padding)
        with torch.autocast(q.device.type, enabled=False):
            queries, keys = self._features(self._fold(q), k)
            rows = normaliser(queries, keys, causal=causal, key_padding=key_padding)
        return rows.reshape(q.shape[:-1])

    @property
    def wants_calibration(self) -> bool:
        part = self.feature_map
        return isinstance(part, Calibrates) and part.wants_calibration

    def observe(self, q: Queries, k: Keys, *, key_padding: KeyPadding | None = None) -> None:
        part = self.feature_map
        if isinstance(part, Calibrates) and part.wants_calibration:
            part.observe(self._fold(q), k, key_padding)

    def settle(self) -> None:
        part = self.feature_map
        if isinstance(part, Calibrates) and part.wants_calibration:
            part.settle()

    def _attend(
        self, q: Queries, k: Keys, v: Values, causal: bool, key_padding: KeyPadding | None
    ) -> Outputs:
        return self._core(q, k, v, causal, key_padding, None)[0]

    def _continue(
        self, q: Queries, k: Keys, v: Values, key_padding: KeyPadding | None, state: State | None
    ) -> tuple[Outputs, State]:
        return self._core(q, k, v, True, key_padding, state)

    def _core(
        self,
        q: Queries,
        k: Keys,
        v: Values,
        causal: bool,
        key_padding: KeyPadding | None,
        state: State | None,
    ) -> tuple[Outputs, State]:
        shape = q.shape[:-1]
        # Features and sums keep float32 even where the model around them runs in half precision.
        with torch.autocast(q.device.type, enabled=False):
            if state is not None and k.shape[2] == 1 and key_padding is None:
                o, state = attend_one_token(*self._features(self._fold(q), k), v, state)
            else:
                rest = {"causal": causal, "key_padding": key_padding, "state": state}
                o, state = self._walk(self._fold(q), k, v, **rest)
        return o.reshape(*shape, v.shape[-1]), state

    def _walk(self, q: Tensor, k: Keys, v: Values, **rest: Any) -> tuple[Tensor, State]:
        if isinstance(self.feature_map, WalkedFeatures):
            return self.feature_map.attend(q, k, v, **rest)
        return linear_attention(*self._features(q, k), v, **rest)

    def _features(self, q: Tensor, k: Keys) -> tuple[Features, Features]:
        if isinstance(self.feature_map, PositiveFeatures):
            return self.feature_map.both(_wide(q), _wide(k))
        return self.feature_map.queries(_wide(q)), self.feature_map.keys(_wide(k))

    def _fold(self, q: Queries) -> Float[Tensor, "b g rt d"]:
        """Neighbouring query heads share a key-value head: their sequences, one after another."""
        return q.reshape(q.shape[0], self.heads.num_kv_heads, -1, q.shape[-1])


@runtime_checkable
class StepwiseAttention(Protocol):
    """An attention module that declares `stepwise` has these too."""

    def prefill(
        self, q: Queries, k: Keys, v: Values, *, key_padding: KeyPadding | None = None
    ) -> tuple[Outputs, Any]: ...

    def step(self, q: Queries, k: Keys, v: Values, state: Any) -> tuple[Outputs, Any]: ...


class DirectAttention(BuiltAttention):
    """An attention function or module as its author wrote it."""

    def __init__(self, method: Method, heads: Heads, attention: Any) -> None:
        super().__init__(method, heads)
        self.attention = attention

    def _attend(
        self, q: Queries, k: Keys, v: Values, causal: bool, key_padding: KeyPadding | None
    ) -> Outputs:
        return self.attention(q, k, v, causal=causal, key_padding=key_padding)

    def _continue(
        self, q: Queries, k: Keys, v: Values, key_padding: KeyPadding | None, state: Any
    ) -> tuple[Outputs, Any]:
        if not isinstance(self.attention, StepwiseAttention):
            raise TypeError(
                f"{self.method.name} declares stepwise but has no prefill and step."
                " Write them, or do not declare it."
            )
        if state is None:
            return self.attention.prefill(q, k, v, key_padding=key_padding)
        return self.attention.step(q, k, v, state)


def build_attention(
    method: Method, heads: Heads, generator: torch.Generator, **options: Any
) -> BuiltAttention:
    """A feature map or attention of these sizes, its random numbers drawn from `generator`."""
    capabilities.require_options(method, options)
    method = capabilities.under_options(method, options)
    capabilities.require_packages(method)
    capabilities.require_head_dim(method, heads)
    capabilities.require_grouping(method, heads)
    if method.feature_map is not None:
        return KernelAttention(method, heads, method.feature_map(heads, generator, **options))
    if method.attention is None:
        raise ValueError(
            f"{method.name} is a whole mixer and has no attention of its own: use build_mixer."
        )
    if isinstance(method.attention, type) and issubclass(method.attention, AttentionModule):
        return DirectAttention(method, heads, method.attention(heads, generator, **options))
    return DirectAttention(method, heads, functools.partial(method.attention, **options))


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
