"""The table of a reproduction: claim, source, what was run, effect, verdict, and the rules."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from typing import Literal

from rich.console import RenderableType

from reports.claims.claim import Effect, Judgement, Paper
from reports.formats import TerminalGrid, latex_grid, markdown_grid
from reports.grid import Entry, Grid, Notes, Section, ranges
from results.record import Record

Format = Literal["table", "markdown", "latex", "json"]
HEADER = (("claim",), ("source",), ("what was run",), ("effect, 95 % interval",), ("verdict",))

Told = Mapping[str, Set[str]]
"""By method: the options that are told with its name."""


def renderable(paper: Paper, judgements: Sequence[Judgement]) -> RenderableType:
    """For a rich console."""
    return TerminalGrid(claims_grid(paper, judgements))


def render(
    paper: Paper, judgements: Sequence[Judgement], format: Format, *, rules: bool = True
) -> str:
    """As text; `table` is a terminal's and goes through `renderable`."""
    if format == "json":
        told = told_options(paper)
        return json.dumps([_plain(paper, each, told) for each in judgements], indent=2) + "\n"
    grid = claims_grid(paper, judgements, rules=rules)
    return latex_grid(grid) if format == "latex" else markdown_grid(grid)


def claims_grid(paper: Paper, judgements: Sequence[Judgement], *, rules: bool = True) -> Grid:
    """One row a claim, every one of them, whatever its verdict."""
    notes = Notes()
    told = told_options(paper)
    rows = []
    for each in judgements:
        claim, finding = each.claim, each.finding
        refs = (notes.number(f"{claim.name}: {finding.note}"),) if finding.note else ()
        effects = "; ".join(map(str, finding.effects)) or "-"
        rows.append(
            (
                Entry(text=claim.name, remark=claim.statement),
                Entry(text=claim.source),
                Entry(text=what_ran(each.records, told) or "nothing"),
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


def told_options(paper: Paper) -> Told:
    """Those that any of the paper's trials sets, so that a name means one thing in every row: an
    option that is not told is the default for all claims."""
    told: dict[str, set[str]] = defaultdict(set)
    trials = (runs for claim in paper.claims for some in claim.runs.values() for runs in some)
    for selector in (method for runs in trials for method in runs.methods):
        method, _, options = selector.partition(":")
        told[method] |= {pair.partition("=")[0].strip() for pair in options.split(",") if pair}
    return told


def what_ran(records: Sequence[Record], told: Told) -> str:
    """`c4/finetune small: softmax, darkformer, seeds 0-2`: what completed."""
    found: dict[tuple[str, str], dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for record in records:
        if record.status == "completed":
            identity = record.identity
            found[identity.task, identity.preset][_name(record, told)].add(identity.seed)
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


def _name(record: Record, told: Told) -> str:
    """The method with its number of features and the options that are told."""
    method = record.identity.method
    shown = {"num_features", *told.get(method, ())}
    options = [f"{k}={v}" for k, v in record.identity.method_options.items() if k in shown]
    return ":".join((method, ",".join(options))) if options else method


def _rules(judgements: Sequence[Judgement]) -> dict[str, list[str]]:
    rules: dict[str, list[str]] = defaultdict(list)
    for each in judgements:
        rules[each.claim.rule].append(each.claim.name)
    return rules


def _plain(paper: Paper, each: Judgement, told: Told) -> dict[str, object]:
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
        "ran": what_ran(each.records, told),
        "records": [record.identity.file_name() for record in each.records],
    }


def _numbers(effect: Effect) -> dict[str, object]:
    found = effect.interval
    ends = (found.low, found.high) if found.known else (None, None)
    # JSON has no infinity.
    value, low, high = (x if x is None or math.isfinite(x) else str(x) for x in (found.mean, *ends))
    return {"what": effect.what, "value": value, "low": low, "high": high, "unit": effect.unit}
