"""What the author of a task imports: data, sources, presets and `TrainedTask`. Free of torch."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Scalar = bool | int | float | str


class SourceUnavailableError(Exception):
    """Data cannot be had here. The message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number that a task reports."""

    name: str
    unit: str
    higher_is_better: bool


ACCURACY = Metric(name="accuracy", unit="fraction", higher_is_better=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Examples. A task with one input per example has one tower, one that compares two has two."""

    tokens: NDArray[np.integer]
    """`[example, tower, time]`; what stands at or after `lengths` is padding and never read."""
    lengths: NDArray[np.integer]
    """`[example, tower]`."""
    labels: NDArray[np.integer]
    """`[example]`, from 0 to num_classes - 1."""

    def __post_init__(self) -> None:
        n, towers = self.lengths.shape
        assert self.tokens.ndim == 3
        assert self.tokens.shape[:2] == (n, towers)
        assert self.labels.shape == (n,)

    def __len__(self) -> int:
        return len(self.labels)

    def digest(self) -> str:
        """SHA-256 of the examples, the same on every machine."""
        h = hashlib.sha256()
        time = np.arange(self.tokens.shape[2])
        live = time < self.lengths[:, :, None]
        for array in (np.where(live, self.tokens, 0), self.lengths, self.labels):
            h.update(str(array.shape).encode())
            h.update(np.ascontiguousarray(array, dtype="<i4").tobytes())
        return h.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The three splits and what a reader of the table must know about them."""

    train: Split
    validation: Split
    test: Split
    vocab_size: int
    num_classes: int
    what: str
    """One sentence: what this is, how it was split."""

    @property
    def digest(self) -> str:
        parts = (self.train.digest(), self.validation.digest(), self.test.digest())
        return hashlib.sha256("".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """What a source is asked for."""

    data: Mapping[str, Scalar]
    """The preset's data options after `--set`."""
    path: Path | None = None
    """The release's folder, for the source `release`."""
    cache: Path | None = None
    """A folder for what was generated or downloaded; None: keep nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a task's data come from."""

    name: Literal["generated", "packaged", "hub", "release"]
    title: str
    """What it is, shown in every table: a stand-in is named as one here."""
    load: Callable[[LoadRequest], Dataset]
    missing: Callable[[LoadRequest], str | None] = lambda _: None
    """Why it cannot be had here and what to do about it, or None. Cheap: no data is read."""
    stand_in: bool = False
    """Real or generated data, but not the task's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A Transformer encoder with a classifier."""

    num_layers: int
    num_heads: int
    d_model: int
    qkv_dim: int
    mlp_dim: int
    pooling: Literal["mean", "cls"] = "mean"
    positions: Literal["learned", "sinusoidal", "none"] = "learned"
    norm: Literal["layer", "batch"] = "layer"
    dropout: float = 0.0
    classifier_dim: int = 0
    """Width of the classifier's hidden layer; 0: a linear classifier."""
    towers: Literal["concatenate", "nli"] = "nli"
    """How two towers meet: [x1, x2] or [x1, x2, x1 * x2, x1 - x2]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Adam with decoupled weight decay, and its schedule."""

    steps: int
    batch_size: int
    learning_rate: float
    schedule: Literal["constant", "linear", "cosine", "rsqrt"] = "cosine"
    """After the warm-up; rsqrt: learning_rate * min(1, t/w) / sqrt(max(t, w))."""
    warmup_steps: int = 0
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.98
    epsilon: float = 1e-9
    clip_norm: float = 0.0
    """0: gradients are not clipped."""
    evaluate_every: int = 0
    """Steps between evaluations on validation data; 0: ten times in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A whole protocol."""

    name: str
    note: str
    """What it is, where its values come from, what is impossible or disputed in it."""
    source: str
    """The name of the default source."""
    model: ModelShape
    training: Training
    data: Mapping[str, Scalar] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    max_time: int = 0
    """The longest sequence in tokens; planning uses it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedTask:
    """Sequence classification: train on `train`, choose the step on `validation`, report `test`."""

    name: str
    """`family/name`, as typed on the command line."""
    version: int
    """Raised when data, splits or metric change: old records keep their truth."""
    title: str
    presets: tuple[Preset, ...]
    sources: tuple[Source, ...]
    metric: Metric = ACCURACY
    causal: bool = False
    key_padding: bool = True
    """Whether its sequences differ in length, so that a method must mask padding."""
    paper: str = ""

    def preset(self, name: str) -> Preset | None:
        return next((p for p in self.presets if p.name == name), None)

    def source(self, name: str) -> Source | None:
        return next((s for s in self.sources if s.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Tasks that are run and averaged together."""

    name: str
    title: str
    tasks: tuple[str, ...]
    note: str = ""
