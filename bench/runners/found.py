"""What a trial has measured so far: on failure, what there is goes into the record."""

from dataclasses import dataclass, field
from typing import Any

from results.curve import CostCurve
from results.language import LanguageResult
from results.probe import ProbeResult
from results.record import DataCard, Measured, Status, Training


@dataclass(slots=True, kw_only=True)
class Found:
    """Filled in by a runner as it goes on."""

    status: Status = "completed"
    reason: str = ""
    metrics: list[Measured] = field(default_factory=list)
    training: Training | None = None
    cost: dict[str, Any] = field(default_factory=dict)
    """Fields of `results.record.Cost`."""
    curve: CostCurve | None = None
    probe: ProbeResult | None = None
    language: LanguageResult | None = None
    data: DataCard | None = None

    def leave_times_out(self) -> None:
        """Drops what other trials on the device have a part in."""
        for name in ("step_seconds", "peak_memory_bytes", "memory_method"):
            self.cost.pop(name, None)
        if self.language is not None:
            self.language = self.language.model_copy(update={"tokens_per_second": None})
