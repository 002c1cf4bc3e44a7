"""What the author of a cost task imports: the sweep over lengths, presets and `CostTask`.

Free of torch.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from tasks.api import Source

MODES = ("forward", "training", "decode")
LONGEST_TIME = 2**24
"""Beyond this no sequence is asked for in earnest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What is measured, and how long it may take. Every field can be set with `--set`."""

    level: Literal["kernel", "layer"] = "kernel"
    """kernel: queries, keys and values are given. layer: a whole token mixer, with projections."""
    batch: int = 1
    num_heads: int = 8
    head_dim: int = 64
    """The model's width is num_heads times this."""
    lengths: str = ""
    """Lengths with commas between them; empty: doublings from `shortest` to `longest`."""
    shortest: int = 256
    longest: int = 4096
    modes: str = "forward,training,decode"
    """Of these three. training: forward and backward. decode: one token at a context."""
    causal: str = "true,false"
    """Directions: true, false or both. Decoding is causal in any case."""
    against: str = "sdpa"
    """The method measured in turn with each one, as typed in --methods."""
    cell_seconds: float = 10.0
    """What one cell may take, the reference in it; a cell that would take longer is not begun."""
    total_seconds: float = 600.0
    """What a trial may take: its later cells are left out when this is spent."""
    min_samples: int = 7
    """Fewer cannot decide which of two is faster: a sign test at 5 % takes six of six."""
    max_samples: int = 200
    crossovers: bool = True
    """Measure more lengths where the method and the reference change places."""

    def __post_init__(self) -> None:
        counts = ("batch", "num_heads", "head_dim", "shortest", "longest", "max_samples")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}.")
        for name in ("cell_seconds", "total_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name):g}.")
        if self.min_samples < 6:
            raise ValueError(
                f"min_samples must be 6 or more, got {self.min_samples}: with fewer, no test tells"
                " which of two is faster."
            )
        if self.max_samples < self.min_samples:
            raise ValueError(
                f"max_samples is {self.max_samples}, fewer than min_samples, {self.min_samples}."
            )
        if not self.against.strip():
            raise ValueError("against must name a method.")
        _ = self.all_lengths, self.all_modes, self.directions

    @property
    def all_lengths(self) -> tuple[int, ...]:
        """Ascending, each once. Raises ValueError for what is no length."""
        if self.lengths:
            found = tuple(sorted({_length(text) for text in self.lengths.split(",")}))
        elif self.longest < self.shortest:
            raise ValueError(
                f"longest is {self.longest}, less than shortest, {self.shortest}. Change one."
            )
        else:
            doublings = range((self.longest // self.shortest).bit_length())
            found = tuple(self.shortest * 2**i for i in doublings)
        if found[-1] > LONGEST_TIME:
            raise ValueError(f"The longest length is {found[-1]}; at most {LONGEST_TIME} is taken.")
        return found

    @property
    def all_modes(self) -> tuple[str, ...]:
        """Each once, in the usual order."""
        asked = {text.strip() for text in self.modes.split(",")}
        if not asked <= set(MODES):
            wrong = ", ".join(sorted(repr(word) for word in asked - set(MODES)))
            raise ValueError(f"modes are among {', '.join(MODES)}; {wrong} is none of them.")
        return tuple(mode for mode in MODES if mode in asked)

    @property
    def directions(self) -> tuple[bool, ...]:
        """Causal first."""
        asked = {text.strip().lower() for text in self.causal.split(",")}
        if not asked <= {"true", "false"}:
            raise ValueError(f"causal is true, false or true,false, not {self.causal!r}.")
        return tuple(causal for causal in (True, False) if str(causal).lower() in asked)

    @property
    def columns(self) -> tuple[tuple[str, bool], ...]:
        """Mode and direction of every curve asked for."""
        return tuple(
            (mode, causal)
            for mode in self.all_modes
            for causal in ((True,) if mode == "decode" else self.directions)
        )


def _length(text: str) -> int:
    try:
        length = int(text)
    except ValueError:
        raise ValueError(f"lengths are whole numbers with commas; {text!r} is none.") from None
    if length < 1:
        raise ValueError(f"lengths must be 1 or more, got {length}.")
    return length


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPreset:
    """A whole protocol of a cost task."""

    source: ClassVar[str] = "generated"

    name: str
    note: str
    """What it is and how long it takes."""
    sweep: Sweep
    seeds: tuple[int, ...] = (0,)

    @property
    def max_time(self) -> int:
        """The longest sequence in tokens."""
        return self.sweep.all_lengths[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTask:
    """Time, memory and counted work of a method alone, on random inputs of growing length."""

    sources: ClassVar[tuple[Source, ...]] = ()
    """None: its inputs are drawn from the normal distribution as they are needed."""

    name: str
    version: int
    """Raised when what is measured, or how, changes: old records keep their truth."""
    title: str
    presets: tuple[CostPreset, ...]
    paper: str = ""

    def preset(self, name: str) -> CostPreset | None:
        return next((p for p in self.presets if p.name == name), None)
