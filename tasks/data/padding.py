"""Byte strings of many lengths as one array of tokens: a byte's token is its value + 1, 0 pads."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BYTE_VOCABULARY = 257


def pad_bytes(
    texts: Sequence[bytes], max_length: int
) -> tuple[NDArray[np.integer], NDArray[np.int32]]:
    """Tokens `[text, max_length]` and lengths `[text]`; what is longer is cut.

    An empty text becomes one blank, so that every sequence has something to attend to. The tokens
    take one byte each unless the byte 255 occurs, which no UTF-8 text holds.
    """
    cut = [text[:max_length] or b" " for text in texts]
    wide = any(b"\xff" in text for text in cut)
    tokens = np.zeros((len(cut), max_length), dtype=np.uint16 if wide else np.uint8)
    for row, text in zip(tokens, cut, strict=True):
        row[: len(text)] = np.frombuffer(text, dtype=np.uint8)
        row[: len(text)] += 1
    return tokens, np.array([len(text) for text in cut], dtype=np.int32)
