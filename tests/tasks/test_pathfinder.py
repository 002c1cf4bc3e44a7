"""The tasks lra/pathfinder and lra/pathx: their presets and sources."""

import pytest

from tasks.api import LoadRequest, Preset, TrainedTask
from tasks.data.pathfinder_settings import settings_for
from tasks.lra.pathfinder import TASK as PATHFINDER
from tasks.lra.pathx import TASK as PATHX

TASKS = pytest.mark.parametrize("task", [PATHFINDER, PATHX], ids=["pathfinder", "pathx"])
PRESETS = [(task, preset) for task in (PATHFINDER, PATHX) for preset in task.presets]
EACH = pytest.mark.parametrize(
    ("task", "preset"), PRESETS, ids=[f"{t.name}-{p.name}" for t, p in PRESETS]
)


@EACH
def test_a_presets_longest_sequence_is_its_picture(task: TrainedTask, preset: Preset):
    assert preset.max_time == int(preset.data["side"]) ** 2


@EACH
def test_a_presets_source_exists(task: TrainedTask, preset: Preset):
    assert task.source(preset.source) is not None


@pytest.mark.parametrize(("task", "side"), [(PATHFINDER, 32), (PATHX, 128)], ids=["32", "128"])
def test_published_protocols_ask_for_the_published_pictures(task, side):
    for name in ("lra-paper", "lra-repo", "s4"):
        data = task.preset(name).data
        assert settings_for(data) == settings_for({"side": side, "contour_length": 14})
        assert [data[f"num_{s}"] for s in ("train", "validation", "test")] == [
            160_000,
            20_000,
            20_000,
        ]


def test_the_port_without_values_for_pathx_is_left_out():
    assert PATHFINDER.preset("nystrom") is not None
    assert PATHX.preset("nystrom") is None


@TASKS
def test_quick_pictures_load(task: TrainedTask):
    preset = task.preset("quick")
    few = {"num_train": 4, "num_validation": 2, "num_test": 2}
    data = task.source("generated").load(LoadRequest(data={**preset.data, **few}))
    assert data.train.tokens.shape == (4, 1, preset.max_time)
    assert sorted(data.train.labels.tolist()) == [0, 0, 1, 1]


@TASKS
def test_no_sequence_is_padded(task: TrainedTask):
    assert not task.key_padding


@TASKS
def test_no_hub_is_offered(task: TrainedTask):
    assert {source.name for source in task.sources} == {"generated", "release"}
