"""`bench merge`: folders of records brought together, and what they disagree on."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from bench.errors import UsageError
from results.folders import Folder, LocalFolder

if TYPE_CHECKING:
    from results.merging import Conflict, Merged

Flag = Parameter(negative=())


def merge_command(
    *sources: str,
    into: str,
    prefer: Literal["newest", "source", "destination"] | None = None,
    dry_run: Annotated[bool, Flag] = False,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Copy the records of several folders into one, and name what they disagree on.

    Files are copied byte for byte; sources stay as they are. A record that is there already is left
    out. The same trial with another outcome is a conflict: both are named with what differs, and
    nothing is replaced unless --prefer says so. Damaged files are named and left. Exit codes: 0
    done, 1 conflicts remain, 2 bad input.

    Examples:

        python -m bench merge results-of-june results-of-july --into results-of-summer

        python -m bench merge results-of-june --into bench-results --prefer newest --dry-run

    Parameters
    ----------
    sources:
        Folders or URLs of records, the first one first: what it brings, the next is held against.
    into:
        The folder or URL to copy to; a folder is made where there is none.
    prefer:
        Which record of a trial stands where they disagree: the one whose trial began last, the
        source's, or the one at the destination.
    dry_run:
        Say what would be done, and copy nothing.
    json_:
        Print as JSON.
    """
    from results.merging import merge
    from results.store import Store

    places, destination = [Store(source) for source in sources], Store(into)
    _check([place.folder for place in places], destination.folder)
    if not dry_run:
        destination.check_writable()
    done = merge(places, destination, prefer=prefer, dry_run=dry_run)
    for problem in done.problems:
        sys.stderr.write(f"Passed over {problem}\n")
    if json_:
        print(json.dumps(asdict(done), indent=2))
    else:
        _show(done, str(destination.folder), "Would copy" if dry_run else "Copied")
    return 1 if done.remaining else 0


def _check(sources: list[Folder], into: Folder) -> None:
    """Raises UsageError where there is nothing to merge, or a folder would go into itself."""
    if not sources:
        raise UsageError("name the folders to merge: python -m bench merge SOURCE --into FOLDER.")
    for source in sources:
        if wrong := source.absent():
            raise UsageError(f"the results folder {str(source)!r} {wrong}. Name another.")
        if _place(source) == _place(into):
            raise UsageError(f"{str(source)!r} is both a source and the destination.")


def _place(folder: Folder) -> Path | str:
    """The same for two ways to write one folder."""
    return folder.path.resolve() if isinstance(folder, LocalFolder) else str(folder).rstrip("/")


def _show(done: "Merged", into: str, copied: str) -> None:
    print(f"{copied} into {into}: {done.copied}. There already: {done.same}.")
    for conflict in done.conflicts:
        print(_in_words(conflict))
    if done.remaining:
        print(
            f"Conflicts that remain: {len(done.remaining)}. The destination keeps what it has;"
            " --prefer newest, source or destination decides."
        )


def _in_words(conflict: "Conflict") -> str:
    differs = "; ".join(
        f"{what} {theirs} in the source, {ours} at the destination"
        for what, (theirs, ours) in conflict.differs.items()
    )
    kept = f"the {conflict.kept} stands" if conflict.kept else "undecided"
    return f"{conflict.trial} ({conflict.source}/{conflict.file}): {differs}: {kept}"
