"""ListOps: the value of a nested list expression, by the official generator's rules."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.api import (
    Dataset,
    LoadRequest,
    ModelShape,
    Preset,
    Source,
    SourceUnavailableError,
    Split,
    TrainedTask,
    Training,
)
from tasks.data.cache import Arrays, cached
from tasks.data.expressions import CLOSE, FIRST_OPERATOR, VOCABULARY, Rules, expressions
from tasks.data.options import options
from tasks.data.release import find_release_files, why_release_is_missing
from tasks.lra import protocols

VERSION = 1
SEED = 1603
OFFICIAL = {
    "num_train": 96_000,
    "num_validation": 2_000,
    "num_test": 2_000,
    "min_length": 500,
    "max_length": 2_000,
    "max_depth": 10,
    "max_args": 10,
}
"""Lengths are exclusive bounds, as in the official generator."""

FOLDERS = ("listops-1000", "listops", "")
FILES = ("basic_train.tsv", "basic_val.tsv", "basic_test.tsv")


def _generate(request: LoadRequest) -> Dataset:
    chosen = options(request, OFFICIAL)
    sizes = [chosen[f"num_{split}"] for split in ("train", "validation", "test")]
    rules = Rules(**{k: v for k, v in chosen.items() if not k.startswith("num_")})
    if min(sizes) < 1:
        raise ValueError("ListOps needs at least one example in each of its three splits.")

    def make() -> Arrays:
        texts, values = expressions(rules, sum(sizes), SEED)
        lengths = np.array([len(text) for text in texts], dtype=np.int32)
        flat = np.frombuffer(b"".join(texts), dtype=np.uint8)
        return {"flat": flat, "lengths": lengths, "values": values}

    arrays = cached(request.cache, f"listops-v{VERSION}", {**chosen, "seed": SEED}, make)
    width = rules.max_length - 1
    tokens = np.zeros((sum(sizes), width), dtype=np.uint8)
    tokens[np.arange(width) < arrays["lengths"][:, None]] = arrays["flat"]
    bounds = np.cumsum([0, *sizes])
    train, validation, test = (
        _split(tokens[a:b], arrays["lengths"][a:b], arrays["values"][a:b])
        for a, b in pairwise(bounds)
    )
    what = (
        f"ListOps expressions by the official rules, {rules.min_length} < length <"
        f" {rules.max_length}, depth up to {rules.max_depth}, up to {rules.max_args} arguments;"
        f" distinct, seed {SEED}, split at random."
    )
    return _dataset(train, validation, test, what)


def _split(tokens: NDArray[np.uint8], lengths: NDArray[np.integer], values: NDArray) -> Split:
    return Split(tokens=tokens[:, None], lengths=lengths[:, None], labels=values)


def _dataset(train: Split, validation: Split, test: Split, what: str) -> Dataset:
    return Dataset(
        train=train,
        validation=validation,
        test=test,
        vocab_size=VOCABULARY,
        num_classes=10,
        what=what,
    )


def _load_release(request: LoadRequest) -> Dataset:
    chosen = options(request, OFFICIAL)
    files = find_release_files(request.path, FOLDERS, FILES)
    train, validation, test = (
        read_tsv(file, chosen[f"num_{split}"], chosen["max_length"])
        for file, split in zip(files, ("train", "validation", "test"), strict=True)
    )
    what = (
        f"ListOps, the official release's {', '.join(FILES)} with its own splits; parentheses"
        f" dropped, cut at {chosen['max_length']} tokens."
    )
    return _dataset(train, validation, test, what)


_OPERATORS = (b"[MIN", b"[MAX", b"[MED", b"[SM")
_TABLE = bytearray(256)
_TABLE[ord("0") : ord("9") + 1] = range(1, 11)
_TABLE[0x81 : 0x81 + len(_OPERATORS)] = range(FIRST_OPERATOR, FIRST_OPERATOR + 4)
_TABLE[ord("]")] = CLOSE
_FROM_TEXT = bytes(_TABLE)
"""From bytes to tokens, the operators already replaced by one byte each; 0: not a symbol."""


def tokenize(source: bytes) -> bytes | None:
    """The tokens of an expression as the release prints it, parentheses dropped; None: foreign."""
    if not source.isascii() or re.search(rb"\d\d|\d\[|\]\[|\d\]", source):
        return None
    for byte, operator in enumerate(_OPERATORS, start=0x81):
        source = source.replace(operator + b" ", bytes([byte, 32]))
    tokens = source.translate(_FROM_TEXT, delete=b" ()")
    return tokens if tokens and 0 not in tokens else None


def read_tsv(file: Path, num: int, max_length: int) -> Split:
    """The first `num` examples of one of the release's files."""
    texts: list[bytes] = []
    values: list[int] = []
    with file.open("rb") as lines:
        if lines.readline().rstrip(b"\r\n") != b"Source\tTarget":
            raise SourceUnavailableError(f"{file}, line 1: expected the header Source<tab>Target.")
        for number, line in enumerate(lines, start=2):
            if len(texts) == num:
                break
            source, _, target = line.rstrip(b"\r\n").partition(b"\t")
            tokens = tokenize(source)
            if tokens is None or len(target) != 1 or not target.isdigit():
                raise SourceUnavailableError(
                    f"{file}, line {number}: expected an expression, a tab and a digit."
                )
            texts.append(tokens[:max_length])
            values.append(int(target))
    if not texts:
        raise SourceUnavailableError(f"{file} holds no examples.")
    return _padded(texts, values, max_length)


