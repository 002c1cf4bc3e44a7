"""The settings of Pathfinder's pictures: as published for 32 x 32 and 128 x 128, scaled between."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from tasks.api import Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSettings:
    """One kind of picture. Lengths are in pixels; the words are those of the original generator."""

    side: int
    contour_length: int
    """Paddles in each of the two long contours."""
    distractor_length: int
    num_distractors: int
    paddle_length: int
    paddle_thickness: float
    smallest_margin: int
    """Half the gap between paddles; drawn once per picture, up to `largest_margin`."""
    largest_margin: int
    seed_distance: int
    """Between the first ends of the two contours."""
    continuity: float
    """A turn by d weighs cos^2(continuity * d), and none turns by more than 90 / continuity
    degrees."""
    marker_radius: float
    contrast: float
    """Of a paddle; a marker has 1. Above 1, a paddle thinner than a pixel is still bright."""
    padding: int
    antialias: int
    """Samples per pixel and axis."""
    distance_tolerance: float
    """Both labels of a scene must put the markers this nearly as far apart. Ours, not the
    original's, where the distance alone gives away 3 %."""

    def __post_init__(self) -> None:
        counts = ("contour_length", "distractor_length", "paddle_length", "antialias")
        for name in (*counts, "smallest_margin", "seed_distance", "padding"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if not 8 <= self.side <= 512:
            raise ValueError(f"side must be between 8 and 512 pixels, not {self.side}.")
        if self.contour_length < 2:
            raise ValueError("contour_length must be at least 2: a contour has two ends.")
        if self.continuity < 1:
            raise ValueError(f"continuity must be at least 1, not {self.continuity}.")
        if self.largest_margin < self.smallest_margin or self.num_distractors < 0:
            raise ValueError(
                "largest_margin must not be below smallest_margin, nor num_distractors below 0."
            )


def settings_for(data: Mapping[str, Scalar]) -> PictureSettings:
    """The settings that the options name; those left out are the published ones of that size."""
    side, length = int(data["side"]), int(data["contour_length"])
    settings = _large(side, length) if side >= 64 else _little(side, length)
    for field in fields(PictureSettings):
        if field.name in data:
            settings[field.name] = _number(field.name, data[field.name], whole=field.type is int)
    return PictureSettings(**settings)  # type: ignore[arg-type]


def _number(name: str, value: Scalar, *, whole: bool) -> float:
    if isinstance(value, bool | str) or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"data option {name} takes {kind}, not {value!r}.")
    return int(value) if whole else float(value)


def _little(side: int, contour_length: int) -> dict[str, float]:
    """The 32 x 32 settings; the distance between the two contours' first ends scales."""
    length = max(contour_length // 3, 1)
    return {
        "distractor_length": length,
        "num_distractors": 20 // length,
        "paddle_length": 2,
        "paddle_thickness": 0.5,
        "smallest_margin": 1,
        "largest_margin": 1,
        "seed_distance": max(round(side * 7 / 32), 4),
        "continuity": 1.0,
        "marker_radius": 1.5,
        "contrast": 1.5,
        "padding": 1,
        "antialias": 2,
        # Shorter contours are straighter: their ends give more away.
        "distance_tolerance": 3.0 if side >= 32 else side / 24,
    }


def _large(side: int, contour_length: int) -> dict[str, float]:
    """The 128 x 128 settings, with the original's default paddle of 5 pixels."""
    length = max(contour_length // 3, 1)
    return {
        "distractor_length": length,
        "num_distractors": 35 // length,
        "paddle_length": 5,
        "paddle_thickness": 1.5,
        "smallest_margin": 2,
        "largest_margin": 3,
        "seed_distance": max(round(side * 20 / 128), 4),
        "continuity": 1.8,
        "marker_radius": 3.0,
        "contrast": 0.9,
        "padding": 1,
        "antialias": 2,
        "distance_tolerance": side * 3 / 32,
    }
