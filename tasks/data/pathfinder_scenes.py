"""Pathfinder's scenes: two long contours, short distractors and two markers, with their label."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.data.pathfinder_contours import Contour, Draws, grow_distractor, grow_pair
from tasks.data.pathfinder_drawing import FINE, Brush, Place, brush_for
from tasks.data.pathfinder_settings import PictureSettings

VERSION = 1
"""Raised when the same key would give another picture."""
SCENE_TRIALS = 3_000
LABELS = 1 << 32
"""Added to a pair's number, so that labels and scenes never draw from the same stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A picture before it is drawn."""

    brush: Brush
    contours: tuple[Contour, ...]
    """The two long ones, then the distractors."""
    markers: tuple[Place, Place]
    """On the first end of a long contour, and on the last end of the same (label 1) or the other
    (label 0)."""
    label: int

    def draw(self) -> NDArray[np.uint8]:
        """Grey values, `[side, side]`."""
        brush = self.brush
        canvas = np.zeros((brush.width, brush.width), dtype=np.uint8)
        for contour in self.contours:
            for pivot, direction in zip(contour.pivots, contour.directions, strict=True):
                brush.draw_paddle(canvas, pivot, direction)
        for marker in self.markers:
            brush.draw_disc(canvas, marker)
        guard = brush.radius
        return canvas[guard:-guard, guard:-guard]


def label_of(seed: int, split: int, index: int) -> int:
    """Of two neighbours, an even index and the next, one is positive: a coin says which."""
    return Draws(seed, split, LABELS + index // 2).below(2) ^ (index & 1)


def compose(settings: PictureSettings, seed: int, split: int, index: int) -> Scene:
    """The scene of that number. It depends on no other, so that any prefix of a set is stable.

    The contours are chosen before the label is looked at: nothing in them can depend on it.
    """
    draws = Draws(seed, split, index)
    margins = settings.largest_margin - settings.smallest_margin + 1
    brush = brush_for(settings, settings.smallest_margin + draws.below(margins))
    contours, first = _fair_pair(brush, draws)
    taken = brush.border | contours[0].claims[-1] | contours[1].claims[-1]
    for _ in range(settings.num_distractors):
        distractor = grow_distractor(brush, draws, taken)
        if distractor is not None:
            contours.append(distractor)
            taken |= distractor.claims[-1]
    label = label_of(seed, split, index)
    last = first if label else 1 - first
    markers = (contours[first].ends()[0], contours[last].ends()[1])
    return Scene(brush=brush, contours=tuple(contours), markers=markers, label=label)


def _fair_pair(brush: Brush, draws: Draws) -> tuple[list[Contour], int]:
    """A pair and the contour whose first end is marked, such that distance gives nothing away.

    The other marker would be about as far for either label, and never so near that they merge.
    """
    settings = brush.settings
    nearest = (2 * settings.marker_radius + 1) * FINE
    for _ in range(SCENE_TRIALS):
        pair = grow_pair(brush, draws)
        if pair is None:
            continue
        first = draws.below(2)
        for marked in (first, 1 - first):
            start = pair[marked].ends()[0]
            same, other = (_distance(start, pair[i].ends()[1]) for i in (marked, 1 - marked))
            close = abs(same - other) <= settings.distance_tolerance * FINE
            if close and min(same, other) >= nearest:
                return list(pair), marked
    raise ValueError(
        f"two contours of {settings.contour_length} paddles find no room in {settings.side} x"
        f" {settings.side} pixels: choose a smaller contour_length or a larger side."
    )


def _distance(a: Place, b: Place) -> float:
    y, x = a.y - b.y, a.x - b.x
    return float(np.sqrt(y * y + x * x))
