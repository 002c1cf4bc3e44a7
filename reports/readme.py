"""Keeps the tables in documents true: `python -m reports.readme` writes them anew from records.

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`; its records lie in
`results/measured/NAME`. `NAME without cost` leaves the price out, where trials shared the machine;
`NAME only crossovers` shows one part of cost trials or of probes, as `bench compare --part` does.
The fairness ledger, which repeats much of the cost, stands there as a part of its own only.
A test compares the two.
"""

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

from reports.table import Part, render
from results.record import Record
from results.store import Store

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "results" / "measured"
DOCUMENTS = ("README.md", "docs/variance.md")
_TABLE = re.compile(
    r"(<!-- table: (?P<name>\S+)(?P<priceless> without cost)?(?: only (?P<part>\w+))? -->\n)"
    r".*?<!-- end of table -->",
    re.DOTALL,
)


def with_tables(text: str) -> str:
    """The text with every marked table rendered from its records."""
    read: dict[str, tuple[Record, ...]] = {}

    def table(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in read:
            read[name] = _records(MEASURED / name)
        cost, part = not match["priceless"], cast(Part | None, match["part"])
        rendered = render(read[name], "markdown", cost=cost, part=part, ledger=False)
        if not rendered:
            raise ValueError(f"the records of {name!r} have nothing to show for {part!r}.")
        return f"{match[1]}{rendered}\n<!-- end of table -->"

    return _TABLE.sub(table, text)


def _records(folder: Path) -> tuple[Record, ...]:
    reading = Store(folder).read()
    if reading.problems or not reading.records:
        raise ValueError(f"{folder} holds no records, or files that are none.")
    return reading.records


def rewrite(documents: Iterable[str], anew: Callable[[str], str]) -> int:
    """Write each document anew from its text; exit code 1 if any was out of date."""
    stale = False
    for name in documents:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        new = anew(text)
        stale |= new != text
        path.write_text(new, encoding="utf-8")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(rewrite(DOCUMENTS, with_tables))
