"""Keeps verdicts in documents true: `python -m bench.docs.claims` writes them anew from records.

A table stands between `<!-- claims: PAPER PRESET -->` and `<!-- end of claims -->`; its records lie
in folders of `results/measured`. `without rules` leaves out what `--dry-run` prints. A test
compares the two. This is no part of `reports.readme`, since which trials test a claim is known to
the planner alone.
"""

import re
import sys
from collections.abc import Iterable

from bench.cli.reproduce import claim_trials
from bench.cli.run import user_cache
from bench.plan import Trial
from reports.claims.claim import judged
from reports.claims.papers import papers
from reports.claims.table import render
from reports.readme import MEASURED, rewrite
from results.record import Record
from results.store import Store

STORES = tuple(Store(MEASURED / name) for name in ("reproduce", "finetune"))
DOCUMENTS = ("README.md", "docs/how-to/check-a-papers-claims.md")
_TABLE = re.compile(
    r"(<!-- claims: (?P<paper>\S+) (?P<preset>\w+)(?P<bare> without rules)? -->\n)"
    r".*?<!-- end of claims -->",
    re.DOTALL,
)


def with_claims(text: str) -> str:
    """The text with every marked table of verdicts judged from its records."""

    def table(match: re.Match[str]) -> str:
        paper = papers()[match["paper"]]
        preset = match["preset"]
        judgements = [
            judged(claim, preset, _found(claim_trials(claim, preset, None, "cpu", user_cache())))
            for claim in paper.claims
        ]
        rendered = render(paper, judgements, "markdown", rules=not match["bare"])
        return f"{match[1]}{rendered.rstrip()}\n\n<!-- end of claims -->"

    return _TABLE.sub(table, text)


def _found(trials: Iterable[Trial]) -> list[Record]:
    identities = [trial.identity for trial in trials]
    return [record for store in STORES for record in store.find_all(identities).values()]


if __name__ == "__main__":
    sys.exit(rewrite(DOCUMENTS, with_claims))
