"""A token mixer from any method: projections around an attention, or the method's own mixer."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from methods.api import Heads, KeyPadding, Method, Mixer
from methods.core import capabilities
from methods.core.attention import BuiltAttention, build_attention
from methods.core.weights import glorot

Tokens = Float[Tensor, "b t e"]


class BuiltMixer(Mixer, ABC):
    """`[b, t, e]` in and out, causal or not once and for all."""

    @abstractmethod
    def prefill(self, x: Tokens, *, key_padding: KeyPadding | None = None) -> tuple[Tokens, Any]:
        """The outputs of a sequence's first part, and the state that `step` continues."""

    @abstractmethod
    def step(self, x: Tokens, state: Any) -> tuple[Tokens, Any]:
        """The outputs of the next tokens, one or more, and the state after them."""


class MultiHeadMixer(BuiltMixer):
    """Queries, keys, values and outputs projected without bias around an attention."""

    def __init__(
        self,
        attention: BuiltAttention,
        *,
        d_model: int,
        causal: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        heads = attention.heads
        qkv_dim, kv_dim = heads.num_heads * heads.head_dim, heads.num_kv_heads * heads.head_dim
        self.attention = attention
        self.causal = causal
        self.q_proj = glorot(d_model, qkv_dim, generator)
        self.k_proj = glorot(d_model, kv_dim, generator)
        self.v_proj = glorot(d_model, kv_dim, generator)
        self.o_proj = glorot(qkv_dim, d_model, generator)

    def forward(self, x: Tokens, *, key_padding: KeyPadding | None = None) -> Tokens:
        o = self.attention(*self.project(x), causal=self.causal, key_padding=key_padding)
        return self._join(o)

    def prefill(self, x: Tokens, *, key_padding: KeyPadding | None = None) -> tuple[Tokens, Any]:
        o, state = self.attention.prefill(*self.project(x), key_padding=key_padding)
        return self._join(o), state

    def step(self, x: Tokens, state: Any) -> tuple[Tokens, Any]:
        o, state = self.attention.step(*self.project(x), state)
        return self._join(o), state

    def project(
        self, x: Tokens
    ) -> tuple[Float[Tensor, "b h t d"], Float[Tensor, "b g t d"], Float[Tensor, "b g t d"]]:
        """The queries, keys and values that the attention is given."""
        dim = self.attention.heads.head_dim
        q, k, v = (
            proj(x).unflatten(-1, (-1, dim)).transpose(1, 2)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        return q, k, v

    def _join(self, o: Float[Tensor, "b h t d"]) -> Tokens:
        return self.o_proj(o.transpose(1, 2).flatten(2))


@runtime_checkable
class StepwiseMixer(Protocol):
    """A mixer that declares `stepwise` has these too."""

    def prefill(
        self, x: Tokens, *, key_padding: KeyPadding | None = None
    ) -> tuple[Tokens, Any]: ...

    def step(self, x: Tokens, state: Any) -> tuple[Tokens, Any]: ...


class GuardedMixer(BuiltMixer):
    """A method's own mixer. Asking for what the method does not declare raises."""

    def __init__(self, method: Method, mixer: Mixer) -> None:
        super().__init__()
        self.method = method
        self.mixer = mixer

    def forward(self, x: Tokens, *, key_padding: KeyPadding | None = None) -> Tokens:
        capabilities.require_padding(self.method, key_padding)
        capabilities.require_tensor(self.method, x)
        return self.mixer(x, key_padding=key_padding)

    def prefill(self, x: Tokens, *, key_padding: KeyPadding | None = None) -> tuple[Tokens, Any]:
        capabilities.require_padding(self.method, key_padding)
        return self._stepwise().prefill(x, key_padding=key_padding)

    def step(self, x: Tokens, state: Any) -> tuple[Tokens, Any]:
        return self._stepwise().step(x, state)

    def _stepwise(self) -> StepwiseMixer:
        capabilities.require_stepwise(self.method)
        if not isinstance(self.mixer, StepwiseMixer):
            raise TypeError(
                f"{self.method.name} declares stepwise but has no prefill and step."
                " Write them, or do not declare it."
            )
        return self.mixer


def build_mixer(
    method: Method,
    *,
    d_model: int,
    qkv_dim: int,
    heads: Heads,
    causal: bool,
    generator: torch.Generator,
    **options: Any,
) -> BuiltMixer:
    """The method as a token mixer of these sizes, all its weights drawn from `generator`.

    What the method draws for itself comes from a generator of its own, so that methods of one seed
    start from the same projections and leave the same numbers to whatever is drawn after them.
    """
    capabilities.require_direction(method, causal)
    if qkv_dim != heads.num_heads * heads.head_dim:
        raise ValueError(
            f"qkv_dim is {qkv_dim}, but {heads.num_heads} heads of {heads.head_dim} make"
            f" {heads.num_heads * heads.head_dim}."
        )
    own = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=generator)))
    if method.mixer is None:
        attention = build_attention(method, heads, own, **options)
        return MultiHeadMixer(attention, d_model=d_model, causal=causal, generator=generator)
    capabilities.require_options(method, options)
    method = capabilities.under_options(method, options)
    capabilities.require_packages(method)
    capabilities.require_head_dim(method, heads)
    capabilities.require_grouping(method, heads)
    return GuardedMixer(method, method.mixer(d_model, heads, own, causal=causal, **options))


def state_bytes(state: Any) -> int:
    """The size of a decoding state, counted from its tensors."""
    return sum(x.numel() * x.element_size() for x in tensors(state))


def tensors(state: Any) -> Iterator[Tensor]:
    """Every tensor of a state made of tuples, lists and dicts."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for part in state.values():
            yield from tensors(part)
    elif isinstance(state, tuple | list):
        for part in state:
            yield from tensors(part)
