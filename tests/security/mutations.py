"""Turns bytes into choices, and by them turns sound documents and files into doubtful ones.

One tape of bytes makes one case, so that hypothesis and atheris can drive the same targets.
"""

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
NUMBERS = (0, 1, 2, 3, 7, 1000, 2**31, 2**53, 2**63 - 1, -1, -(2**62), 2**63, 10**400)
FLOATS = (
    0.5,
    -0.5,
    0.0,
    -0.0,
    1.0,
    1e-15,
    1e15,
    1e40,
    1e-320,
    1e308,
    -1e308,
    1e18,
    float("nan"),
    float("inf"),
    -float("inf"),
)
TEXTS = (
    "",
    " ",
    "\n",
    "a\nb\tc",
    "../../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "\x1b[2J\x1b]8;;http://evil.example\x07x\x1b]8;;\x07",
    "\x9b31m",
    "\u202egnp.exe",
    "\u2028",
    "\ufeff",
    "\U0001f600",
    "<script>alert(1)</script>",
    "</script><!--",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "[x](javascript:alert(1))",
    "a|b`c`*d*",
    "[bold]x[/nothing]",
    "=1+1",
    "{{ 7*7 }}",
    "%s{0}",
    "\\input{x}$^_",
    "x" * 5_000,
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "2030-01-01",
    "softmax",
    "==",
    "AAAA",
)
WORDS = (
    "completed",
    "unsupported",
    "failed-gate",
    "crashed",
    "method",
    "floor",
    "ceiling",
    "kernel",
    "layer",
    "forward",
    "training",
    "decode",
    "latency",
    "memory",
    "crosses",
    "always",
    "never",
)
"""What a schema allows in one place or another."""
NESTED: Any = [[[[[[[[{"a": [{}]}]]]]]]]]
ODD: Sequence[Any] = (None, [], {}, [None], {"": None}, NESTED)


class Tape:
    """Choices read from bytes; past their end every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        taken = self._data[self._at : self._at + 2]
        self._at += 2
        return int.from_bytes(taken, "big") % n

    def choice(self, options: Sequence[T]) -> T:
        """One of these."""
        return options[self.below(len(options))]

    def rest(self) -> bytes:
        """What was not read yet."""
        return self._data[self._at :]


def doubtful(document: Any, tape: Tape) -> Any:
    """A copy of a JSON document with one of its places changed, or two."""
    changed = copy.deepcopy(document)
    for _ in range(1 + tape.below(5) // 4):
        _change(changed, tape)
    return changed


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with each key or index in it; of long lists the ends."""
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    for key in keys if len(keys) < 40 else keys[:3] + keys[-1:]:
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key])


def _change(document: Any, tape: Tape) -> None:
    """Replaces, removes, renames, repeats or shortens what stands in some place."""
    found = list(_places(document))
    if not found:
        return
    node, place = tape.choice(found)
    inner = node[place]
    match tape.below(40):
        case 0:
            del node[place]
        case 1 if isinstance(node, dict):
            node[tape.choice(TEXTS)] = node.pop(place)
        case 2 | 3 if isinstance(node, list):
            node.extend(copy.deepcopy(node[: 1 + tape.below(3)]))
        case _ if isinstance(inner, list):
            del inner[tape.below(3) :]
        case 4 | 5 | 6 | 7 if isinstance(inner, dict):
            inner[tape.choice(TEXTS)] = tape.choice((*TEXTS, *NUMBERS, *FLOATS))
        case _ if isinstance(inner, dict):
            _change(inner, tape)
        case _:
            node[place] = _another(inner, tape)


def _another(value: Any, tape: Tape) -> Any:
    """Mostly of the same kind, so that it passes a schema and meets what reads it."""
    if not tape.below(30):
        return tape.choice((*ODD, *TEXTS, *NUMBERS, *FLOATS))
    if isinstance(value, str):
        return tape.choice(WORDS if value in WORDS else TEXTS)
    if isinstance(value, bool) or value is None:
        return tape.choice((None, True, False, *NUMBERS, *FLOATS, ""))
    if isinstance(value, int):
        return tape.choice(NUMBERS)
    if isinstance(value, float):
        return tape.choice(FLOATS)
    return tape.choice(ODD)


def as_bytes(document: Any) -> bytes:
    """JSON as records are written: NaN and Infinity are words."""
    return json.dumps(document, ensure_ascii=False).encode(errors="surrogatepass")


def damaged(content: bytes, tape: Tape) -> bytes:
    """A file with one to four places overwritten, cut out, cut off, repeated or filled in."""
    found = bytearray(content)
    for _ in range(1 + tape.below(4)):
        start = tape.below(len(found) + 1)
        stop = min(len(found), start + 1 + tape.below(16))
        match tape.below(6):
            case 0:
                del found[start:]
            case 1:
                del found[start:stop]
            case 2:
                found[start:start] = found[start:stop] * (1 + tape.below(50))
            case 3:
                found[start:stop] = tape.choice(PIECES)
            case _:
                found[start:stop] = bytes(tape.below(256) for _ in range(stop - start))
    return bytes(found)


PIECES = (
    b"\0",
    b"\x1b[2J",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\xc2\xb2",
    b"\n",
    b"\r",
    b"\t",
    b"9" * 5_000,
    b"-1",
    b"1e999",
    b"NaN",
    b"[" * 5_000,
    b'{"text":' * 2_000,
    b'"\\ud800"',
    b"../../../../etc/passwd",
    b"/dev/zero",
)
