"""A folder of records, one JSON file a trial, written whole or not at all.

A file packed with gzip, `.json.gz`, is read as well: probes of whole models are a megabyte of
points, and a twentieth of it packed.
"""

import contextlib
import gc
import gzip
import os
import re
import tempfile
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import pydantic
import pydantic_core

from results.migrations import Document, MigrationError, migrate
from results.record import SCHEMA, Identity, Record

LEFTOVER_SECONDS: Final = 3600.0
"""A temporary file older than this belongs to no write that is still going on."""
PACKED: Final = ".gz"
_DIGEST = re.compile(r"--([0-9a-f]{16})(?![0-9a-f])")


class StoreError(Exception):
    """A record could not be written; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A file that was passed over. Nothing is ever deleted."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a folder held: the records, ordered by file name, and the files passed over."""

    records: tuple[Record, ...]
    problems: tuple[Problem, ...]


class Store:
    """Records by identity. The folder need not exist until something is written."""

    def __init__(self, location: str | Path) -> None:
        self.folder = Path(location)

    def write(self, record: Record) -> Path:
        """Puts the record on disk, in place of an earlier one of the same identity.

        A reader, and whoever looks after a power cut, sees the whole old file or the whole new one.
        """
        target = self.folder / record.identity.file_name()
        temporary = self.folder / f".{target.stem}.{uuid.uuid4().hex[:8]}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    file.write(record.model_dump_json().encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(target)
            finally:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
            _sync_folder(self.folder)
        except OSError as error:
            raise StoreError(
                f"cannot write a record into {str(self.folder)!r}: {error.strerror or error}."
                " Free some space or choose another folder with --results."
            ) from error
        return target

    def check_writable(self) -> None:
        """Raises StoreError where a record could not be written, before any work is done."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder) as probe:
                probe.write(b"x")
        except OSError as error:
            raise StoreError(
                f"cannot write into {str(self.folder)!r}: {error.strerror or error}."
                " Choose another folder with --results."
            ) from error

    def read(self, *, curves: bool = True) -> Reading:
        """Every record, and a problem for every file that is none.

        `curves=False` drops loss curves and evaluations, which are most of a record's memory; those
        of language tasks stay, since tables show them.
        """
        problems = list(self._leftovers())
        found: list[_Found] = []
        with _paused_garbage_collection():
            for name in self._names():
                loaded = _load(self.folder, name, curves=curves)
                if isinstance(loaded, Problem):
                    problems.append(loaded)
                else:
                    found.append(loaded)
        records, duplicates = _newest(found)
        problems.extend(duplicates)
        return Reading(records=records, problems=tuple(sorted(problems, key=lambda p: p.file)))

    def find(self, identity: Identity) -> Record | None:
        """The record of this trial, whatever its status; a damaged file counts as none."""
        return self.find_all([identity]).get(identity.digest())

    def has(self, identity: Identity) -> bool:
        """Whether a sound record of this trial is here, whatever its status."""
        return self.find(identity) is not None

    def find_all(self, identities: Iterable[Identity]) -> Mapping[str, Record]:
        """The records of those of these trials that are here, by digest.

        Lists the folder once and opens only files whose names carry a wanted digest.
        """
        wanted = {identity.digest() for identity in identities}
        found: list[_Found] = []
        for name in self._names():
            if not wanted.isdisjoint(_DIGEST.findall(name)):
                loaded = _load(self.folder, name)
                if isinstance(loaded, _Found):
                    found.append(loaded)
        return {record.identity.digest(): record for record in _newest(found)[0]}

    def _names(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        names = os.listdir(self.folder)
        return sorted(
            name
            for name in names
            if name.removesuffix(PACKED).endswith(".json") and not name.startswith(".")
        )

    def _leftovers(self) -> Iterator[Problem]:
        if not self.folder.is_dir():
            return
        for path in self.folder.glob(".*.tmp"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                    yield Problem(
                        file=path.name,
                        reason="left behind by a run that was killed while writing;"
                        " it can be deleted",
                    )


class _Found(NamedTuple):
    name: str
    digest: str
    record: Record


def _load(folder: Path, name: str, *, curves: bool = True) -> _Found | Problem:
    try:
        with open(os.path.join(folder, name), "rb") as file:
            content = file.read()
        if name.endswith(PACKED):
            content = gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return Problem(file=name, reason="is not a whole gzip file")
    except OSError as error:
        return Problem(file=name, reason=f"cannot be read: {error.strerror or error}")
    try:
        record = Record.model_validate_json(content)
    except pydantic.ValidationError as error:
        return _load_slowly(name, content, error)
    if record.schema_ != SCHEMA:
        return _load_slowly(name, content, None)
    return _checked(name, record if curves else _without_curves(record))


def _checked(name: str, record: Record) -> _Found | Problem:
    digest = record.identity.digest()
    named = _DIGEST.findall(name)
    if named and digest not in named:
        return Problem(file=name, reason="holds another trial than its name says")
    return _Found(name, digest, record)


def _load_slowly(
    name: str, content: bytes, error: pydantic.ValidationError | None
) -> _Found | Problem:
    """A record of an older schema, or what is wrong with this file."""
    try:
        document = pydantic_core.from_json(content)
    except ValueError:
        return Problem(file=name, reason="is not whole JSON: truncated, or not a record")
    if not isinstance(document, dict) or not {"schema", "identity"} <= document.keys():
        return Problem(file=name, reason="is not a record of this bench")
    try:
        migrated = migrate(document)
    except MigrationError as failure:
        return Problem(file=name, reason=f"cannot be used: {failure}")
    if document["schema"] != SCHEMA:
        try:
            return _Found(name, *_of_old_schema(migrated))
        except pydantic.ValidationError as failure:
            error = failure
    return Problem(file=name, reason=f"does not fit schema {SCHEMA}: {_first(error)}")


def _of_old_schema(migrated: Document) -> tuple[str, Record]:
    """Its file keeps the digest that its identity had, so the name is not checked."""
    record = Record.model_validate_json(pydantic_core.to_json(migrated))
    return record.identity.digest(), record


def _first(error: pydantic.ValidationError | None) -> str:
    if error is None:
        return "its version is unknown"
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{field}: {first['msg']}" if field else first["msg"]


def _newest(found: Iterable[_Found]) -> tuple[tuple[Record, ...], list[Problem]]:
    """One record an identity, and a problem for each file that a newer one outranks."""
    kept: dict[str, _Found] = {}
    problems = []
    for each in found:
        rival = kept.setdefault(each.digest, each)
        if rival is each:
            continue
        loser, winner = sorted((rival, each), key=_rank)
        kept[each.digest] = winner
        reason = f"is the same trial as {winner.name}, which is used"
        problems.append(Problem(file=loser.name, reason=reason))
    return tuple(each.record for each in kept.values()), problems


def _rank(found: _Found) -> tuple[datetime, bool]:
    """The later start wins; of two copies the one under its own name."""
    try:
        started = datetime.fromisoformat(found.record.provenance.started)
    except ValueError:
        started = datetime.min
    if started.tzinfo is None:
        started = started.replace(tzinfo=UTC)
    return started, found.name == found.record.identity.file_name()


def _without_curves(record: Record) -> Record:
    if record.training is None or record.language is not None:
        return record
    training = record.training.model_copy(update={"curve": [], "evaluations": []})
    return record.model_copy(update={"training": training})


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


def _sync_folder(folder: Path) -> None:
    """Makes the new name itself durable, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
