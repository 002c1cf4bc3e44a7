"""What a cost trial measured: time, memory and counted work against length, and the crossovers.

Base units only: seconds, bytes, operations, tokens.
"""

from typing import Literal

from pydantic import Field

from results.frozen import Count, Frozen, Seconds

Mode = Literal["forward", "training", "decode"]
"""training: forward and backward. decode: one token more at a context of `length` tokens."""
CellStatus = Literal[
    "completed", "unsupported", "unavailable", "out-of-memory", "timed-out", "crashed"
]
Quantity = Literal["latency", "memory"]


class CostCell(Frozen):
    """One mode in one direction at one length. What could not be measured is absent."""

    mode: Mode
    causal: bool
    length: Count
    status: CellStatus
    reason: str = ""
    """Why it did not complete, or was not tried, in words for a reader; empty when completed."""
    probe: bool = False
    """Not asked for, but measured to narrow a crossover."""
    seconds: list[Seconds] = Field(default_factory=list)
    """One sample a call, in order."""
    reference_seconds: list[Seconds] = Field(default_factory=list)
    """Samples of the reference, each taken right after that of `seconds` at the same place; empty
    where it could not run."""
    reference_reason: str = ""
    """Why there are no samples of the reference."""
    peak_bytes: Count | None = None
    """Incremental peak of one warmed call, and the tensors that it uses and keeps between calls;
    what it returns is in it, what it is given is not."""
    reference_peak_bytes: Count | None = None
    allocated_bytes: Count | None = None
    """The same by the profiler's account of every tensor's allocation, the same in every run.
    Absent where work is done outside torch's operations."""
    reference_allocated_bytes: Count | None = None
    flops: Count | None = None
    """Counted in one call, 2 per multiply-add; of a fused causal kernel the half that it needs."""
    exps: Count | None = None
    """Exponentials counted in one call."""
    bytes_moved: Count | None = None
    """Inputs and outputs of every operation: what would move without any cache or fusion."""
    counts_reason: str = ""
    """Why something was not counted, or which operations the counts lack."""
    least_bytes: Count | None = None
    """Inputs read once and outputs written once: what any implementation moves."""
    limit_seconds: Seconds | None = None
    """The roofline: what the counted operations and exponentials and the least bytes take at the
    ceilings measured in the same trial, one after another."""
    state_bytes: Count | None = None
    """What decoding keeps, measured from its tensors."""
    reference_state_bytes: Count | None = None
    kernels: list[str] = Field(default_factory=list)
    """The attention kernels that really ran."""
    flags: list[str] = Field(default_factory=list)
    """What makes the samples doubtful, such as `noisy` or `clock fell`."""


class Ceilings(Frozen):
    """What this machine reaches in the trial's dtype and with its threads: best of the samples."""

    matrix_product: float
    """Operations a second, 2 per multiply-add."""
    memory_copy: float
    """Bytes a second, those read and those written."""
    exp: float
    """Exponentials a second."""
    matrix_product_median: float | None = None
    memory_copy_median: float | None = None
    exp_median: float | None = None


class Crossover(Frozen):
    """From which length on the method beats the reference: the interval (below, above]."""

    quantity: Quantity
    mode: Mode
    causal: bool
    below: Count | None = None
    """The longest length measured at which the reference is better."""
    above: Count | None = None
    """The shortest length measured from which on the method is better at every longer one."""
    verdict: Literal["crosses", "always", "never"]
    """Within the range measured. always: at every length. never: not at the longest."""
    shortest: Count
    longest: Count
    undecided: list[Count] = Field(default_factory=list)
    """Lengths measured at which the samples do not tell which is better."""


class CostCurve(Frozen):
    """All cells of one trial, ordered by mode, direction and length, and what follows from them."""

    level: Literal["kernel", "layer"]
    """kernel: queries, keys and values are given. layer: projections are part of the call."""
    reference: str
    """The method measured in turn with this one."""
    reference_reason: str = ""
    """Why the reference could not be measured at all."""
    batch: Count
    num_heads: Count
    head_dim: Count
    memory_method: str = ""
    cells: list[CostCell] = Field(default_factory=list)
    crossovers: list[Crossover] = Field(default_factory=list)
    ceilings: Ceilings | None = None
