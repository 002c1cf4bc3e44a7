"""What a trial of next-token prediction measured, beside the curve in `Training`."""

from pydantic import Field

from results.frozen import Count, Frozen, Number


class TextOutcome(Frozen):
    """A model on the blocks of one split, in order."""

    loss: float
    """Nats a token, the mean over blocks."""
    accuracy: float
    """Share of tokens that were the most probable one."""
    block_losses: list[float]
    block_hits: list[Count]
    """Right predictions in each block: tokens of one text are no independent samples, blocks are
    nearly so, and intervals are taken over them."""


class RateRun(Frozen):
    """One training run at one learning rate."""

    learning_rate: float
    losses: list[float] = Field(default_factory=list)
    """The training loss of every step that was made."""
    diverged_at: Count | None = None
    """The step, from 1, whose loss was no number or beyond every bound; None: it never was."""
    spikes: list[Count] = Field(default_factory=list)
    """Steps, from 1, by the rule in `LanguageResult.card`."""
    loss: float | None = None
    """On validation data after the last step; None where the run diverged."""
    accuracy: float | None = None


class LanguageResult(Frozen):
    """All that one trial found out about its model and its text."""

    predictions_per_block: Number
    before: TextOutcome | None = None
    """On the test split before any training: after the swap and its calibration."""
    after: TextOutcome | None = None
    runs: list[RateRun] = Field(default_factory=list)
    """Of a search for the learning rate, or of a stability trial, ascending by rate."""
    losses: list[float] = Field(default_factory=list)
    """The training loss of every step of the main run."""
    spikes: list[Count] = Field(default_factory=list)
    """Steps of the main run, from 1, by the rule in `card`."""
    trained_parameters: Count = 0
    method_parameters: Count = 0
    """Those that the method brought along."""
    exact_layers: list[str] = Field(default_factory=list)
    """Layers whose attention was left as it was, each with the reason."""
    tokens_per_second: float | None = None
    """In training, from the median step."""
    resumed: Count = 0
    """How many times the run went on from a checkpoint."""
    card: dict[str, str] = Field(default_factory=dict)
    """Such as model, tokenizer, calibration, and what was equal for all methods."""
