"""The table of a reproduction: claim, source, what was run, effect, verdict, and the rules."""

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from rich.console import RenderableType

from reports.claims.claim import Effect, Judgement, Paper
from reports.formats import TerminalGrid, latex_grid, markdown_grid
from reports.grid import Entry, Grid, Notes, Section, ranges
from results.record import Record

Format = Literal["table", "markdown", "latex", "json"]
HEADER = (("claim",), ("source",), ("what was run",), ("effect, 95 % interval",), ("verdict",))


def renderable(paper: Paper, judgements: Sequence[Judgement]) -> RenderableType:
    """For a rich console."""
    return TerminalGrid(claims_grid(paper, judgements))


def render(
    paper: Paper, judgements: Sequence[Judgement], format: Format, *, rules: bool = True
) -> str:
    """As text; `table` is a terminal's and goes through `renderable`."""
    if format == "json":
        return json.dumps([_plain(paper, each) for each in judgements], indent=2) + "\n"
    grid = claims_grid(paper, judgements, rules=rules)
    return latex_grid(grid) if format == "latex" else markdown_grid(grid)


def claims_grid(paper: Paper, judgements: Sequence[Judgement], *, rules: bool = True) -> Grid:
    """One row a claim, every one of them, whatever its verdict."""
    notes = Notes()
    rows = []
    for each in judgements:
        claim, finding = each.claim, each.finding
        refs = (notes.number(f"{claim.name}: {finding.note}"),) if finding.note else ()
        effects = "; ".join(map(str, finding.effects)) or "-"
        rows.append(
            (
                Entry(text=claim.name, remark=claim.statement),
                Entry(text=claim.source),
                Entry(text=what_ran(each.records) or "nothing"),
                Entry(text=effects),
                Entry(text=finding.verdict, refs=refs),
            )
        )
    # Whole, however long: a rule that is cut off is none.
    texts = [("", f"Rule of {', '.join(names)}: {r}") for r, names in _rules(judgements).items()]
    presets = ", ".join(dict.fromkeys(each.preset for each in judgements))
    return Grid(
        title=f"{paper.title} ({paper.paper}): its claims, preset {presets}",
        header=HEADER,
        sections=(Section(title="", rows=tuple(rows)),),
        notes=(*notes.all(), *(texts if rules else ())),
        words=True,
    )


def what_ran(records: Sequence[Record]) -> str:
    """`c4/finetune small: softmax, darkformer, seeds 0-2`: what completed."""
    found: dict[tuple[str, str], dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for record in records:
        if record.status == "completed":
            identity = record.identity
            found[identity.task, identity.preset][_name(record, records)].add(identity.seed)
    texts = []
    for (task, preset), methods in found.items():
        by_seeds: dict[str, list[str]] = defaultdict(list)
        for name, seeds in methods.items():
            by_seeds[ranges([*seeds])].append(name)
        parts = (f"{', '.join(names)}{_seeds(seeds)}" for seeds, names in by_seeds.items())
        texts.append(f"{task} {preset}: {'; '.join(parts)}")
    return "; ".join(texts)


def _seeds(seeds: str) -> str:
    return "" if seeds == "0" else f" (seeds {seeds})"


def _name(record: Record, records: Sequence[Record]) -> str:
    """The method, with the options that tell it from its namesakes, and its number of features."""
    mine = record.identity.method_options
    others = [
        r.identity.method_options
        for r in records
        if r.identity.method == record.identity.method and r.identity.task == record.identity.task
    ]
    shown = [
        f"{name}={value}"
        for name, value in mine.items()
        if name == "num_features" or any(other.get(name) != value for other in others)
    ]
    return ":".join((record.identity.method, ",".join(shown))) if shown else record.identity.method


def _rules(judgements: Sequence[Judgement]) -> dict[str, list[str]]:
    rules: dict[str, list[str]] = defaultdict(list)
    for each in judgements:
        rules[each.claim.rule].append(each.claim.name)
    return rules


def _plain(paper: Paper, each: Judgement) -> dict[str, object]:
    claim, finding = each.claim, each.finding
    return {
        "paper": paper.paper,
        "claim": claim.name,
        "statement": claim.statement,
        "source": claim.source,
        "preset": each.preset,
        "rule": claim.rule,
        "verdict": finding.verdict,
        "effects": [_numbers(effect) for effect in finding.effects],
        "note": finding.note,
        "ran": what_ran(each.records),
        "records": [record.identity.file_name() for record in each.records],
    }


def _numbers(effect: Effect) -> dict[str, object]:
    found = effect.interval
    ends = (found.low, found.high) if found.known else (None, None)
    # JSON has no infinity.
    value, low, high = (x if x is None or math.isfinite(x) else str(x) for x in (found.mean, *ends))
    return {"what": effect.what, "value": value, "low": low, "high": high, "unit": effect.unit}
