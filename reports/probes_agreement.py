"""How all numbers of a probe agree with theory: counted, so that no table need show every one."""

import math
from collections.abc import Sequence
from typing import Final

from reports.grid import Entry, Grid, Notes, Section, plain
from reports.probes import ESTIMATOR, Group, Reading
from reports.probes_entries import NOTHING, endless, group_notes, label_entry, title_of, words_of
from reports.probes_pivot import CLOSE

JUDGED: Final = {
    "probes/variance": ("second-moment", "pair-moment", "relative-variance", "slope"),
    "probes/equivalence": (
        *("second-moment", "bound", "ratio-of-second-moments"),
        *("mean-over-kernel", "mean-over-softmax"),
    ),
}
"""What has a prediction that is exact, and an interval that means what it says: Hill's estimate of
a tail has a bias of its own, and (12) is the beginning of a series."""
BEYOND_BY_CHANCE: Final = math.erfc(CLOSE / math.sqrt(2))


def agreement_grids(group: Group) -> list[Grid]:
    """A row for each quantity and one for all; none where nothing has a prediction."""
    names = [name for name in JUDGED.get(group.setting.task, ()) if _judged(group.of(name))]
    if not names:
        return []
    rows = [_row(name.replace("-", " "), group.of(name)) for name in names]
    everything = [reading for name in names for reading in group.of(name)]
    rows += [_row("all", everything)] if len(names) > 1 else []
    notes = Notes()
    notes.general.append(_sentence(everything))
    group_notes(group, notes)
    header = (
        *(("quantity",), ("with a", "prediction"), (f"beyond {CLOSE:.0f}", "standard errors")),
        *(("by chance",), ("furthest",), ("infinite", "by theory")),
    )
    return [
        Grid(
            title=title_of(group, "how measured numbers agree with closed forms"),
            header=header,
            sections=(Section(title="", rows=tuple(rows)),),
            notes=notes.all(),
        )
    ]


def _judged(readings: Sequence[Reading]) -> list[float]:
    return [off for reading in readings if (off := reading.standard_errors) is not None]


def _infinite(readings: Sequence[Reading]) -> int:
    return sum(bool(endless(reading.reason)) for reading in readings)


def _row(label: str, readings: Sequence[Reading]) -> tuple[Entry, ...]:
    judged = _judged(readings)
    beyond = sum(abs(off) > CLOSE for off in judged)
    infinite = _infinite(readings)
    return (
        label_entry(label),
        Entry(text=str(len(judged))),
        Entry(text=str(beyond)),
        Entry(text=f"{len(judged) * BEYOND_BY_CHANCE:.2g}"),
        Entry(text=f"{max(judged, key=abs):+.1f}"),
        Entry(text=str(infinite)) if infinite else NOTHING,
    )


def _sentence(readings: Sequence[Reading]) -> str:
    """Says as well where the furthest is, for whoever wants to look again."""
    off, furthest = max(
        ((abs(r.standard_errors), r) for r in readings if r.standard_errors is not None),
        key=lambda pair: pair[0],
    )
    judged = _judged(readings)
    beyond = sum(abs(each) > CLOSE for each in judged)
    names = (ESTIMATOR, *(name for name in furthest.where if name != ESTIMATOR))
    place = ", ".join(words_of(n, furthest.where[n]) for n in names if n in furthest.where)
    # The greatest of n independent standard normal numbers.
    tail = -math.expm1(len(judged) * math.log1p(-math.erfc(off / math.sqrt(2))))
    return plain(
        f"Of {len(judged)} numbers with a prediction {beyond} lie beyond {CLOSE:.0f} standard"
        f" errors, where chance would put {len(judged) * BEYOND_BY_CHANCE:.2g}; chance puts the"
        f" furthest of so many as far with a probability of {tail:.2g}. It is the"
        f" {furthest.quantity.replace('-', ' ')} of {place}."
    )
