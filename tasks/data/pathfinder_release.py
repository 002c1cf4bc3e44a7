"""The official release's Pathfinder folders: pictures, and the text lines that label them."""

import importlib.util
import re
import struct
import warnings
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.api import Dataset, LoadRequest, SourceUnavailableError
from tasks.data.images import PIXEL_VOCABULARY, pixel_split
from tasks.data.pathfinder_sets import counts_of
from tasks.data.release import ADDRESS, NESTINGS

FOLDERS = {6: "curv_baseline", 9: "curv_contour_length_9", 14: "curv_contour_length_14"}
"""By contour length: easy, intermediate, hard."""
# Of relative paths alone: a release names no file elsewhere on this machine.
_LINE = re.compile(
    r"\s*(?P<folder>[^\s\0/][^\s\0]*)\s+(?P<file>[^\s\0/][^\s\0]*)"
    r"\s+(?P<number>[0-9]{1,18})\s+(?P<label>[01])(?!\S)"
)
INSTALL_PILLOW = (
    "reading the release's pictures needs pillow, which is not installed: `pip install pillow`."
)


class Labelled(NamedTuple):
    """A line of the metadata."""

    picture: Path
    label: int


def load_release(request: LoadRequest) -> Dataset:
    """The release's pictures, sorted by batch and number; 80 % train, 10 % validate, 10 % test.

    The official pipeline takes the same shares in an order of its own, which cannot be had without
    its libraries; labels are random in ours too. The counts say how many of each share to take.
    """
    counts = counts_of(request.data)
    folder = find_pictures(request)
    lines = read_metadata(folder)
    full = [line for line in lines if _size(line.picture) > 0]
    borders = [len(full) * tenths // 10 for tenths in (0, 8, 9, 10)]
    if len(full) < 10:
        raise SourceUnavailableError(f"{folder} lists {len(full)} pictures: too few to split.")
    side = int(request.data["side"])
    splits = [
        _read(full[start:stop][:num], side)
        for (start, stop), num in zip(pairwise(borders), counts, strict=True)
    ]
    train, validation, test = (pixel_split(pixels, labels, 0) for pixels, labels in splits)
    return Dataset(
        train=train,
        validation=validation,
        test=test,
        vocab_size=PIXEL_VOCABULARY,
        num_classes=2,
        what=(
            f"The release's {_name(folder, request.path)}: {len(full)} pictures"
            f" ({len(lines) - len(full)} empty files left out), sorted by batch and number; the"
            f" first 80 % train, the next 10 % validate, the rest test; of these the first"
            f" {len(train)}, {len(validation)} and {len(test)}."
        ),
    )


def why_missing(request: LoadRequest) -> str | None:
    """Why the release cannot be read, or None. No picture is opened."""
    if importlib.util.find_spec("PIL") is None:
        return INSTALL_PILLOW
    try:
        find_pictures(request)
    except SourceUnavailableError as error:
        return str(error)
    return None


def find_pictures(request: LoadRequest) -> Path:
    """The folder that holds `imgs` and `metadata`.

    Of two nestings the inner one is taken: its pictures of 128 x 128 are those that others have
    learned from; in the other copy the labels may not fit.
    """
    path = request.path
    side, length = int(request.data["side"]), int(request.data["contour_length"])
    if side not in (32, 64, 128, 256) or length not in FOLDERS:
        raise SourceUnavailableError(
            f"the release has no pictures of side {side} with contours of {length} paddles, only"
            " sides 32, 64, 128 and 256 with 6, 9 and 14 paddles: choose another preset, or"
            " `--set side=... --set contour_length=...`."
        )
    if path is None:
        raise SourceUnavailableError(
            f"the release's folder was not given. Fetch {ADDRESS}, unpack it, and name the folder:"
            " `--source release:PATH`."
        )
    if not path.is_dir():
        raise SourceUnavailableError(f"the release's folder {path} does not exist.")
    places = [path / nest / f"pathfinder{side}" / FOLDERS[length] for nest in reversed(NESTINGS)]
    for folder in places:
        if (folder / "metadata").is_dir():
            return folder
    searched = ", ".join(str(folder) for folder in places)
    raise SourceUnavailableError(
        f"the release under {path} lacks the folder metadata; searched in {searched}. It is part"
        f" of {ADDRESS}."
    )


def read_metadata(folder: Path) -> list[Labelled]:
    """The labelled pictures of all batches, by batch and number.

    The files are called `.npy` but hold text: `imgs/BATCH FILE NUMBER LABEL ...`, one picture a
    line.
    """
    files = sorted(folder.glob("metadata/*.npy"), key=lambda file: (len(file.stem), file.stem))
    found: list[Labelled] = []
    for file in files:
        batch: list[tuple[int, Labelled]] = []
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            match = _LINE.match(line)
            if match is None or ".." in Path(match["folder"], match["file"]).parts:
                raise SourceUnavailableError(
                    f"{file}, line {number}: expected a folder and a file of the release, a number"
                    f" and a label (0 or 1), found {line[:60]!r}."
                )
            picture = folder / match["folder"] / match["file"]
            batch.append((int(match["number"]), Labelled(picture, int(match["label"]))))
        found += [labelled for _, labelled in sorted(batch)]
    return found


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        raise SourceUnavailableError(
            f"the metadata lists {file}, which does not exist: unpack the release again."
        ) from None


def _read(lines: list[Labelled], side: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    pixels = np.empty((len(lines), side, side), dtype=np.uint8)
    for row, line in zip(pixels, lines, strict=True):
        row[:] = _pixels(line.picture, side)
    return pixels, np.array([line.label for line in lines], dtype=np.uint8)


def _pixels(file: Path, side: int) -> NDArray[np.uint8]:
    """The size is looked at first: a small file can be unpacked to billions of pixels."""
    try:
        from PIL import Image
    except ImportError:
        raise SourceUnavailableError(INSTALL_PILLOW) from None
    try:
        with warnings.catch_warnings():
            # Of a picture that is refused below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=("PNG",)) as picture:
                size = picture.size
                if size == (side, side):
                    return np.asarray(picture.convert("L"))
    except Image.DecompressionBombError:
        size = None
    except (OSError, ValueError, SyntaxError, struct.error):
        raise SourceUnavailableError(
            f"{file} is not a readable picture: unpack the release again."
        ) from None
    found = "far more" if size is None else f"{size[0]} x {size[1]}"
    raise SourceUnavailableError(f"{file} has {found} pixels, not {side} x {side}.")


def _name(folder: Path, path: Path | None) -> str:
    """As seen from the folder that was given: a record names no place on a machine."""
    return str(folder.relative_to(path)) if path else folder.name
