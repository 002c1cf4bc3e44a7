"""Documents as packed blocks of tokens, encoded only as far as blocks are asked for."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal

import numpy as np

from tasks.api import Scalar, SourceUnavailableError
from tasks.data.cache import Arrays, cached
from tasks.language import Blocks, Corpus, TextRequest

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
VERSION = 1
"""Of the way in which blocks are made: those kept under another are not read."""
USUAL_CALIBRATION, MOST_CALIBRATION = 16, 64
"""Training blocks that protocols calibrate on: there must be as many."""
MORE: Final = "Give more text, or shorter blocks with `--set length=`."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Shortage:
    """What there is of a part that takes more."""

    part: Part
    num_tokens: int
    where: str
    advice: str


class _TooShortError(SourceUnavailableError):
    """Some parts have fewer tokens than their blocks take."""

    def __init__(self, request: TextRequest, *short: _Shortage) -> None:
        super().__init__(_sentence(request, short))
        self.short = short


def corpus(
    request: TextRequest, name: str, digest: str, make: Callable[[Part], Blocks], what: str
) -> Corpus:
    """The blocks of all parts, made now unless the cache has those of this text and request.

    name: of the source, for what is kept. digest: of the text, or what fixes it. Raises
    SourceUnavailableError that tells of every part with too few tokens, so that advice followed
    once is enough.
    """

    def made() -> Arrays:
        arrays, short = Arrays(), list[_Shortage]()
        for part in PARTS:
            try:
                arrays[part] = make(part)
            except _TooShortError as error:
                short += error.short
        if short:
            raise _TooShortError(request, *short)
        return arrays

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
    num_blocks, body = _num_blocks(request, part), _body(request)
    flat = np.empty(num_blocks * body, dtype=np.int32)
    filled = 0
    for tokens in _encoded(texts, request):
        taken = tokens[: len(flat) - filled]
        flat[filled : filled + len(taken)] = taken
        filled += len(taken)
        if filled == len(flat):
            return _with_start(flat.reshape(num_blocks, body), request)
    short = _Shortage(part=part, num_tokens=filled, where=where, advice=advice)
    raise _TooShortError(request, short)


def spread_blocks(
    texts: Iterable[str], request: TextRequest, part: Part, where: str, *, seed: int
) -> Blocks:
    """As many as the part needs, in a random order out of all that its documents give, so that a
    few blocks are of many documents. More blocks begin with the same ones.

    Raises SourceUnavailableError as `first_blocks` does.
    """
    num_blocks, body = _num_blocks(request, part), _body(request)
    empty = np.empty(0, dtype=np.int32)
    flat = np.concatenate([empty, *_encoded(texts, request)])
    every = flat[: len(flat) // body * body].reshape(-1, body)
    if len(every) < num_blocks:
        short = _Shortage(part=part, num_tokens=len(flat), where=where, advice=MORE)
        raise _TooShortError(request, short)
    order = np.random.RandomState(seed).permutation(len(every))
    return _with_start(every[order[:num_blocks]], request)


def _num_blocks(request: TextRequest, part: Part) -> int:
    return int(getattr(request, f"{part}_blocks"))


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


def _sentence(request: TextRequest, short: Sequence[_Shortage]) -> str:
    """What there is, and settings that fit together, or that there are none."""
    body = _body(request)
    asked = {one: _num_blocks(request, one.part) for one in short}
    has = ", and ".join(
        f"{one.num_tokens} tokens for {one.part}, fewer than the {num * body} of {num} blocks of"
        f" {request.length}"
        for one, num in asked.items()
    )
    fits = {f"{one.part}_blocks": one.num_tokens // body for one in short}
    if all(fits.values()):
        if fits.get("train_blocks", MOST_CALIBRATION) < MOST_CALIBRATION:
            fits["calibration_blocks"] = min(fits["train_blocks"], USUAL_CALIBRATION)
        settings = " ".join(f"{name}={number}" for name, number in fits.items())
        advice = f"`--set {settings}` fits."
    else:
        advice = f"No number of blocks fits. {short[0].advice or MORE}"
    return f"{short[0].where} has {has}. {advice}"
