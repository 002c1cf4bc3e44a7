"""Paddles, discs and their footprints."""

import numpy as np
import pytest

from tasks.data.pathfinder_drawing import (
    FINE,
    NUM_DIRECTIONS,
    Brush,
    Place,
    brush_for,
    direction_step,
    turn_table,
)
from tasks.data.pathfinder_settings import PictureSettings, settings_for


@pytest.fixture(params=[(17, 3), (32, 14), (70, 5)], ids=["17", "32", "70"])
def brush(request: pytest.FixtureRequest) -> Brush:
    side, length = request.param
    settings = settings_for({"side": side, "contour_length": length, "antialias": 3})
    return brush_for(settings, settings.largest_margin)


def bits_of(footprint: int, width: int) -> np.ndarray:
    text = f"{footprint:b}".rjust(width * width, "0")[::-1]
    return np.array(list(text), dtype=np.uint8).reshape(width, width) > 0


def test_all_paddles_are_equally_bright(brush):
    assert len({int(paddle.max()) for paddle in brush.paddles}) == 1


@pytest.mark.parametrize("direction", [0, 5, 16, 37, 63])
def test_a_paddle_lies_within_its_footprint(brush, direction):
    settings = brush.settings
    pivot = Place(settings.side * FINE // 2 + 1, settings.side * FINE // 2 + 2)
    canvas = np.zeros((brush.width, brush.width), dtype=np.uint8)
    brush.draw_paddle(canvas, pivot, direction)
    assert not (canvas[~bits_of(brush.footprint(pivot, direction), brush.width)] > 0).any()


def test_a_paddle_is_as_long_as_asked(brush):
    for direction in range(NUM_DIRECTIONS):
        tail, head = brush.to_tail[direction], brush.to_head[direction]
        length = np.hypot(head.y - tail.y, head.x - tail.x) / FINE
        assert length == pytest.approx(brush.settings.paddle_length, abs=2**0.5 / FINE)


def test_a_marker_fills_a_disc_of_its_radius(brush):
    area = sum(int(disc.sum()) for disc in brush.discs) / len(brush.discs) / 255
    assert area == pytest.approx(np.pi * brush.settings.marker_radius**2, rel=0.05)


def test_the_border_leaves_what_the_padding_encloses(brush):
    free = brush.settings.side - 2 * brush.settings.padding
    assert (~bits_of(brush.border, brush.width)).sum() == free**2


@pytest.mark.parametrize("continuity", [1.0, 1.8, 3.0])
def test_no_turn_exceeds_the_bound_of_the_continuity(continuity):
    assert max(turn_table(continuity)) * 360 / NUM_DIRECTIONS <= 90 / continuity


def test_left_and_right_turns_are_equally_likely():
    turns = np.array(turn_table(1.0))
    assert abs((turns > 0).mean() - (turns < 0).mean()) < 0.001


def test_opposite_directions_step_to_opposite_places():
    for direction in range(NUM_DIRECTIONS // 2):
        there = direction_step(direction, 7)
        back = direction_step(direction + NUM_DIRECTIONS // 2, 7)
        assert (there.y, there.x) == (-back.y, -back.x)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("side", 4, "side must be between"),
        ("contour_length", 1, "contour_length must be at least 2"),
        ("continuity", 0.5, "continuity must be at least 1"),
        ("smallest_margin", 0, "smallest_margin must be at least 1"),
        ("largest_margin", 0, "largest_margin must not be below"),
        ("padding", 0.5, "padding takes a whole number"),
        ("contrast", "high", "contrast takes a number"),
    ],
)
def test_a_wrong_setting_is_named(option, value, said):
    with pytest.raises(ValueError, match=said):
        settings_for({"side": 32, "contour_length": 14, option: value})


def test_the_published_settings_are_those_of_the_original():
    assert settings_for({"side": 32, "contour_length": 14}) == PictureSettings(
        side=32,
        contour_length=14,
        distractor_length=4,
        num_distractors=5,
        paddle_length=2,
        paddle_thickness=0.5,
        smallest_margin=1,
        largest_margin=1,
        seed_distance=7,
        continuity=1.0,
        marker_radius=1.5,
        contrast=2 * 0.75,
        padding=1,
        antialias=2,
        distance_tolerance=3.0,
    )
