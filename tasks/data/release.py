"""Files of the official Long Range Arena release on disk, in whichever nesting it was unpacked."""

from collections.abc import Sequence
from pathlib import Path

from tasks.api import SourceUnavailableError

NESTINGS = ("", "lra_release", "lra_release/lra_release")
ADDRESS = "https://storage.googleapis.com/long-range-arena/lra_release.gz"


def find_release_files(
    path: Path | None, folders: Sequence[str], names: Sequence[str], *, address: str = ADDRESS
) -> list[Path]:
    """Where `names` lie: in one of `folders` under one of the nestings under `path`."""
    if path is None:
        raise SourceUnavailableError(
            f"the release's folder was not given. Fetch {address}, unpack it, and name the folder:"
            " `--source release:PATH`."
        )
    if not path.is_dir():
        raise SourceUnavailableError(f"the release's folder {path} does not exist.")
    searched = [path / nesting / folder for nesting in NESTINGS for folder in folders]
    best, present = searched[0], -1
    for folder in searched:
        count = sum((folder / name).is_file() for name in names)
        if count == len(names):
            return [folder / name for name in names]
        if count > present:
            best, present = folder, count
    missing = next(name for name in names if not (best / name).is_file())
    where = str(best) if present > 0 else ", ".join(str(folder) for folder in searched)
    raise SourceUnavailableError(
        f"the release under {path} lacks {missing}; searched in {where}. It is part of {address}."
    )


def why_release_is_missing(
    path: Path | None, folders: Sequence[str], names: Sequence[str], *, address: str = ADDRESS
) -> str | None:
    """The sentence that `find_release_files` would raise, or None."""
    try:
        find_release_files(path, folders, names, address=address)
    except SourceUnavailableError as error:
        return str(error)
    return None
