"""The errors of the harness itself: what a user caused, and what a method did while measured."""

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """Bad input: printed as a sentence, exit code 2. The message says what was asked, what is so
    and what to do."""


class FailedGateError(Exception):
    """A law that a method was seen to break while it was measured. The message names the law."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`Did you mean 'x'?` with a leading space, or nothing where no name is near."""
    close = difflib.get_close_matches(name, list(known), n=2, cutoff=0.6)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
