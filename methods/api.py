"""What the author of a method imports: shapes, capabilities, the three rungs and `Method`.

Layout is always `[batch, heads, time, dim]`. Einsum letters: b batch, h query heads, g key-value
heads, t query time, s key time, d head dimension, v value dimension, f features.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Queries = Float[Tensor, "b h t d"]
Keys = Float[Tensor, "b g s d"]
Values = Float[Tensor, "b g s v"]
Outputs = Float[Tensor, "b h t v"]
KeyPadding = Bool[Tensor, "b s"]
"""True where there is no key."""


class UnsupportedError(Exception):
    """A capability that the method does not declare was asked of it."""


class MissingDependencyError(Exception):
    """A package that the method needs is not installed; the message holds the install command."""


class Features(NamedTuple):
    """phi(x) = values * exp(log_scale): the scale apart, so that it never overflows."""

    values: Float[Tensor, "b g t f"]
    log_scale: Float[Tensor, "b g t"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """The sizes a method is built for."""

    num_heads: int
    head_dim: int
    num_kv_heads: int
    """Fewer than `num_heads` in grouped-query attention, and a divisor of it."""
    max_time: int
    """The longest sequence that will come; only methods with weights per position use it."""


class FeatureMap(torch.nn.Module, ABC):
    """A kernel as an inner product: k(q, x) = E[phi_q(q) . phi_k(x)].

    Built as `cls(heads, generator, **options)`. Tensors come with `num_kv_heads` heads: the core
    folds the query heads that share a key-value head into time. Inputs are not scaled: a map that
    estimates softmax's kernel divides by the root of the head dimension itself.
    """

    @abstractmethod
    def queries(self, q: Float[Tensor, "b g t d"]) -> Features: ...

    @abstractmethod
    def keys(self, k: Keys) -> Features: ...

    @abstractmethod
    def log_kernel(self, q: Float[Tensor, "b g t d"], k: Keys) -> Float[Tensor, "b g t s"]:
        """The logarithm of the kernel that the features estimate, computed exactly."""


class AttentionModule(torch.nn.Module, ABC):
    """Attention with parameters or drawn numbers. Built as `cls(heads, generator, **options)`."""

    @abstractmethod
    def forward(
        self,
        q: Queries,
        k: Keys,
        v: Values,
        *,
        causal: bool = False,
        key_padding: KeyPadding | None = None,
    ) -> Outputs: ...


class Mixer(torch.nn.Module, ABC):
    """A whole token mixer, projections included.

    Built as `cls(d_model, heads, generator, causal=..., **options)`.
    """

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "b t e"], *, key_padding: KeyPadding | None = None
    ) -> Float[Tensor, "b t e"]: ...


class Redraws(ABC):
    """A part that draws its random numbers anew every `redraw_every` training steps (0: never)."""

    redraw_every: int

    @abstractmethod
    def redraw(self, generator: torch.Generator) -> None: ...


class Calibrates(ABC):
    """A part that sets itself from the queries and keys of training data, once, before training.

    However the same sequences are split into batches, it comes to the same.
    """

    wants_calibration: bool

    @abstractmethod
    def observe(self, q: Float[Tensor, "b g t d"], k: Keys, key_padding: KeyPadding | None) -> None:
        """Take note of one batch of whole sequences. What is kept does not grow with them, and is
        neither saved nor trained."""

    @abstractmethod
    def settle(self) -> None:
        """Set what calibration sets from all that was observed, and forget it; without anything
        observed, leave all as it is."""

    def calibrate(
        self, q: Float[Tensor, "b g t d"], k: Keys, key_padding: KeyPadding | None
    ) -> None:
        """Observe, and settle."""
        self.observe(q, k, key_padding)
        self.settle()


class Discloses(ABC):
    """Another implementation of a method, with random or learned numbers of its own, which it
    tells: given the same numbers its namesake must compute the same, and the numbers must be fair.
    """

    @abstractmethod
    def disclose(self) -> dict[str, Tensor]:
        """The numbers drawn, under the names of the namesake's buffers and parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a method can do, as data. Declared: the contract tests it. Undeclared: it raises."""

    causal: bool = False
    bidirectional: bool = False
    cross: bool = False
    """As many queries as one likes against another sequence of keys (never causal)."""
    key_padding: bool = False
    stepwise: bool = False
    """`prefill` and `step` continue a sequence with a state of constant size."""
    grouped_query: bool = False
    devices: tuple[str, ...] = ("cpu", "cuda")
    dtypes: tuple[str, ...] = ("float64", "float32", "bfloat16", "float16")
    least_head_dim: int = 1
    largest_head_dim: int | None = None
    head_dim_multiple: int = 1
    compute_capability: tuple[int, int] | None = None
    """The least that a CUDA device must have, as (major, minor); None: any will do."""
    packages: tuple[str, ...] = ()
    """Import names of optional packages, beyond the core dependencies."""
    install: str = ""
    """The command that installs them."""
    by_option: Mapping[tuple[str, Any], Mapping[str, Any]] = field(default_factory=dict, hash=False)
    """What is otherwise where an option has a value: (option, value) to fields of this class."""

    def with_options(self, options: Mapping[str, Any]) -> "Capabilities":
        """What the method can do when it is built with these options."""
        changed: dict[str, Any] = {}
        for (name, value), fields in self.by_option.items():
            if name in options and options[name] == value:
                changed |= fields
        return replace(self, **changed) if changed else self

    def head_dim_problem(self, head_dim: int) -> str:
        """What is asked of a head's dimension, where this one is not it; else empty."""
        least, largest, multiple = (
            self.least_head_dim,
            self.largest_head_dim,
            self.head_dim_multiple,
        )
        if least <= head_dim <= (largest or head_dim) and head_dim % multiple == 0:
            return ""
        asked = [f"of at least {least} dimensions"] * (least > 1)
        asked += [f"of at most {largest} dimensions"] * (largest is not None)
        asked += [f"of a multiple of {multiple} dimensions"] * (multiple > 1)
        return f"needs heads {' and '.join(asked)}, and these have {head_dim}"

    def gpu_problem(self, compute_capability: tuple[int, int]) -> str:
        """What is asked of a CUDA device, where this compute capability is too old; else empty."""
        least = self.compute_capability
        if least is None or compute_capability >= least:
            return ""
        asked, found = (".".join(map(str, version)) for version in (least, compute_capability))
        return f"needs a GPU of compute capability {asked} or newer, and this one has {found}"


