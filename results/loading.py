"""From the content of a file to a record, or to what is wrong with the file.

A file packed with gzip, `.json.gz`, is read as well: probes of whole models are a megabyte of
points, and a twentieth of it packed.
"""

import gzip
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

import pydantic
import pydantic_core

from results.folders import said_by
from results.foreign import TooLargeError, legible, printable, unpacked
from results.migrations import Document, MigrationError, migrate
from results.record import SCHEMA, Record

PACKED: Final = ".gz"
_DIGEST = re.compile(r"--([0-9a-f]{16})(?![0-9a-f])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A file that was passed over. Nothing is ever deleted."""

    file: str
    reason: str

    def __str__(self) -> str:
        return printable(f"{self.file}: {self.reason}")


class Found(NamedTuple):
    """A record, and the file that it lies in."""

    name: str
    digest: str
    record: Record


def is_record(name: str) -> bool:
    """Whether a file of this name should hold a record."""
    return name.removesuffix(PACKED).endswith(".json") and not name.startswith(".")


def digests_in(name: str) -> list[str]:
    """The digests of identities that a file's name carries: one, or none in a name of its own."""
    return _DIGEST.findall(name)


def load(name: str, content: bytes | OSError, *, curves: bool = True) -> Found | Problem:
    """The record in a file, brought to the current schema, or why there is none."""
    if isinstance(content, OSError):
        return Problem(file=name, reason=f"cannot be read: {said_by(content)}")
    try:
        if name.endswith(PACKED):
            content = unpacked(content)
    except TooLargeError as error:
        return Problem(file=name, reason=f"cannot be read: {said_by(error)}")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return Problem(file=name, reason="is not a whole gzip file")
    content = legible(content)
    try:
        record = Record.model_validate_json(content)
    except pydantic.ValidationError as error:
        return _load_slowly(name, content, error)
    if record.schema_ != SCHEMA:
        return _load_slowly(name, content, None)
    return _checked(name, record if curves else _without_curves(record))


def _checked(name: str, record: Record) -> Found | Problem:
    digest = record.identity.digest()
    named = digests_in(name)
    if named and digest not in named:
        return Problem(file=name, reason="holds another trial than its name says")
    return Found(name, digest, record)


def _load_slowly(
    name: str, content: bytes, error: pydantic.ValidationError | None
) -> Found | Problem:
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
            return Found(name, *_of_old_schema(migrated))
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


def newest(found: Iterable[Found]) -> tuple[tuple[Record, ...], list[Problem]]:
    """One record an identity, and a problem for each file that a newer one outranks."""
    kept: dict[str, Found] = {}
    problems = []
    for each in found:
        rival = kept.setdefault(each.digest, each)
        if rival is each:
            continue
        loser, winner = sorted((rival, each), key=rank)
        kept[each.digest] = winner
        reason = f"is the same trial as {winner.name}, which is used"
        problems.append(Problem(file=loser.name, reason=reason))
    return tuple(each.record for each in kept.values()), problems


def rank(found: Found) -> tuple[datetime, bool]:
    """The later start wins; of two copies the one under its own name."""
    return began(found.record), found.name == found.record.identity.file_name()


def began(record: Record) -> datetime:
    """When its trial did; before all others where it does not say."""
    try:
        started = datetime.fromisoformat(record.provenance.started)
    except ValueError:
        started = datetime.min
    return started if started.tzinfo else started.replace(tzinfo=UTC)


def _without_curves(record: Record) -> Record:
    if record.training is None or record.language is not None:
        return record
    training = record.training.model_copy(update={"curve": [], "evaluations": []})
    return record.model_copy(update={"training": training})
