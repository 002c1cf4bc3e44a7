"""Scenes: contours that never touch, markers that say the label, nothing else that does."""

import hashlib
from itertools import combinations, pairwise

import numpy as np
import pytest

from tasks.data.pathfinder_drawing import FINE, NUM_DIRECTIONS
from tasks.data.pathfinder_scenes import Scene, compose, label_of
from tasks.data.pathfinder_settings import settings_for

HARD = settings_for({"side": 32, "contour_length": 14})
LARGE = settings_for({"side": 128, "contour_length": 14})
LITTLE = settings_for({"side": 21, "contour_length": 4, "num_distractors": 3})
EACH = pytest.mark.parametrize("settings", [HARD, LARGE, LITTLE], ids=["32", "128", "21"])


def scenes(settings, num: int, *, seed: int = 7) -> list[Scene]:
    return [compose(settings, seed, 0, index) for index in range(num)]


def spread(scene: Scene) -> float:
    """Pixels between the markers."""
    one, two = scene.markers
    return float(np.hypot(one.y - two.y, one.x - two.x)) / FINE


@pytest.mark.parametrize(
    ("settings", "digest"),
    [(HARD, "c429e02ff50ccd52"), (LARGE, "8693a540b5ba0f12"), (LITTLE, "28f46714a7e05b2f")],
    ids=["32", "128", "21"],
)
def test_pictures_are_the_same_on_every_machine(settings, digest):
    text = b"".join(scene.draw().tobytes() for scene in scenes(settings, 4))
    assert hashlib.sha256(text).hexdigest()[:16] == digest


@EACH
def test_contours_never_touch(settings):
    for scene in scenes(settings, 4):
        for one, two in combinations(scene.contours, 2):
            assert one.claims[-1] & two.claims[-1] == 0


@EACH
def test_no_contour_leaves_the_picture_within_its_padding(settings):
    for scene in scenes(settings, 4):
        assert all(contour.claims[-1] & scene.brush.border == 0 for contour in scene.contours)


@EACH
def test_contours_have_the_paddles_asked_for(settings):
    for scene in scenes(settings, 4):
        lengths = [len(contour) for contour in scene.contours]
        assert lengths[:2] == [settings.contour_length] * 2
        assert set(lengths[2:]) <= {settings.distractor_length}


@EACH
def test_contours_bend_no_more_than_their_continuity_allows(settings):
    for scene in scenes(settings, 4):
        for contour in scene.contours:
            turns = [(b - a) % NUM_DIRECTIONS for a, b in pairwise(contour.directions)]
            bend = max((min(t, NUM_DIRECTIONS - t) for t in turns), default=0)
            assert bend * 360 / NUM_DIRECTIONS <= 90 / settings.continuity


@EACH
def test_the_label_is_one_exactly_when_both_markers_are_on_one_contour(settings):
    for scene in scenes(settings, 6):
        start, stop = scene.markers
        starts = [contour.ends()[0] for contour in scene.contours[:2]]
        stops = [contour.ends()[1] for contour in scene.contours[:2]]
        assert scene.label == int(starts.index(start) == stops.index(stop))


@EACH
def test_the_markers_are_the_brightest_places(settings):
    for scene in scenes(settings, 3):
        picture = scene.draw()
        assert all(picture[place.y // FINE, place.x // FINE] == 255 for place in scene.markers)


def test_of_two_neighbours_one_is_positive():
    labels = np.array([label_of(3, 0, index) for index in range(400)])
    assert (labels.reshape(-1, 2).sum(axis=1) == 1).all()
    assert 0.4 < labels[::2].mean() < 0.6


def test_a_picture_depends_on_its_number_alone():
    whole = [scene.draw() for scene in scenes(LITTLE, 5)]
    np.testing.assert_array_equal(compose(LITTLE, 7, 0, 3).draw(), whole[3])


def test_pictures_differ_between_numbers_splits_and_seeds():
    keys = [(7, 0, 0), (7, 0, 1), (7, 1, 0), (8, 0, 0)]
    assert len({compose(LITTLE, *key).draw().tobytes() for key in keys}) == len(keys)


@EACH
def test_the_other_label_would_put_the_markers_about_as_far_apart(settings):
    for scene in scenes(settings, 6):
        start, stop = scene.markers
        stops = [contour.ends()[1] for contour in scene.contours[:2]]
        other = stops[1 - stops.index(stop)]
        away = float(np.hypot(start.y - other.y, start.x - other.x)) / FINE
        assert abs(spread(scene) - away) <= settings.distance_tolerance


def test_neither_ink_nor_distance_nor_place_gives_the_label_away():
    drawn = scenes(LITTLE, 800)
    labels = np.array([scene.label for scene in drawn])
    middle = LITTLE.side / 2
    cues = np.array(
        [
            (
                scene.draw().sum(),
                spread(scene),
                len(scene.contours),
                *(abs(p.y / FINE - middle) + abs(p.x / FINE - middle) for p in scene.markers),
            )
            for scene in drawn
        ]
    )
    ones, zeros = cues[labels == 1], cues[labels == 0]
    error = np.sqrt(ones.var(axis=0) / len(ones) + zeros.var(axis=0) / len(zeros))
    assert (np.abs(ones.mean(axis=0) - zeros.mean(axis=0)) < 4 * error + 1e-12).all()


def test_contours_that_do_not_fit_are_refused_in_a_sentence():
    crowded = settings_for({"side": 10, "contour_length": 9})
    with pytest.raises(ValueError, match="two contours of 9 paddles find no room in 10 x 10"):
        compose(crowded, 0, 0, 0)
