"""Files that others made: how much of them is read, and how their text is shown.

Control characters in a record would reach the reader's terminal, which obeys them: it clears its
screen, changes what stands there, opens links under other names.
"""

import gzip
import io
import os
import re
import stat
import unicodedata
from typing import Any, Final

import pydantic_core

LARGEST: Final = 2**28
"""Bytes of one record, unpacked: some two hundred times the largest that was ever measured."""
TOO_LARGE: Final = f"it holds more than {LARGEST // 2**20} MiB, as no record does"
# Whatever JSON can write other than by printable ASCII.
_UNUSUAL = re.compile(rb"\\[bfru]|\x7f")


class TooLargeError(OSError):
    """A file holds more than any record does."""


def read_bounded(file: str) -> bytes:
    """The content of a regular file. Raises OSError, also for more than a record holds, and for a
    pipe or a device, which may have no end."""
    # A pipe that nobody writes to would be waited for.
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb", buffering=0) as stream:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            raise OSError("it is no regular file")
        # Its size is asked first: a buffer for as much as it may hold takes longer than the file.
        if seen.st_size > LARGEST:
            raise TooLargeError(TOO_LARGE)
        return stream.readall()


def unpacked(content: bytes) -> bytes:
    """What gzip packed. Raises EOFError, zlib.error or gzip.BadGzipFile where it is not whole, and
    TooLargeError for kilobytes that would unpack to terabytes."""
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise TooLargeError(TOO_LARGE)
    return content


def legible(content: bytes) -> bytes:
    """The same JSON with everything unprintable in its texts written out, as `\\x1b` is.

    What is no JSON comes back as it is.
    """
    # The two bytes are found many times quicker than the expression.
    escaped = b"\\" in content or b"\x7f" in content
    if content.isascii() and not (escaped and _UNUSUAL.search(content)):
        return content
    try:
        document = pydantic_core.from_json(content)
    except ValueError:
        return content
    return pydantic_core.to_json(_legible(document), inf_nan_mode="constants")


def _legible(node: Any) -> Any:
    match node:
        case str():
            return printable(node)
        case list():
            return [_legible(each) for each in node]
        case dict():
            return {printable(key): _legible(value) for key, value in node.items()}
        case _:
            return node


def printable(text: str) -> str:
    """The text with control characters, marks of direction and the like written out."""
    if text.isprintable():
        return text
    return "".join(each if _is_harmless(each) else repr(each)[1:-1] for each in text)


def _is_harmless(each: str) -> bool:
    return each.isprintable() or each in "\n\t" or unicodedata.category(each) == "Zs"
