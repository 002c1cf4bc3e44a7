"""Laws of starting-point: what it finds and what it refuses."""

from collections.abc import Mapping
from typing import Any, cast

import pytest
from torch import Tensor

from bench.templates.probe import TASK, check, run
from tasks.api import Scalar
from tasks.probe import ProbePoint, ProbePreset, ProbeRequest, ProbeSubject, whole_numbers

SETTINGS: Mapping[str, Scalar] = {"lengths": "3,7", "num_heads": 2, "head_dim": 5, "draws": 2}


class Scaled:
    """Means of the values, a factor too large: the error is the factor less one."""

    directions = (False,)

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def draw(self, seed: int, **sizes: Any) -> "Scaled":
        del seed, sizes
        return self

    def attend(self, q: Tensor, k: Tensor, v: Tensor, **how: Any) -> Tensor:
        del k, how
        return self.factor * v.mean(2, keepdim=True).expand_as(q)


def points(factor: float) -> list[ProbePoint]:
    # A stand-in for what the harness hands over: only what this probe calls.
    subject = cast(ProbeSubject, Scaled(factor))
    return list(run(subject, ProbeRequest(settings=SETTINGS), lambda *_: None))


def test_weights_that_add_up_to_one_have_no_error() -> None:
    assert [point.value for point in points(1.0)] == pytest.approx([0.0, 0.0], abs=1e-6)


def test_weights_that_add_up_to_more_are_found() -> None:
    assert [point.value for point in points(1.25)] == pytest.approx([0.25, 0.25])


def test_every_length_asked_for_is_measured() -> None:
    assert [point.where["time"] for point in points(1.0)] == [3, 7]


def test_a_length_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="lengths takes whole numbers"):
        check({**SETTINGS, "lengths": "3,many"})


@pytest.mark.parametrize("preset", TASK.presets, ids=lambda preset: preset.name)
def test_no_length_is_beyond_what_its_preset_says(preset: ProbePreset) -> None:
    check(preset.settings)
    assert preset.max_time == max(whole_numbers(preset.settings, "lengths"))
