"""Generated arrays kept on disk: written whole or not at all, and made again when unreadable."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.api import Scalar
from tasks.data.partial import partial_path

Arrays = dict[str, NDArray[np.integer]]


def cached(
    folder: Path | None, name: str, key: Mapping[str, Scalar], make: Callable[[], Arrays]
) -> Arrays:
    """What `make` returns, read from `folder` where it was kept under this name and key."""
    if folder is None:
        return make()
    text = json.dumps(dict(key), sort_keys=True)
    file = folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            return {field: stored[field] for field in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        arrays = make()
    partial = partial_path(file)
    try:
        with partial.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return arrays
