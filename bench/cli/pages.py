"""What `report` and `serve` share: folders read together, and the page made of what they hold."""

import hashlib
from collections.abc import Sequence
from pathlib import PurePath
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
        store = Store(folder)
        reading = store.read()
        problems += [
            f"{PurePath(str(store.folder)).name}/{problem}" for problem in reading.problems
        ]
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
    from results.folders import folder_at

    seen = hashlib.sha256()
    for folder in folders:
        for stamp in folder_at(folder).stamps():
            # A record in the making has a name that begins with a point.
            if not stamp.startswith("."):
                seen.update(f"{stamp}\n".encode())
    return seen.hexdigest()[:16]
