"""Generated Pathfinder sets: three splits of pictures as tokens, kept in the cache if any."""

from collections.abc import Mapping
from dataclasses import asdict, fields

import numpy as np

from tasks.api import Dataset, LoadRequest, Scalar, Split
from tasks.data.cache import Arrays, cached
from tasks.data.images import PIXEL_VOCABULARY, pixel_split
from tasks.data.pathfinder_scenes import VERSION, compose
from tasks.data.pathfinder_settings import PictureSettings, settings_for

SEED = 1990
COUNTS = ("num_train", "num_validation", "num_test")
"""Pictures in each split; a split's place here is part of the seed of its pictures."""


def load_generated(request: LoadRequest) -> Dataset:
    """The sets that the data options describe: the three counts and any picture setting."""
    counts = counts_of(request.data)
    settings = settings_for(request.data)
    splits = [_split(request, settings, number, num) for number, num in enumerate(counts)]
    return Dataset(
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        vocab_size=PIXEL_VOCABULARY,
        num_classes=2,
        what=(
            f"Pictures of {settings.side} x {settings.side} grey values with two contours of"
            f" {settings.contour_length} paddles and at most {settings.num_distractors} short ones,"
            f" by our own generator after the published settings; every picture has a seed of its"
            f" own (seed {SEED}, split, number)."
        ),
    )


def counts_of(data: Mapping[str, Scalar]) -> list[int]:
    """How many pictures each split takes. Raises for options that nothing here reads."""
    known = [*COUNTS, *(field.name for field in fields(PictureSettings))]
    for name in data:
        if name not in known:
            raise ValueError(f"no data option is named {name!r}; there are {', '.join(known)}.")
    for name in COUNTS:
        value = data[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"data option {name} takes a whole number from 1 up, not {value!r}.")
    return [int(data[name]) for name in COUNTS]


def _split(request: LoadRequest, settings: PictureSettings, number: int, num: int) -> Split:
    def make() -> Arrays:
        pixels = np.empty((num, settings.side, settings.side), dtype=np.uint8)
        labels = np.empty(num, dtype=np.uint8)
        for index in range(num):
            scene = compose(settings, SEED, number, index)
            pixels[index] = scene.draw()
            labels[index] = scene.label
        return {"pixels": pixels, "labels": labels}

    key = {**asdict(settings), "seed": SEED, "split": number, "num": num}
    arrays = cached(request.cache, f"pathfinder-v{VERSION}", key, make)
    return pixel_split(arrays["pixels"].astype(np.uint8, copy=False), arrays["labels"], 0)
