"""Keeps the table of catches true: `python -m tests.adversaries.page` writes it anew."""

import re
import sys
from collections.abc import Iterator

from reports.readme import rewrite
from tests.adversaries import late, offenders, shirkers
from tests.adversaries.patchers import PATCHES, SWITCHED

PAGE = "docs/how-to/trust-a-result.md"
_TABLE = re.compile(r"(<!-- table of adversaries -->\n).*?(<!-- end of table -->)", flags=re.DOTALL)


def with_table(text: str) -> str:
    """The text with the table of all adversaries in it."""
    head = "| what it does | caught by | the reason in its record holds |\n|---|---|---|\n"
    lines = (f"| {does} | {where}: `{law}` | {reads} |\n" for does, where, law, reads in _rows())
    return _TABLE.sub(lambda match: match[1] + head + "".join(lines) + match[2], text)


def _rows() -> Iterator[tuple[str, str, str, str]]:
    caught = {
        "gate": (*shirkers.AT_THE_GATE, *offenders.AT_THE_GATE, *late.AT_THE_GATE),
        "audit": (*shirkers.BY_THE_STOPWATCH, *late.BY_THE_STOPWATCH),
        "after training": (*late.ON_TEXT, *late.ON_EXAMPLES),
    }
    for where, adversaries in caught.items():
        for one in adversaries:
            yield one.does, where, one.law, f"… {one.reads} …"
    for name in PATCHES:
        yield f"Replaces `{name}`", "trial", "nothing-patched", f"… replaced {name} …"
    for name in SWITCHED:
        yield f"Changes `{name}`", "trial", "nothing-patched", f"… changed {name} from …"


if __name__ == "__main__":
    sys.exit(rewrite([PAGE], with_table))