def _padded(texts: Sequence[bytes], values: Sequence[int], width: int) -> Split:
    tokens = np.zeros((len(texts), width), dtype=np.uint8)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = np.frombuffer(text, dtype=np.uint8)
    lengths = np.array([len(text) for text in texts], dtype=np.int32)
    return _split(tokens, lengths, np.array(values, dtype=np.uint8))


QUICK = Preset(
    name="quick",
    note="A few seconds on two CPU cores, to see that everything works; too short to learn much.",
    source="generated",
    model=ModelShape(num_layers=2, num_heads=2, d_model=64, qkv_dim=64, mlp_dim=128),
    training=Training(
        steps=150, batch_size=32, learning_rate=1e-3, warmup_steps=15, evaluate_every=50
    ),
    data={
        "num_train": 4_000,
        "num_validation": 500,
        "num_test": 1_000,
        "min_length": 20,
        "max_length": 128,
        "max_depth": 5,
        "max_args": 5,
    },
    max_time=127,
)
SMALL = Preset(
    name="small",
    note="Shorter expressions (up to 99 tokens, depth 4), from which softmax learns on a CPU.",
    source="generated",
    model=ModelShape(num_layers=2, num_heads=4, d_model=64, qkv_dim=64, mlp_dim=256),
    training=Training(
        steps=2_000, batch_size=64, learning_rate=2e-3, warmup_steps=200, clip_norm=1.0
    ),
    data={
        "num_train": 96_000,
        "num_validation": 2_000,
        "num_test": 2_000,
        "min_length": 10,
        "max_length": 100,
        "max_depth": 4,
        "max_args": 5,
    },
    max_time=99,
)
PUBLISHED = tuple(
    protocols.preset(name, "listops", source="generated", max_time=2_000, data=OFFICIAL, note=note)
    for name, note in (
        ("lra-paper", ""),
        ("lra-repo", ""),
        ("nystrom", ""),
        ("s4", "It pads to 2048; no expression is longer than 1999 tokens."),
    )
)

TASK = TrainedTask(
    name="lra/listops",
    version=VERSION,
    title="ListOps: the value of a nested expression",
    presets=(QUICK, SMALL, *PUBLISHED),
    sources=(
        Source(
            name="generated",
            title="ListOps, generated by the official rules",
            load=_generate,
        ),
        Source(
            name="release",
            title="ListOps, the official release",
            load=_load_release,
            missing=lambda request: why_release_is_missing(request.path, FOLDERS, FILES),
        ),
    ),
    paper="arXiv:2011.04006",
)
