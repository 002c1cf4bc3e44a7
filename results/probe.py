"""What a probe measured: numbers beside what theory says of them, at coordinates."""

from typing import Self

from pydantic import Field, FiniteFloat, model_validator

from results.frozen import Count, Frozen, Whole

Coordinate = bool | Whole | float | str


class ProbePointRecord(Frozen):
    """One number, or why there is none: what is infinite or unknown is absent, with a reason."""

    quantity: str
    where: dict[str, Coordinate] = Field(default_factory=dict)
    """Such as estimator, num_features, head_dim, spectrum, layer, head."""
    value: FiniteFloat | None = None
    low: FiniteFloat | None = None
    """Lower end of the 95 % interval."""
    high: FiniteFloat | None = None
    """Upper end of the 95 % interval."""
    predicted: FiniteFloat | None = None
    """What theory says in closed form."""
    unit: str = "1"
    samples: Count = 0
    """Independent draws behind the value."""
    how: str = ""
    """The estimator of the number."""
    reason: str = ""
    """Why there is no value, in words for a reader; empty where there is one."""

    @model_validator(mode="after")
    def _has_value_or_reason(self) -> Self:
        if (self.value is None) == (not self.reason):
            raise ValueError("a point has a value, or a reason why it has none, and never both")
        return self


class ProbeResult(Frozen):
    """All points of one trial, in the order found."""

    points: list[ProbePointRecord] = Field(default_factory=list)
    card: dict[str, str] = Field(default_factory=dict)
    """What the numbers were measured on, such as model, text, and digest of captured tensors."""
    gate: str = ""
    """What the gate says against the method, empty where it passes: a probe measures all the
    same."""
