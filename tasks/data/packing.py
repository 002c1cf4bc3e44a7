"""Documents as packed blocks of tokens, encoded only as far as blocks are asked for."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import numpy as np

from tasks.api import Scalar, SourceUnavailableError
from tasks.data.cache import Arrays, cached
from tasks.language import Blocks, Corpus, TextRequest

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
VERSION = 1
"""Of the way in which blocks are made: those kept under another are not read."""


def corpus(
    request: TextRequest, name: str, digest: str, make: Callable[[Part], Blocks], what: str
) -> Corpus:
    """The blocks of all parts, made now unless the cache has those of this text and request.

    name: of the source, for what is kept. digest: of the text, or what fixes it.
    """

    def made() -> Arrays:
        return {part: make(part) for part in PARTS}

    key: dict[str, Scalar] = {"version": VERSION, "text": digest}
    for field in dataclasses.fields(request):
        if field.name not in ("encode", "path", "cache"):
            key[field.name] = getattr(request, field.name)
    arrays = cached(request.cache, f"text-{name}", key, made)
    what += f" Blocks of {request.length} tokens of {request.tokenizer}."
    return Corpus(**{part: arrays[part] for part in PARTS}, what=what)


def first_blocks(
    texts: Iterable[str], request: TextRequest, part: Part, where: str, *, advice: str = ""
) -> Blocks:
    """As many as the part needs, from the documents in their order; the rest is not read.

    Raises SourceUnavailableError with the numbers where there are too few tokens, and with `advice`
    where there are too few for a block.
    """
    num_blocks = int(getattr(request, f"{part}_blocks"))
    body = _body(request)
    flat = np.empty(num_blocks * body, dtype=np.int32)
    filled = 0
    for tokens in _encoded(texts, request):
        taken = tokens[: len(flat) - filled]
        flat[filled : filled + len(taken)] = taken
        filled += len(taken)
        if filled == len(flat):
            return _with_start(flat.reshape(num_blocks, body), request)
    raise _too_short(filled, num_blocks, request, part, where, advice)


def spread_blocks(
    texts: Iterable[str], request: TextRequest, part: Part, where: str, *, seed: int
) -> Blocks:
    """As many as the part needs, in a random order out of all that its documents give, so that a
    few blocks are of many documents. More blocks begin with the same ones.

    Raises SourceUnavailableError as `first_blocks` does.
    """
    num_blocks = int(getattr(request, f"{part}_blocks"))
    body = _body(request)
    empty = np.empty(0, dtype=np.int32)
    flat = np.concatenate([empty, *_encoded(texts, request)])
    every = flat[: len(flat) // body * body].reshape(-1, body)
    if len(every) < num_blocks:
        raise _too_short(len(flat), num_blocks, request, part, where)
    order = np.random.RandomState(seed).permutation(len(every))
    return _with_start(every[order[:num_blocks]], request)


def _body(request: TextRequest) -> int:
    """Tokens of text in a block."""
    return request.length - (request.start is not None)


def _encoded(texts: Iterable[str], request: TextRequest) -> Iterator[Blocks]:
    end = [] if request.separator is None else [request.separator]
    for text in texts:
        if text.strip():
            yield np.array(request.encode(text) + end, dtype=np.int32)


def _with_start(blocks: Blocks, request: TextRequest) -> Blocks:
    if request.start is None:
        return blocks
    return np.insert(blocks, 0, request.start, axis=1)


def _too_short(
    num_tokens: int, num_blocks: int, request: TextRequest, part: Part, where: str, advice: str = ""
) -> SourceUnavailableError:
    body = _body(request)
    if num_tokens >= body:
        advice = f"`--set {part}_blocks={num_tokens // body}` fits."
    return SourceUnavailableError(
        f"{where} has {num_tokens} tokens for {part}, fewer than the {num_blocks * body} of"
        f" {num_blocks} blocks of {request.length}. {advice}".strip()
    )
