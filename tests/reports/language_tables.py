"""What tests of tables of language tasks read from them."""

import json
import re

from reports.table import render
from results.record import Record


def shown(records: list[Record], part: str = "finetuning", **options: object) -> str:
    return render(records, "markdown", part=part, **options)


def row(text: str, method: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if re.match(rf"\| {re.escape(method)}\b", line))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def values(records: list[Record], quantity: str, **options: object) -> list[dict]:
    found = json.loads(render(records, "json", **options))
    return [value for value in found if value["quantity"] == quantity]
