"""A folder of records, one JSON file a trial, written whole or not at all."""

import contextlib
import gc
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from results.folders import LocalFolder, StoreError, folder_at
from results.loading import PACKED, Found, Problem, digests_in, is_record, load, newest, rank
from results.record import Head, Identity, Record

UNSENT: Final = Path("unsent-records")
"""Where a record is kept that a URL did not take, below the folder that the command runs in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a folder held: the records, ordered by file name, and the files passed over."""

    records: tuple[Record, ...]
    problems: tuple[Problem, ...]


class Store:
    """Records by identity. The folder need not exist until something is written.

    Raises StoreError where the place cannot be used, such as a bucket without credentials.
    """

    def __init__(self, location: str | Path) -> None:
        self.folder = folder_at(location)

    def write(self, record: Record) -> str:
        """Puts the record there, in place of an earlier one of its trial's name; says where.

        Whoever reads meanwhile sees the whole old record or the whole new one. A packed one is
        dropped last: where that fails, both lie there, and the one that began last counts.
        """
        name, content = record.identity.file_name(), record.model_dump_json().encode() + b"\n"
        try:
            place = self.folder.write(name, content)
        except StoreError as error:
            if isinstance(self.folder, LocalFolder):
                raise
            # A trial may have taken a day: a network that is down must not cost its record.
            LocalFolder(UNSENT).write(name, content)
            raise StoreError(
                f"{error} The record was kept: `python -m bench merge {UNSENT} --into"
                f" {self.folder}` brings it there."
            ) from error
        self.folder.remove(name + PACKED)
        return place

    def check_writable(self) -> None:
        """Raises StoreError where a record could not be written, before any work is done."""
        self.folder.check_writable()

    def read(self, *, curves: bool = True) -> Reading:
        """Every record, and a problem for every file that is none. Nothing is ever deleted.

        `curves=False` drops loss curves and evaluations, which are most of a record's memory; those
        of language tasks stay, since tables show them.
        """
        reason = "left behind by a run that was killed while writing; it can be deleted"
        problems = [Problem(file=name, reason=reason) for name in self.folder.leftovers()]
        found: list[Found] = []
        with _paused_garbage_collection():
            for name, content in self.files():
                loaded = load(name, content, curves=curves)
                if isinstance(loaded, Problem):
                    problems.append(loaded)
                else:
                    found.append(loaded)
        records, duplicates = newest(found)
        problems.extend(duplicates)
        return Reading(records=records, problems=tuple(sorted(problems, key=lambda p: p.file)))

    def find(self, identity: Identity) -> Record | None:
        """The record of this trial, whatever its status; a damaged file counts as none."""
        return self.find_all([identity]).get(identity.digest())

    def has(self, identity: Identity) -> bool:
        """Whether a sound record of this trial is here, whatever its status."""
        return self.find(identity) is not None

    def find_all(
        self, identities: Iterable[Identity], *, curves: bool = True
    ) -> Mapping[str, Record]:
        """The records of those of these trials that are here, by digest.

        Lists the folder once and opens only files whose names carry a wanted digest.
        """
        with _paused_garbage_collection():
            records, _ = newest(self._sound(identities, curves=curves))
        return {record.identity.digest(): record for record in records}

    def heads(self, identities: Iterable[Identity] | None = None) -> dict[str, Head]:
        """How these trials ended, or all that are here, by digest; a damaged file counts as none.

        Every record is read whole and let go, so that a plan may be as large as its folder.
        """
        kept: dict[str, tuple[tuple[datetime, bool], Head]] = {}
        with _paused_garbage_collection():
            for found in self._sound(identities, curves=True):
                ranked = rank(found)
                if found.digest not in kept or kept[found.digest][0] <= ranked:
                    kept[found.digest] = ranked, found.record.head()
        return {digest: head for digest, (_, head) in kept.items()}

    def written(self, identity: Identity) -> Record | None:
        """The record that another run may have written of this trial by now.

        It asks for the trial's file by its two names, and lists nothing: cheap enough before every
        trial.
        """
        name = identity.file_name()
        loaded = [load(*file) for file in self.folder.read([name, name + PACKED])]
        found = [each for each in loaded if isinstance(each, Found)]
        return max(found, key=rank).record if found else None

    def files(
        self, identities: Iterable[Identity] | None = None
    ) -> Iterator[tuple[str, bytes | OSError]]:
        """The content of every file that should hold a record, or of those whose names carry the
        digest of one of these trials; why it cannot be read, where it cannot."""
        names = [*filter(is_record, self.folder.names())]
        if identities is not None:
            wanted = {identity.digest() for identity in identities}
            names = [name for name in names if not wanted.isdisjoint(digests_in(name))]
        listed = set(names)
        for name, content in self.folder.read(names):
            plain = name.removesuffix(PACKED)
            if plain == name or not isinstance(content, FileNotFoundError):
                yield name, content
            elif plain not in listed:
                # Since it was listed, the trial was written anew.
                yield from self.folder.read([plain])

    def _sound(self, identities: Iterable[Identity] | None, *, curves: bool) -> Iterator[Found]:
        """What can be used of these files."""
        for name, content in self.files(identities):
            loaded = load(name, content, curves=curves)
            if isinstance(loaded, Found):
                yield loaded


@contextlib.contextmanager
def _paused_garbage_collection() -> Iterator[None]:
    """Records hold no cycles; scanning them again and again takes longer than reading them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
