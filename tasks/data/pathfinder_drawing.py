"""Paddles and discs as small pictures and as bit masks, drawn once and stamped many times.

Places are integers in quarters of a pixel and directions are 64ths of a turn, so that every picture
is computed in integers, and comes out alike on every machine.
"""

from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.data.pathfinder_settings import PictureSettings

FINE = 4
"""Places per pixel and axis."""
NUM_DIRECTIONS = 64
TURN_TABLE = 1 << 12
"""Entries in the table of turns: a turn's share of them is its probability."""


class Place(NamedTuple):
    """A point in quarters of a pixel."""

    y: int
    x: int

    def moved(self, step: "Place") -> "Place":
        return Place(self.y + step.y, self.x + step.x)


def direction_step(direction: int, pixels: float) -> Place:
    """The nearest place at that distance and direction from the origin."""
    angle = 2 * np.pi * direction / NUM_DIRECTIONS
    # Rounded first to what every machine's sine agrees on: no result rests on a last bit.
    sine, cosine = round(float(np.sin(angle)), 9), round(float(np.cos(angle)), 9)
    return Place(round(FINE * pixels * sine), round(FINE * pixels * cosine))


@lru_cache(maxsize=32)
def turn_table(continuity: float) -> tuple[int, ...]:
    """Turns in 64ths of a turn, each as often as cos^2(continuity * turn) says."""
    turns = range(-NUM_DIRECTIONS // 4, NUM_DIRECTIONS // 4 + 1)
    angles = [continuity * 2 * np.pi * abs(turn) / NUM_DIRECTIONS for turn in turns]
    weights = [round(float(np.cos(min(a, np.pi / 2))), 9) ** 2 for a in angles]
    ends = [round(TURN_TABLE * s / sum(weights), 6) for s in accumulate(weights)]
    pairs = list(zip(turns, ends, strict=True))
    return tuple(next(turn for turn, end in pairs if i < end) for i in range(TURN_TABLE))


class Brush:
    """Every paddle and disc of one kind of picture, at every place within a pixel.

    A paddle hangs on its pivot: the point one margin before its tail. The next pivot lies one
    margin beyond its head. Its footprint is the paddle widened by the margin: two footprints of
    different contours never meet.
    """

    def __init__(self, settings: PictureSettings, margin: int) -> None:
        self.settings = settings
        self.margin = margin
        self.radius = settings.paddle_length + 2 * margin + 2
        """Half the side of a paddle's patch, and the width of the guard around the picture."""
        self.disc_radius = int(settings.marker_radius) + 2
        self.width = settings.side + 2 * self.radius
        reach = margin + settings.paddle_length
        directions = range(NUM_DIRECTIONS)
        self.to_tail = [direction_step(d, margin) for d in directions]
        self.to_head = [direction_step(d, reach) for d in directions]
        self.to_next = [direction_step(d, reach + margin) for d in directions]
        self.paddles: list[NDArray[np.uint8]] = []
        """By (place within the pixel) * 64 + direction: grey values around the pivot's pixel."""
        self.footprints: list[int] = []
        """The same order: one bit per pixel, rows of `width`; shifted to where the paddle is."""
        for place in range(FINE * FINE):
            pivot = Place(*divmod(place, FINE))
            for direction in directions:
                self._add_paddle(pivot, direction)
        self.discs = [self._disc(Place(*divmod(p, FINE))) for p in range(FINE * FINE)]
        self.border = self._border()

    def _add_paddle(self, pivot: Place, direction: int) -> None:
        settings = self.settings
        distance = _distance_to_segment(
            pivot.moved(self.to_tail[direction]),
            pivot.moved(self.to_head[direction]),
            self.radius,
            settings.antialias,
        )
        ink = _coverage(distance, settings.paddle_thickness / 2, settings.antialias)
        # A thin paddle covers pixels unevenly: all get the same brightest pixel.
        brightest = round(255 * min(settings.contrast * min(settings.paddle_thickness, 1), 1))
        self.paddles.append((ink * brightest // int(ink.max())).astype(np.uint8))
        wide = _coverage(distance, settings.paddle_thickness / 2 + self.margin, settings.antialias)
        self.footprints.append(_bits(wide >= 128, self.width))

    def _disc(self, centre: Place) -> NDArray[np.uint8]:
        samples = self.settings.antialias
        distance = _distance_to_segment(centre, centre, self.disc_radius, samples)
        return _coverage(distance, self.settings.marker_radius, samples).astype(np.uint8)

    def _border(self) -> int:
        """Everything but the picture within its padding."""
        free = np.zeros((self.width, self.width), dtype=bool)
        inner = self.radius + self.settings.padding
        free[inner : self.width - inner, inner : self.width - inner] = True
        return _bits(~free, self.width)

    def footprint(self, pivot: Place, direction: int) -> int:
        """The bits that a paddle claims, for a pivot inside the picture."""
        key = ((pivot.y % FINE) * FINE + pivot.x % FINE) * NUM_DIRECTIONS + direction
        return self.footprints[key] << ((pivot.y // FINE) * self.width + pivot.x // FINE)

    def draw_paddle(self, canvas: NDArray[np.uint8], pivot: Place, direction: int) -> None:
        """Onto a canvas with the guard around it."""
        key = ((pivot.y % FINE) * FINE + pivot.x % FINE) * NUM_DIRECTIONS + direction
        y, x, size = pivot.y // FINE, pivot.x // FINE, 2 * self.radius + 1
        patch = canvas[y : y + size, x : x + size]
        np.maximum(patch, self.paddles[key], out=patch)

    def draw_disc(self, canvas: NDArray[np.uint8], centre: Place) -> None:
        """Onto a canvas with the guard around it."""
        y = centre.y // FINE + self.radius - self.disc_radius
        x = centre.x // FINE + self.radius - self.disc_radius
        size = 2 * self.disc_radius + 1
        patch = canvas[y : y + size, x : x + size]
        np.maximum(patch, self.discs[(centre.y % FINE) * FINE + centre.x % FINE], out=patch)


@lru_cache(maxsize=16)
def brush_for(settings: PictureSettings, margin: int) -> Brush:
    """A brush takes a tenth of a second to cut: one per kind of picture and process."""
    return Brush(settings, margin)


def _distance_to_segment(
    tail: Place, head: Place, radius: int, antialias: int
) -> NDArray[np.float64]:
    """`[pixel y, sample y, pixel x, sample x]` around pixel 0, in pixels."""
    size = 2 * radius + 1
    axis = (np.arange(size * antialias) + 0.5) / antialias - radius
    along_y, along_x = (head.y - tail.y) / FINE, (head.x - tail.x) / FINE
    # Half a place aside: a thin paddle never falls just between two rows of pixels, and fades.
    from_y = axis[:, None] - (tail.y + 0.5) / FINE
    from_x = axis[None, :] - (tail.x + 0.5) / FINE
    squared = along_y * along_y + along_x * along_x
    share = (from_y * along_y + from_x * along_x) / squared if squared else np.zeros(1)
    share = np.clip(share, 0, 1)
    rest_y, rest_x = from_y - share * along_y, from_x - share * along_x
    distance = np.sqrt(rest_y * rest_y + rest_x * rest_x)
    return distance.reshape(size, antialias, size, antialias)


def _coverage(distance: NDArray[np.float64], reach: float, antialias: int) -> NDArray[np.int64]:
    """How much of each pixel lies within `reach`, from 0 to 255."""
    samples = np.clip((reach - distance) * antialias + 0.5, 0, 1)
    # Summed as integers: the order of a floating-point sum differs between processors.
    levels = np.rint(np.round(samples, 9) * 255).astype(np.int64)
    mean: NDArray[np.int64] = levels.sum(axis=(1, 3)) // (antialias * antialias)
    return mean


def _bits(mask: NDArray[np.bool_], width: int) -> int:
    rows = (int("".join("1" if bit else "0" for bit in row[::-1]), 2) for row in mask)
    return sum(row << (y * width) for y, row in enumerate(rows))
