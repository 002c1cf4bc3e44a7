"""What `report` and `serve` share: folders read together, and the page made of what they hold."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.records import Filters, chosen
from bench.errors import UsageError

if TYPE_CHECKING:
    from results.record import Record


def check_packages() -> None:
    """Raises UsageError where a package is missing that the page needs."""
    from reports.page.build import missing_packages

    missing = missing_packages()
    if missing:
        raise UsageError(missing)


def load(folders: Sequence[str]) -> "tuple[list[Record], list[str]]":
    """Every sound record, and a line for each file that was passed over.

    Of two records of one trial in different folders the later one is taken.
    """
    from results.store import Store

    newest: dict[str, Record] = {}
    problems = []
    for folder in folders:
        reading = Store(folder).read()
        problems += [f"{Path(folder).name}/{problem}" for problem in reading.problems]
        for record in reading.records:
            rival = newest.setdefault(record.identity.digest(), record)
            if rival.provenance.started < record.provenance.started:
                newest[record.identity.digest()] = record
    return [*newest.values()], problems


def page_of(folders: Sequence[str], filters: Filters, *, live: str) -> str:
    """The page of a folder that may still be empty, or not be there yet."""
    from reports.page.build import build_page

    records, problems = load(folders)
    return build_page(chosen(records, filters), problems=problems, live=live)


def state_of(folders: Sequence[str]) -> str:
    """A digest of names, sizes and times of all files: another one means that something changed."""
    seen = hashlib.sha256()
    for folder in map(Path, folders):
        if not folder.is_dir():
            continue
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                # A record in the making has a name that begins with a point.
                if not entry.name.startswith("."):
                    seen.update(_stamp(entry))
    return seen.hexdigest()[:16]


def _stamp(entry: "os.DirEntry[str]") -> bytes:
    try:
        found = entry.stat()
    except FileNotFoundError:
        return b""
    return f"{entry.name} {found.st_size} {found.st_mtime_ns}\n".encode()
