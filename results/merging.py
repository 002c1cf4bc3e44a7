"""Several folders of records brought together: nothing is lost, nothing replaced unasked."""

import gzip
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, NamedTuple

from results.foreign import unpacked
from results.loading import PACKED, Problem, began, load
from results.record import Record
from results.store import Store

COPIED_AT_ONCE: Final = 256
WRITERS: Final = 8
Prefer = Literal["newest", "source", "destination"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A trial that a source and the destination hold with different outcomes."""

    trial: str
    source: str
    file: str
    """In the source."""
    differs: Mapping[str, tuple[str, str]]
    """What is so in the source, and in the destination."""
    kept: Prefer | None
    """Whose record stands, by what was preferred; None where the conflict remains."""


@dataclass(slots=True, kw_only=True)
class Merged:
    """What became of the files of all sources."""

    copied: int = 0
    same: int = 0
    """Were there already."""
    conflicts: list[Conflict] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def remaining(self) -> list[Conflict]:
        """The conflicts that nothing decided."""
        return [conflict for conflict in self.conflicts if conflict.kept is None]


class _Card(NamedTuple):
    """What is remembered of a file: records themselves may be more than memory holds."""

    name: str
    bytes: str
    """Digest of the file as it is."""
    content: str
    """Digest of the record, however it was written and packed."""
    started: datetime
    file_name: str
    """What the store itself would call it."""
    shown: Mapping[str, str]
    several: bool = False
    """Whether its folder holds the trial under other names too."""


class _Copy(NamedTuple):
    card: _Card
    target: str


def merge(
    sources: Sequence[Store], into: Store, *, prefer: Prefer | None = None, dry_run: bool = False
) -> Merged:
    """Copies the records of every source that the destination lacks, byte for byte.

    Sources are taken in order: what one brings, the next is held against. `dry_run` copies nothing
    and says the same.
    """
    done = Merged()
    there, damaged = _cards(into)
    done.problems += _placed(damaged.values(), into)
    for source in sources:
        here, passed_over = _cards(source)
        done.problems += _placed(passed_over.values(), source)
        copies = []
        for digest, card in here.items():
            target = _target(card, there.get(digest), damaged, source, prefer, done)
            if target is not None:
                copies.append(_Copy(card, target))
                there[digest] = card._replace(name=target, several=False)
                damaged.pop(target, None)
        if not dry_run:
            done.problems += _copy(copies, source, into)
    return done


def _target(
    card: _Card,
    rival: _Card | None,
    damaged: Mapping[str, Problem],
    source: Store,
    prefer: Prefer | None,
    done: Merged,
) -> str | None:
    """The name to copy a record to, or None where it is not copied; keeps the count."""
    name = card.file_name + (PACKED if card.name.endswith(PACKED) else "")
    if rival is None and name not in damaged:
        done.copied += 1
        return name
    if rival is not None and rival.content == card.content:
        done.same += 1
        return None
    kept = _kept(card, rival, prefer)
    conflict = Conflict(
        trial=card.shown["trial"],
        source=str(source.folder),
        file=card.name,
        differs=_differs(card, rival) if rival else {"file": ("sound", damaged[name].reason)},
        kept=kept,
    )
    done.conflicts.append(conflict)
    if kept in (None, "destination"):
        return None
    # In place of the other file, whatever its name, or both would lie there.
    return rival.name if rival else name


def _kept(card: _Card, rival: _Card | None, prefer: Prefer | None) -> Prefer | None:
    """Whose record stands."""
    if prefer in (None, "destination"):
        return prefer
    if rival is None:
        return "source"
    if rival.several or (prefer == "newest" and card.started == rival.started):
        return None
    return "source" if prefer == "source" or card.started > rival.started else "destination"


def _differs(card: _Card, rival: _Card) -> dict[str, tuple[str, str]]:
    words = [word for word in {**card.shown, **rival.shown} if word != "trial"]
    pairs = {word: (card.shown.get(word, "-"), rival.shown.get(word, "-")) for word in words}
    differs = {word: pair for word, pair in pairs.items() if pair[0] != pair[1]}
    if rival.several:
        differs["files"] = ("one", "several of this trial")
    return differs or {"content": (card.content[:9], rival.content[:9])}


def _cards(store: Store) -> tuple[dict[str, _Card], dict[str, Problem]]:
    """What a folder holds, by the trial's digest; and what is no record, by the file's name."""
    cards: dict[str, _Card] = {}
    problems: dict[str, Problem] = {}
    for name, content in store.files():
        found = load(name, content)
        if isinstance(found, Problem):
            problems[name] = found
        elif isinstance(content, bytes):
            card, rival = _card(name, content, found.record), cards.get(found.digest)
            if rival is not None:
                loser, card = sorted((rival, card), key=_rank)
                card = card._replace(several=True)
                reason = f"is the same trial as {card.name}, which is used"
                problems[loser.name] = Problem(file=loser.name, reason=reason)
            cards[found.digest] = card
    return cards, problems


def _rank(card: _Card) -> tuple[datetime, bool]:
    """As a store ranks what it reads."""
    return card.started, card.name == card.file_name


def _card(name: str, content: bytes, record: Record) -> _Card:
    identity, provenance = record.identity, record.provenance
    shown = {
        "trial": f"{identity.method} {identity.task} {identity.preset} seed {identity.seed}",
        "started": provenance.started,
        "commit": (provenance.commit or "none")[:9],
        "status": record.status,
        "timed": "no" if record.untimed else "yes",
        "machine": record.machine.name,
    }
    if record.metrics:
        shown[record.metrics[0].name] = f"{record.metrics[0].value:.6g}"
    return _Card(
        name=name,
        bytes=_digest(content),
        content=_digest(record.model_dump_json().encode()),
        started=began(record),
        file_name=identity.file_name(),
        shown=shown,
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _placed(problems: Iterable[Problem], store: Store) -> Iterator[Problem]:
    for problem in problems:
        yield Problem(file=f"{store.folder}/{problem.file}", reason=problem.reason)


def _copy(copies: Sequence[_Copy], source: Store, into: Store) -> list[Problem]:
    """Copies the files; a problem for each that is no longer what it was when it was looked at."""
    changed = []
    with ThreadPoolExecutor(WRITERS) as writers:
        for start in range(0, len(copies), COPIED_AT_ONCE):
            some = copies[start : start + COPIED_AT_ONCE]
            contents = source.folder.read([copy.card.name for copy in some])
            writes = []
            for copy, (name, content) in zip(some, contents, strict=True):
                if isinstance(content, OSError) or _digest(content) != copy.card.bytes:
                    reason = "changed while it was being merged; merge again"
                    changed.append(Problem(file=f"{source.folder}/{name}", reason=reason))
                    continue
                packing = _packed_as(name, copy.target, content)
                writes.append(writers.submit(into.folder.write, copy.target, packing))
            for write in writes:
                write.result()
    return changed


def _packed_as(name: str, target: str, content: bytes) -> bytes:
    """The content as the target's name promises it."""
    if name.endswith(PACKED) == target.endswith(PACKED):
        return content
    return unpacked(content) if name.endswith(PACKED) else gzip.compress(content, mtime=0)
