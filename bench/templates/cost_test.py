"""Laws of starting-point: what is measured."""

import pytest

from bench.templates.cost import TASK
from tasks.sweep import CostPreset, Sweep


def sweep(name: str) -> Sweep:
    preset = TASK.preset(name)
    assert preset is not None
    return preset.sweep


def test_quick_takes_no_more_than_a_minute_a_method() -> None:
    assert sweep("quick").total_seconds <= 60


def test_the_lengths_are_the_ones_meant() -> None:
    assert sweep("quick").all_lengths == (64, 128)
    assert sweep("small").all_lengths == (64, 128, 256, 512, 1024)


@pytest.mark.parametrize("preset", TASK.presets, ids=lambda preset: preset.name)
def test_only_causal_attention_is_measured(preset: CostPreset) -> None:
    assert preset.sweep.directions == (True,)
