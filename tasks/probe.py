"""What the author of a probe imports: points, the subject that is measured, presets, `ProbeTask`.

A probe sees callables only, a feature map or an attention, and knows nothing of methods. Free of
torch until it runs.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from tasks.api import LoadRequest, Scalar

if TYPE_CHECKING:
    from torch import Tensor

Report = Callable[[str, int, int], None]
"""Called with what is going on, the number of the step and how many steps there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePoint:
    """One number that a probe found, or why there is none. Raises ValueError for neither."""

    quantity: str
    """What the number is, such as `second-moment`."""
    where: Mapping[str, Scalar]
    """Coordinates, such as estimator, num_features, head_dim, spectrum, layer, head."""
    value: float | None
    """Finite; what is infinite has a reason and no value."""
    low: float | None = None
    """Lower end of the 95 % interval."""
    high: float | None = None
    """Upper end of the 95 % interval."""
    predicted: float | None = None
    """What theory says in closed form."""
    unit: str = "1"
    samples: int = 0
    """Independent draws behind the value."""
    how: str = ""
    """The estimator of the number: `mean`, `median of means of 32 groups`, `exact`."""
    reason: str = ""
    """Why there is no value: `infinite: lambda_max 0.21 >= 1/6`."""

    def __post_init__(self) -> None:
        if (self.value is None) == (not self.reason):
            raise ValueError(
                f"point {self.quantity} at {dict(self.where)} must have a value or a reason why it"
                f" has none; it has value {self.value} and reason {self.reason!r}."
            )
        for name in ("value", "low", "high", "predicted"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                raise ValueError(
                    f"{name} of point {self.quantity} at {dict(self.where)} is {number}. Leave out"
                    " what is not finite, and give the reason."
                )


class FeaturesLike(Protocol):
    """phi(x) = values * exp(log_scale)."""

    @property
    def values(self) -> "Tensor":
        """`[b, h, t, f]`."""
        ...

    @property
    def log_scale(self) -> "Tensor":
        """`[b, h, t]`."""
        ...


class ProbeInstance(Protocol):
    """A method built once, its random numbers drawn. Tensors are `[b, h, t, d]`; no gradients."""

    def features(self, q: "Tensor", k: "Tensor") -> tuple[FeaturesLike, FeaturesLike]:
        """Of the queries and of the keys. Only where the subject is a feature map."""
        ...

    def log_kernel(self, q: "Tensor", k: "Tensor") -> "Tensor":
        """`[b, h, t, s]`: the logarithm of the kernel that the features estimate, exactly."""
        ...

    def attend(
        self,
        q: "Tensor",
        k: "Tensor",
        v: "Tensor",
        *,
        causal: bool = False,
        key_padding: "Tensor | None" = None,
    ) -> "Tensor":
        """The outputs, in the dtype of `q`; half precisions run under autocast, as in training."""
        ...

    def collapsed(self, q: "Tensor", k: "Tensor", *, causal: bool = False) -> float | None:
        """Share of rows whose normaliser underflowed to zero; None where there is no normaliser."""
        ...

    def calibrate(self, q: "Tensor", k: "Tensor") -> None:
        """Let the method set itself from these queries and keys, if it wants to."""
        ...


class ProbeSubject(Protocol):
    """The method that a probe measures, with the options of its trial."""

    @property
    def name(self) -> str: ...

    @property
    def options(self) -> Mapping[str, Scalar | None]:
        """All of them, defaults included; `num_features` is among them where it can be varied."""
        ...

    @property
    def is_feature_map(self) -> bool:
        """Whether instances have features and a kernel, be it of the numbers that it discloses."""
        ...

    @property
    def directions(self) -> tuple[bool, ...]:
        """The values of `causal` that it can attend with, False first."""
        ...

    @property
    def dtypes(self) -> tuple[str, ...]:
        """What it can attend in."""
        ...

    def draw(
        self,
        seed: int,
        *,
        num_heads: int,
        head_dim: int,
        num_features: int | None = None,
        max_time: int = 256,
        dtype: str | None = None,
    ) -> ProbeInstance:
        """A fresh instance, with `num_kv_heads` = `num_heads`.

        num_features: None for the trial's own option. dtype: float32 or float64, of its numbers
        once drawn; None for the trial's, half precisions being autocast from float32. Sizes that
        do not fit the method's options make the trial `unsupported`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSource:
    """Where the queries and keys of a probe come from."""

    name: Literal["generated", "packaged", "hub", "release"]
    title: str
    """What it is, shown in every table: a stand-in is named as one here."""
    missing: Callable[[LoadRequest], str | None] = lambda _: None
    """Why it cannot be had here and what to do about it, or None. Cheap: no data is read."""
    stand_in: bool = False


def nothing_to_check(settings: Mapping[str, Scalar]) -> None:
    """Any settings make sense."""
    del settings


def whole_numbers(settings: Mapping[str, Scalar], name: str, *, least: int = 1) -> tuple[int, ...]:
    """The numbers of a setting, with commas between them. Raises ValueError for anything else."""
    try:
        found = tuple(int(text) for text in str(settings[name]).split(","))
    except ValueError:
        raise ValueError(
            f"{name} takes whole numbers with commas between them, not {settings[name]!r}."
        ) from None
    if min(found) < least:
        raise ValueError(f"{name} must be {least} or more, and {min(found)} is among them.")
    return found


GENERATED = ProbeSource(
    name="generated", title="queries and keys drawn from normal distributions of known covariance"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """What a probe is asked for."""

    settings: Mapping[str, Scalar]
    """The preset's, after `--set`."""
    seed: int = 0
    dtype: str = "float32"
    device: str = "cpu"
    source: str = "generated"
    """A source's name; `release` with `path`."""
    path: Path | None = None
    cache: Path | None = None
    """A folder for what was captured or downloaded; None: keep nothing."""
    card: dict[str, str] = field(default_factory=dict)
    """The probe writes here what its numbers were measured on: model, text, digest. Under `verdict`
    it may write one sentence without a full stop, shown as the trial ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePreset:
    """A whole protocol of a probe."""

    name: str
    note: str
    """What it is and how long it takes."""
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    """Every one can be set with `--set`; several values stand in one text, with commas."""
    source: str = GENERATED.name
    """The name of the default source."""
    seeds: tuple[int, ...] = (0,)
    max_time: int = 0
    """The longest sequence in tokens; 0: it has none."""

    @property
    def head_dim(self) -> int | None:
        """The setting of that name, if it is one whole number: planning checks it."""
        value = self.settings.get("head_dim")
        return value if isinstance(value, int) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTask:
    """What an estimator really estimates, beside what theory says of it.

    A probe runs without the gate: it measures what is wrong, and its record says what the gate
    would have said.
    """

    name: str
    version: int
    """Raised when what is measured, or how, changes: old records keep their truth."""
    title: str
    presets: tuple[ProbePreset, ...]
    needs: Literal["features", "attention"]
    """What a method must give: a kernel with features, or attention of any kind."""
    run: Callable[[ProbeSubject, ProbeRequest, Report], Iterator[ProbePoint]]
    """Yields points as they are found: what crashes later leaves them on record. Raises
    tasks.api.SourceUnavailableError for data that cannot be had."""
    check: Callable[[Mapping[str, Scalar]], None] = nothing_to_check
    """Raises ValueError with one sentence for settings that make no sense. Planning calls it:
    free of torch, and quick."""
    sources: tuple[ProbeSource, ...] = (GENERATED,)
    paper: str = ""

    def preset(self, name: str) -> ProbePreset | None:
        return next((p for p in self.presets if p.name == name), None)

    def source(self, name: str) -> ProbeSource | None:
        return next((s for s in self.sources if s.name == name), None)
