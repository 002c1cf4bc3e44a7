"""Laws of the published protocols."""

import pytest

from tasks.lra import image, listops, protocols, retrieval, text
from tasks.lra.suite import SUITE

TASKS = [listops.TASK, text.TASK, retrieval.TASK, image.TASK]
NAMES = ["listops", "text", "retrieval", "image", "pathfinder", "pathx"]


def num_parameters(model, *, vocab_size, max_time, num_classes):
    """Of the arena's encoder: attention without bias, an MLP of two layers as the classifier."""
    d, mlp = model.d_model, model.mlp_dim
    layer = 4 * d * model.qkv_dim + (d * mlp + mlp + mlp * d + d) + 2 * 2 * d
    positions = (max_time + (model.pooling == "cls")) * d * (model.positions == "learned")
    head = d * model.classifier_dim + model.classifier_dim
    head += model.classifier_dim * num_classes + num_classes
    cls = d * (model.pooling == "cls")
    return vocab_size * d + positions + cls + model.num_layers * layer + 2 * d + head


def highest_rate(training):
    warmup = training.warmup_steps
    return max(
        training.learning_rate * min(1, t / warmup) / max(t, warmup) ** 0.5
        for t in range(1, training.steps + 1)
    )


def test_the_repository_gives_the_image_transformer_the_parameters_that_users_count():
    model = protocols.published("lra-repo", "image").model
    assert num_parameters(model, vocab_size=256, max_time=1024, num_classes=10) == 52_266


def test_the_paper_gives_the_image_transformer_about_380_thousand_parameters():
    model = protocols.published("lra-paper", "image").model
    count = num_parameters(model, vocab_size=256, max_time=1024, num_classes=10)
    assert count == pytest.approx(380_000, rel=0.005)


@pytest.mark.parametrize(
    ("protocol", "task", "rate"),
    [
        ("lra-repo", "listops", "1.58e-3"),
        ("lra-repo", "text", "5.6e-4"),
        ("lra-repo", "retrieval", "3.5e-4"),
        ("lra-paper", "retrieval", "3.5e-3"),
    ],
)
def test_the_highest_rate_is_the_one_the_note_says(protocol, task, rate):
    values = protocols.published(protocol, task)
    assert values.training.schedule == "rsqrt"
    assert highest_rate(values.training) == pytest.approx(float(rate), rel=0.01)
    assert rate in values.note


@pytest.mark.parametrize("task", NAMES)
def test_the_s4_recipe_warms_up_for_a_tenth_of_its_steps(task):
    training = protocols.published("s4", task).training
    assert 10 * training.warmup_steps == training.steps


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS)
def test_heads_divide_the_width_of_queries_and_keys(protocol):
    models = [protocols.published(protocol, task).model for task in NAMES[:5]]
    assert all(model.qkv_dim % model.num_heads == 0 for model in models)


def test_a_protocol_without_values_for_a_task_says_so():
    with pytest.raises(ValueError, match="'nystrom' has no values for 'pathx'"):
        protocols.preset("nystrom", "pathx", source="generated", max_time=16_384)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_has_its_two_own_presets_and_the_four_published(task):
    names = [preset.name for preset in task.presets]
    assert names == ["quick", "small", *protocols.PROTOCOLS]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_preset_names_a_source_that_the_task_has(task):
    assert all(task.source(preset.source) is not None for preset in task.presets)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_preset_says_where_its_values_come_from(task):
    assert all(preset.note.endswith(".") for preset in task.presets)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_stand_in_is_named_as_one(task):
    for source in task.sources:
        assert source.stand_in == ("stand-in for" in source.title)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_is_in_the_suite(task):
    assert task.name in SUITE.tasks
