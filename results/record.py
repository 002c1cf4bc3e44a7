"""The record of one trial: identity, outcome, measurements, machine and provenance.

One JSON file per trial. Base units only: seconds, bytes, operations. Samples are kept; summaries
are computed on reading.
"""

import hashlib
import json
import re
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, model_validator

from results.curve import CostCurve
from results.foreign import printable
from results.frozen import Count, Frozen, Seconds, Whole
from results.language import LanguageResult
from results.probe import ProbeResult

SCHEMA = 5
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
Scalar = bool | Whole | float | str | None
Status = Literal[
    "completed",
    "unsupported",
    "unavailable",
    "failed-gate",
    "out-of-memory",
    "timed-out",
    "diverged",
    "crashed",
]


class Identity(Frozen):
    """What makes two trials the same trial."""

    method: str
    method_options: dict[str, Scalar] = Field(default_factory=dict)
    """Every option, defaults included, so that a changed default is another trial."""
    task: str
    task_version: Whole
    preset: str
    source: str
    """A source's name, or `release:PATH`."""
    settings: dict[str, Scalar] = Field(default_factory=dict)
    """What `--set` changed in the preset."""
    dtype: str = "float32"
    seed: Whole = 0
    device: str = "cpu"
    """`cpu`, or the GPU's name."""
    compile: bool = False

    def digest(self) -> str:
        """SHA-256 of the canonical JSON, 16 hexadecimal digits."""
        # The fields as they are: each is plain, and `model_dump` takes as long as all the rest.
        text = _CANONICAL.encode(self.__dict__)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def file_name(self) -> str:
        """A readable name that the digest makes unique."""
        words = (self.method, self.task, self.preset, f"seed{self.seed}")
        # File systems take names of 255 bytes; the digest tells apart what is cut off.
        readable = "--".join(re.sub(r"[^A-Za-z0-9]+", "-", word)[:48] for word in words)
        return f"{readable}--{self.digest()}.json"


class Proportion(Frozen):
    """Successes out of trials, so that the interval can be computed on reading."""

    successes: Count
    trials: Count

    @model_validator(mode="after")
    def _is_a_share(self) -> Self:
        if self.successes > self.trials or not self.trials:
            raise ValueError("a proportion has a trial, and no more successes than trials")
        return self


class Measured(Frozen):
    """A task's metric on the test split."""

    name: str
    unit: str
    higher_is_better: bool
    value: float
    proportion: Proportion | None = None


class CurvePoint(Frozen):
    """The training loss at a step."""

    step: Count
    loss: float
    learning_rate: float


class Evaluation(Frozen):
    """On the validation split."""

    step: Count
    loss: float
    accuracy: float


class Training(Frozen):
    """How the model got there."""

    curve: list[CurvePoint]
    evaluations: list[Evaluation]
    best_step: Count
    """The step whose checkpoint was tested: the best on validation data."""
    outcomes: str = ""
    """Base64 of one bit per test example, in the split's order: 1 is right (numpy.packbits)."""


class Cost(Frozen):
    """The price of the accuracy. Absent where it could not be measured."""

    step_seconds: list[Seconds] = Field(default_factory=list)
    """One sample a training step, data transfer included, after warm-up."""
    tokens_per_step: Count | None = None
    peak_memory_bytes: Count | None = None
    """Incremental peak of the trial above the moment before the model was built."""
    memory_method: str = ""
    parameters: Count | None = None
    non_embedding_parameters: Count | None = None
    flops_per_step: Count | None = None
    """Forward and backward, 2 per multiply-add."""
    flops_method: str = ""
    bytes_moved_per_step: Count | None = None
    """Inputs and outputs of every operation: what would move without any cache or fusion."""
    state_bytes: Count | None = None
    """Decoding state of all layers for one sequence, measured from its tensors."""
    collapsed_rows: float | None = None
    """Share of attention rows whose normaliser underflowed, on validation data."""
    kernels: list[str] = Field(default_factory=list)
    """The attention kernels that really ran."""


class DataCard(Frozen):
    """The data that were really used."""

    title: str
    what: str
    stand_in: bool
    digest: str
    num_train: Count
    num_validation: Count
    num_test: Count
    num_classes: Count
    vocab_size: Count
    max_time: Count
    majority: Proportion
    """The most frequent training class, counted on the test split: the floor."""


class Machine(Frozen):
    """Where the trial ran."""

    name: str
    """What timings are grouped by: processor or GPU, how many, cores, memory."""
    processor: str
    cores: Count
    threads: Count
    memory_bytes: Count
    devices: Count = 1
    """That the trial ran on together, a process for each: GPUs, or shares of the processor."""
    system: str
    python: str
    versions: dict[str, str]
    gpu: str | None = None
    gpu_memory_bytes: Count | None = None
    driver: str | None = None
    clock_hertz: float | None = None


class Provenance(Frozen):
    """Which code made the record, how and when."""

    commit: str | None
    dirty: bool | None
    method_digest: str
    """SHA-256 of the method's source file and of what it shares with others."""
    task_digest: str
    command: str
    started: str
    """ISO 8601, UTC."""
    seconds: float
    """Duration of the whole trial, data included."""


class Record(Frozen):
    """Everything known about one trial."""

    schema_: Whole = Field(default=SCHEMA, alias="schema")
    identity: Identity
    status: Status
    # It may quote what other code said or printed.
    reason: Annotated[str, AfterValidator(printable)] = ""
    """Why it did not complete, in words for a reader; empty when completed."""
    role: Literal["method", "floor", "ceiling"] = "method"
    same_as: str | None = None
    metrics: list[Measured] = Field(default_factory=list)
    training: Training | None = None
    cost: Cost | None = None
    untimed: bool = False
    """Whether times, throughput and peak memory were left out: others may have run beside it."""
    curve: CostCurve | None = None
    probe: ProbeResult | None = None
    language: LanguageResult | None = None
    data: DataCard | None = None
    settings_resolved: dict[str, Scalar] = Field(default_factory=dict)
    """The whole protocol as run: model, training and data values, or those of a cost task or a
    probe."""
    machine: Machine
    provenance: Provenance

    def head(self) -> "Head":
        """What a plan must know of it."""
        return Head(self.identity, self.status, self.untimed, self.provenance.seconds)


class Head(NamedTuple):
    """How a trial ended: little enough of its record to hold that of every trial."""

    identity: Identity
    status: Status
    untimed: bool
    seconds: float