KERNEL_ATTENTION = Capabilities(
    causal=True,
    bidirectional=True,
    cross=True,
    key_padding=True,
    stepwise=True,
    grouped_query=True,
)
"""What every feature map gets from the core."""


class Option(NamedTuple):
    """A keyword-only parameter of a method."""

    name: str
    annotation: Any
    default: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to mix tokens. Exactly one of `feature_map`, `attention`, `mixer` is given."""

    name: str
    can: Capabilities
    feature_map: type[FeatureMap] | None = None
    attention: type[AttentionModule] | Callable[..., Tensor] | None = None
    mixer: type[Mixer] | None = None
    same_as: str | None = None
    """The method whose mathematics this one computes in another way."""
    role: Literal["method", "floor", "ceiling"] = "method"
    """Floors and ceilings are added to every run as controls."""
    family: str = "other"
    time: str = "?"
    """Operations as a formula in T (time), m (features), d (head dimension)."""
    state: str = ""
    """Numbers a head that decoding keeps, as a formula of the same letters; empty: cannot."""
    paper: str = ""

    def __post_init__(self) -> None:
        given = [x is not None for x in (self.feature_map, self.attention, self.mixer)]
        if sum(given) != 1:
            raise ValueError(
                f"method {self.name!r} must give exactly one of feature_map, attention and mixer;"
                f" it gives {sum(given)}."
            )

    @property
    def implementation(self) -> Callable[..., Any]:
        return self.feature_map or self.attention or self.mixer  # type: ignore[return-value]

    @property
    def has_features(self) -> bool:
        """Whether there are features to measure: its own, or those of its namesake with the numbers
        that it discloses."""
        discloses = isinstance(self.attention, type) and issubclass(self.attention, Discloses)
        return self.feature_map is not None or discloses

    @property
    def options(self) -> dict[str, Option]:
        """The keyword-only parameters, by name, in the order written."""
        reserved = {"causal", "key_padding"}
        return {
            p.name: Option(p.name, p.annotation, p.default)
            for p in inspect.signature(self.implementation).parameters.values()
            if p.kind is p.KEYWORD_ONLY and p.name not in reserved
        }
