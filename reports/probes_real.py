"""The tables of `probes/real-qk`: features that real queries and keys need, variant by variant."""

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from reports.grid import Emphasis, Entry, Grid, Notes, Section, ranges
from reports.numbers import digits, percent
from reports.probes import Group, Reading
from reports.probes_entries import NOTHING, broken, group_notes, label_entry, title_of
from reports.probes_findings import findings
from reports.probes_heads import (
    SOFTMAX,
    Asked,
    Factor,
    Middle,
    Summary,
    by_target,
    geometric_mean,
    middle_of,
    models_of,
    needed_by,
    summaries,
    uniform_errors,
)

EQUAL: Final = "equal weights"


def needed_grids(group: Group) -> list[Grid]:
    """For each model all heads together: features needed, and the errors of so many."""
    return [_whole(group, model) for model in models_of(group)]


def layer_grids(group: Group) -> list[Grid]:
    """For each model and target the median over the heads of every layer."""
    found = ((model, needed_by(group, model)) for model in models_of(group))
    return [_layers(group, model, needed) for model, needed in found]


def _for(target: str) -> str:
    return f"for {percent(float(target))} %" if target else ""


def _whole(group: Group, model: str) -> Grid:
    """One row a method, the least error first, and one for attention that is no attention."""
    found = summaries(group, model)
    targets = list(dict.fromkeys(target for each in found for target in each.medians))
    # The best are those of one question: against its own kernel a method has another.
    same = [each for each in found if each.asked.against == SOFTMAX] or found
    fewest = {t: min(e.medians[t].value for e in same if t in e.medians) for t in targets}
    least = min((each.error for each in same if each.errors), default=math.nan)
    rows = [_row(each, fewest, least) for each in found]
    uniform = uniform_errors(group, model)
    if uniform:
        blank = [NOTHING] * (2 * len(targets))
        error = Entry(text=digits(geometric_mean([*uniform.values()])))
        rows.append((label_entry(EQUAL), *blank, error, NOTHING, NOTHING))
    notes = Notes()
    notes.general += _explained(found, targets)
    notes.general += findings(group, model, found, uniform)
    # What the rows say need not be said again in words.
    others = tuple(each for each in group.remarks if not each.startswith("verdict"))
    group_notes(replace(group, remarks=others), notes)
    most = max(each.num_features for each in found)
    pairs = ((("features", _for(target)), ("heads", "within")) for target in targets)
    return Grid(
        title=title_of(group, f"features needed on {model}, variant by variant"),
        header=(
            ("method",),
            *itertools.chain.from_iterable(pairs),
            ("error of the", f"output at {most}" if most else "output"),
            ("times", "plain"),
            ("heads with fewer", ": more features"),
        ),
        sections=(Section(title="", rows=tuple(rows)),),
        notes=notes.all(),
    )


def _row(summary: Summary, fewest: dict[str, float], least: float) -> tuple[Entry, ...]:
    entries = [label_entry(summary.asked.label)]
    for target, number in fewest.items():
        middle = summary.medians.get(target)
        if middle is None:
            entries += [NOTHING, NOTHING]
            continue
        best = math.isfinite(number) and middle.value == number
        entries += [_median(middle, best=best), Entry(text=f"{middle.reached} of {middle.heads}")]
    error = NOTHING
    if summary.errors:
        emphasis: Emphasis = "best" if summary.error == least else ""
        error = Entry(text=digits(summary.error), emphasis=emphasis)
    counts = f"{summary.fewer} : {summary.more}" if summary.factor else "-"
    return (*entries, error, _factor(summary.factor), Entry(text=counts))


def _factor(factor: Factor | None) -> Entry:
    if factor is None:
        return NOTHING
    return Entry(text=digits(factor.value), remark=factor.ends)


def _median(middle: Middle, *, best: bool = False) -> Entry:
    if math.isfinite(middle.value):
        return Entry(text=digits(middle.value), emphasis="best" if best else "")
    return Entry(text=_beyond(middle), emphasis="faint")


def _beyond(middle: Middle) -> str:
    return middle.beyond.replace("more than", ">").removesuffix(" features") or "-"


def _explained(found: Sequence[Summary], targets: Sequence[str]) -> list[str]:
    words = [
        "Features: from so many on the relative error of a head's output stays within the target;"
        " the median over heads, >: more than were tried."
    ]
    if any(each.errors for each in found):
        words.append(
            "Error of the output: relative, root of summed squares; of each layer the median head,"
            " geometric mean over draws, then over layers. Equal weights: every key alike, the"
            " error of doing nothing."
        )
    if any(each.factor for each in found):
        words.append(
            "Times plain: error over that of performer without calibration, paired over layers,"
            " interval by Student's t of the logarithms. Fewer : more: heads that need fewer or"
            f" more features than it{' ' + _for(targets[-1]) if targets else ''}, where either"
            " comes within the target."
        )
    return words


def _layers(group: Group, model: str, needed: dict[Asked, list[Reading]]) -> Grid:
    """One row a layer, one column a method; where nobody comes within the target, a note."""
    notes = Notes()
    sections: dict[str, list[tuple[Entry, ...]]] = defaultdict(list)
    by_layer = {asked: _by_layer(readings) for asked, readings in needed.items()}
    keys = dict.fromkeys(key for found in by_layer.values() for key in found)
    nobody: dict[str, list[int]] = defaultdict(list)
    for target, layer in keys:
        middles = [found.get((target, layer)) for found in by_layer.values()]
        known = [middle.value for middle in middles if middle and math.isfinite(middle.value)]
        same = [m for one, m in zip(by_layer, middles, strict=True) if one.against == SOFTMAX]
        least = min((middle.value for middle in same if middle), default=math.inf)
        if not known:
            nobody[target].append(layer)
            continue
        entries = (_median(m, best=m.value == least) if m else NOTHING for m in middles)
        sections[target].append((label_entry(str(layer)), *entries))
    for target, layers in nobody.items():
        beyond = next(iter(by_layer.values()))[target, layers[0]]
        words = _for(target).replace("for", "For an error of") or "There"
        notes.general.append(
            f"{words} the median head of {len(layers)} of"
            f" {len({layer for t, layer in keys if t == target})} layers needs"
            f" {beyond.beyond or 'more features than were tried'}, whatever the method"
            + (f": layers {ranges(layers)}." if target in sections else ".")
        )
    return Grid(
        title=title_of(group, f"features needed on {model}, median over the heads of each layer"),
        header=(("layer",), *(tuple(broken(asked.label)) for asked in needed)),
        sections=tuple(
            Section(title=_for(target).replace("for", "for an error of"), rows=tuple(rows))
            for target, rows in sections.items()
        ),
        notes=notes.all(),
    )


def _by_layer(readings: Sequence[Reading]) -> dict[tuple[str, int], Middle]:
    found: dict[tuple[str, int], list[Reading]] = defaultdict(list)
    for target, mine in by_target(readings).items():
        for reading in mine:
            found[target, int(reading.where.get("layer", 0))].append(reading)
    return {key: middle_of(heads) for key, heads in found.items()}
