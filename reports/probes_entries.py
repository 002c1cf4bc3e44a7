"""What stands in one place of a table of probes: a number with its interval, or its absence."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from reports.curve_tables import with_spread
from reports.grid import Entry, Notes, plain
from reports.numbers import digits
from reports.probes import Group, Reading, Setting
from reports.probes_places import text_of
from results.probe import Coordinate
from results.statistics import Interval

INFINITE, BEYOND = "infinite", "more than"
"""How reasons begin that are answers themselves: no note need say more."""
HEADINGS: Final = {
    "lambda_max": "largest eigenvalue",
    "num_features": "m",
    "kv_head": "key-value head",
}
NOTHING: Final = Entry(text="-", emphasis="faint")
LONGEST_LABEL: Final = 60
_NUMBERS: Final = re.compile(r"\d[\d.]*")


@dataclass(slots=True)
class Reasons:
    """Notes of a table; reasons that differ in numbers alone have the first one's."""

    notes: Notes = field(default_factory=Notes)
    first: dict[str, str] = field(default_factory=dict)

    def number(self, reason: str) -> str:
        """The number of the note that tells it."""
        return self.notes.number(self.first.setdefault(without_numbers(reason), reason))


def without_numbers(reason: str) -> str:
    """What reasons have in common that differ in numbers alone."""
    return _NUMBERS.sub("#", reason)


def entry_of(reading: Reading | None, reasons: Reasons) -> Entry:
    """The value and the longer side of its interval; without a value, its reason in short."""
    if reading is None:
        return NOTHING
    if reading.value is None:
        return without_value(reading.reason, reasons)
    return Entry(text=number_of(reading))


def without_value(reason: str, reasons: Reasons) -> Entry:
    """`infinite`, `> 1024`, or a dash with a note."""
    words = endless(reason)
    if words.startswith(BEYOND):
        return Entry(text=words.replace(BEYOND, ">").removesuffix(" features"), emphasis="faint")
    if words:
        return Entry(text=words, emphasis="faint")
    return Entry(text="-", emphasis="faint", refs=(reasons.number(reason),))


def endless(reason: str) -> str:
    """`infinite` or `more than M`, where a value is missing because it is too large."""
    words = reason.split(":")[0].strip()
    return words if words.startswith((INFINITE, BEYOND)) and len(words) < 32 else ""


def number_of(reading: Reading) -> str:
    """With the longer side of its interval in percent, where the number is not about zero."""
    value, low, high = reading.value, reading.low, reading.high
    assert value is not None
    if low is None or high is None or value <= 0 or not low <= value <= high or low == high:
        return digits(value)
    if max(high - value, value - low) > 9.99 * value:
        return f"{digits(value)} ({digits(low)} to {digits(high)})"
    return with_spread(Interval(mean=value, low=low, high=high), 1.0)


def heading(name: str) -> str:
    """A coordinate's name for a reader."""
    return HEADINGS.get(name, name.replace("_", " "))


def words_of(name: str, value: Coordinate | None) -> str:
    """`length 256`, `not causal`, `against softmax`; any other text stands for itself."""
    if isinstance(value, bool):
        return heading(name) if value else f"not {heading(name)}"
    if isinstance(value, str):
        return f"{name} {value}" if name == "against" else value
    return f"{heading(name)} {text_of(value) or 'none'}"


def broken(words: str) -> list[str]:
    """Lines of a column's head: names of methods are broken at their options, others at commas."""
    name, _, options = words.partition(":")
    lines = [name, *options.replace('"', "").split(",")] if options else words.split(", ")
    return [line.strip() for line in lines if line.strip()]


def label_entry(label: str, remark: str = "", refs: Sequence[str] = ()) -> Entry:
    """The first entry of a row."""
    return Entry(text=plain(label, LONGEST_LABEL), remark=remark, refs=tuple(refs))


def title_of(group: Group, what: str, constant: Mapping[str, Coordinate] | None = None) -> str:
    """What the table shows, and what all of it has in common."""
    setting = group.setting
    parts = [words_of(name, value) for name, value in (constant or {}).items()]
    parts += [setting.dtype, setting.device, f"preset {setting.preset}"]
    parts += changed(setting)
    return plain(f"{setting.task}: {what}; {', '.join(parts)}")


def changed(setting: Setting) -> list[str]:
    """What was changed in the preset, as it is typed; nothing where nothing was."""
    return [f"changed {options_text(setting.settings)}"] if setting.settings != "{}" else []


def options_text(canonical: str) -> str:
    """`num_features=256, orthogonal=true` of canonical JSON."""
    values = json.loads(canonical)
    typed = {n: v if isinstance(v, str) else json.dumps(v) for n, v in values.items()}
    return ", ".join(f"{name}={value}" for name, value in typed.items())


def group_notes(group: Group, notes: Notes) -> None:
    """How trials ended, what the cards say and what the gate says against a method."""
    notes.general += list(group.remarks)
    notes.general += [f"{label} fails the gate: {text}" for label, text in group.gates.items()]
    if any("not committed" in commit for commit in group.commits):
        notes.general.append("Some records were made with uncommitted changes in the code.")
