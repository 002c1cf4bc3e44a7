"""How long a call will take and how much memory, judged by shorter lengths: pure."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

SHORTEST_PILOT = 256
STEP = 4
"""From one known length to the next, at most by this factor: a fourfold length whose growth is
misjudged by one power costs four times what was foreseen, no more."""


class Known(NamedTuple):
    """What one length took."""

    length: int
    setup_seconds: float
    """Building and filling what the call reads, once."""
    call_seconds: float
    bytes: int
    """Everything that lives at the call's highest point, inputs and state too."""


@dataclass(slots=True)
class History:
    """Lengths measured of one mode in one direction."""

    known: list[Known] = field(default_factory=list)

    def add(self, known: Known) -> None:
        self.known = sorted([k for k in self.known if k.length != known.length] + [known])

    def expect(self, length: int) -> Known | None:
        """What this length will take; None where nothing shorter is known."""
        shorter = [k for k in self.known if k.length <= length]
        if not shorter:
            return None
        last = shorter[-1]
        before = shorter[-2] if len(shorter) > 1 else None
        setup, call, num_bytes = (
            _grown(before, last, length, name, most=most)
            for name, most in (("setup_seconds", 3.0), ("call_seconds", 3.0), ("bytes", 2.0))
        )
        return Known(length, setup, call, math.ceil(num_bytes))

    def pilots(self, length: int) -> list[int]:
        """Lengths to try once before this one, so that no step is larger than STEP."""
        last = max((k.length for k in self.known if k.length <= length), default=0)
        found = []
        while max(last, SHORTEST_PILOT // STEP) * STEP < length:
            last = max(last * STEP, SHORTEST_PILOT)
            found.append(last)
        return found


def _grown(before: Known | None, last: Known, length: int, name: str, *, most: float) -> float:
    """The last value times the growth in length to the power seen between the last two.

    Never less than in proportion; quadratic where only one length is known.
    """
    now = float(getattr(last, name))
    power = 2.0
    if before is not None and (then := float(getattr(before, name))) > 0 < now:
        power = math.log(now / then) / math.log(last.length / before.length)
    return float(now * (length / last.length) ** min(max(power, 1.0), most))
