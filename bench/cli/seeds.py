"""`--seeds 0 1 2` and `--seeds 0-999`, the same for every command."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from cyclopts import Parameter, Token

from bench.errors import UsageError

MOST: Final = 1_000_000
"""Seeds in one range: more is a slip of the hand."""
_RANGE = re.compile(r"(?P<first>[0-9]{1,18})(?:-(?P<last>[0-9]{1,18}))?")


def parse_seeds(texts: Iterable[str]) -> tuple[int, ...]:
    """`3`, and ranges `0-99` with both ends, as seeds in the order given."""
    seeds: list[int] = []
    for text in texts:
        match = _RANGE.fullmatch(text)
        if match is None:
            raise UsageError(f"--seeds takes numbers from 0 and ranges such as 0-9, not {text!r}.")
        first, last = int(match["first"]), int(match["last"] or match["first"])
        if last < first:
            raise UsageError(f"--seeds {text} ends before it begins. Give {last}-{first}.")
        if last - first >= MOST:
            raise UsageError(f"--seeds {text} is more than {MOST} seeds. Give fewer.")
        seeds += range(first, last + 1)
    return tuple(seeds)


def _read(_: Any, tokens: Sequence[Token]) -> tuple[int, ...]:
    return parse_seeds(token.value for token in tokens)


Seeds = Parameter(consume_multiple=True, negative=(), converter=_read)
