"""Generated Pathfinder sets: three splits of pictures as tokens, kept in the cache if any.

A token is a grey value + 1 (0 would be padding, and there is none).
"""

from collections.abc import Mapping
from dataclasses import asdict, fields

import numpy as np
from numpy.typing import NDArray

from tasks.api import Dataset, LoadRequest, Scalar, Split
from tasks.data.cache import Arrays, cached
from tasks.data.pathfinder_scenes import VERSION, compose
from tasks.data.pathfinder_settings import PictureSettings, settings_for

VOCAB_SIZE = 257
COUNTS = ("num_train", "num_validation", "num_test")
"""Pictures in each split; a split's number is its place here."""


def load_generated(request: LoadRequest) -> Dataset:
    """The sets that the data options describe: counts, `data_seed` and any picture setting."""
    data = request.data
    check_names(data)
    settings = settings_for(data)
    seed = count(data, "data_seed", least=0)
    splits = [
        _split(request, settings, seed, number, count(data, name))
        for number, name in enumerate(COUNTS)
    ]
    return Dataset(
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        vocab_size=VOCAB_SIZE,
        num_classes=2,
        what=(
            f"Generated pictures of {settings.side} x {settings.side} grey values with two contours"
            f" of {settings.contour_length} paddles and up to {settings.num_distractors}"
            f" distractors of {settings.distractor_length}, by our own generator after the"
            f" published settings; every picture is drawn from a seed of its own, data seed {seed}."
        ),
    )


def check_names(data: Mapping[str, Scalar]) -> None:
    """Raise for an option that nothing here reads."""
    known = [*COUNTS, "data_seed", *(field.name for field in fields(PictureSettings))]
    for name in data:
        if name not in known:
            raise ValueError(f"no data option is named {name!r}; there are {', '.join(known)}.")


def count(data: Mapping[str, Scalar], name: str, *, least: int = 1) -> int:
    """A whole number of at least `least` among the options; `least` where it is not given."""
    value = data.get(name, least)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"data option {name} takes a whole number from {least} up, not {value!r}.")
    return value


def tokens_split(pixels: NDArray[np.uint8], labels: NDArray[np.integer]) -> Split:
    """`[picture, pixel]` grey values as one tower of tokens."""
    num, time = pixels.shape
    # In place: 160 000 pictures of 128 x 128 take 5 GB once, and not twice.
    tokens = pixels.astype(np.uint16)
    tokens += 1
    lengths = np.full((num, 1), time, dtype=np.int32)
    return Split(tokens=tokens[:, None, :], lengths=lengths, labels=labels)


def _split(
    request: LoadRequest, settings: PictureSettings, seed: int, number: int, num: int
) -> Split:
    def make() -> Arrays:
        pixels = np.empty((num, settings.side**2), dtype=np.uint8)
        labels = np.empty(num, dtype=np.uint8)
        for index in range(num):
            scene = compose(settings, seed, number, index)
            pixels[index] = scene.draw().reshape(-1)
            labels[index] = scene.label
        return {"pixels": pixels, "labels": labels}

    key = {**asdict(settings), "version": VERSION, "seed": seed, "split": number, "num": num}
    arrays = cached(request.cache, "pathfinder", key, make)
    return tokens_split(arrays["pixels"].astype(np.uint8, copy=False), arrays["labels"])
