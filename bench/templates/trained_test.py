"""Laws of starting-point: its data are fixed, right, apart and balanced."""

import numpy as np
import pytest

from bench.templates.trained import TASK, load
from tasks.api import Dataset, LoadRequest, Preset, Split

DIGEST = "1c219c995a4b8417ef43486237f05cc65e267fc7346bac7a38921432b313515f"
"""Of the preset quick. Where it changes on purpose, the task's version is raised."""


@pytest.fixture(scope="module")
def data() -> Dataset:
    preset = TASK.preset("quick")
    assert preset is not None
    return load(LoadRequest(data=preset.data))


def splits(data: Dataset) -> tuple[Split, Split, Split]:
    return data.train, data.validation, data.test


def test_the_data_are_the_same_on_every_machine(data: Dataset) -> None:
    assert data.digest == DIGEST


def test_every_label_is_the_answer(data: Dataset) -> None:
    for split in splits(data):
        for tokens, length, label in zip(split.tokens, split.lengths, split.labels, strict=True):
            first, *others = tokens[0, : length[0]]
            assert (first in others) == label


def test_tokens_stay_within_the_vocabulary_and_padding_is_zero(data: Dataset) -> None:
    for split in splits(data):
        live = np.arange(split.tokens.shape[2]) < split.lengths[..., None]
        assert split.tokens[live].min() >= 1
        assert split.tokens.max() < data.vocab_size
        assert not split.tokens[~live].any()


def test_no_example_stands_in_two_splits(data: Dataset) -> None:
    train, validation, test = ({row.tobytes() for row in s.tokens} for s in splits(data))
    assert not train & test
    assert not train & validation
    assert not validation & test


def test_always_the_same_answer_is_right_half_of_the_time(data: Dataset) -> None:
    assert data.test.labels.mean() == 0.5


@pytest.mark.parametrize("preset", TASK.presets, ids=lambda preset: preset.name)
def test_no_sequence_is_longer_than_its_preset_says(preset: Preset) -> None:
    found = load(LoadRequest(data={**preset.data, "num_train": 50}))
    assert found.train.tokens.shape[2] == preset.max_time
