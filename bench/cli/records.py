"""Which records a command shows: a folder read whole, then what filters let through."""

import gc
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bench.cli.seeds import Seeds
from bench.errors import UsageError, nearest

if TYPE_CHECKING:
    from results.record import Record

Several = Parameter(consume_multiple=True, negative=(), show_default=False)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which records."""

    methods: Annotated[tuple[str, ...], Several] = ()
    """Only these, with any options; floors and ceilings stay."""
    task: Annotated[tuple[str, ...], Several] = ()
    """Only these: tasks, or families such as lra."""
    preset: Annotated[tuple[str, ...], Several] = ()
    """Only these."""
    seeds: Annotated[tuple[int, ...], Seeds] = ()
    """Only these."""
    machine: Annotated[tuple[str, ...], Several] = ()
    """Only of machines whose name holds one of these words."""
    commit: Annotated[tuple[str, ...], Several] = ()
    """Only of commits that begin so."""
    since: str = ""
    """Only trials begun at this time or later, such as 2031-05-17 or 2031-05-17T09:30 (UTC)."""
    until: str = ""
    """Only trials begun before this time."""


def read_records(location: str, *, curves: bool = False) -> "list[Record]":
    """Every sound record; the problems go to stderr. Raises UsageError where there is none.

    `curves`: with the losses of training, which are most of a record's memory.
    """
    from results.store import Store

    store = Store(location)
    if wrong := store.folder.absent():
        raise UsageError(
            f"the results folder {str(store.folder)!r} {wrong}. Name another with --results, or"
            " make one with `python -m bench run`."
        )
    reading = store.read(curves=curves)
    # Thousands of records stay until the end: the collector need not look at them again and again.
    gc.freeze()
    for problem in reading.problems:
        sys.stderr.write(f"Passed over {problem}\n")
    if not reading.records:
        raise UsageError(
            f"the results folder {str(store.folder)!r} holds no records. Name another with"
            " --results, or fill it with `python -m bench run`."
        )
    return list(reading.records)


def only(records: "list[Record]", filters: Filters) -> "list[Record]":
    """The records that every filter lets through. A filter that matches nothing is an error."""
    check_filters(records, filters)
    found = chosen(records, filters)
    if not found:
        raise UsageError("no record passes all these filters together. Leave one of them out.")
    return found


def check_filters(records: "list[Record]", filters: Filters) -> None:
    """Raises UsageError where a filter alone matches none of the records."""
    identities = [record.identity for record in records]
    tasks = {identity.task for identity in identities}
    families = {name.split("/")[0] for name in tasks if "/" in name}
    _known("method", filters.methods, {identity.method for identity in identities})
    _known("task", filters.task, tasks | families)
    _known("preset", filters.preset, {identity.preset for identity in identities})
    _known("seed", map(str, filters.seeds), {str(identity.seed) for identity in identities})
    machines = {record.machine.name for record in records}
    for word in filters.machine:
        if not any(word in name for name in machines):
            there = "; ".join(sorted(machines))
            raise UsageError(f"no record is of a machine named {word!r}. There are: {there}.")
    commits = {record.provenance.commit or "" for record in records}
    for begin in filters.commit:
        if not begin or not any(commit.startswith(begin) for commit in commits):
            there = ", ".join(sorted(commit[:9] or "no commit" for commit in commits))
            raise UsageError(f"no record is of a commit {begin!r}. There are: {there}.")


def chosen(records: "list[Record]", filters: Filters) -> "list[Record]":
    """The same, and nothing is an answer too. Raises UsageError for a time that is none."""
    since, until = (_moment(text) if text else None for text in (filters.since, filters.until))
    return [
        record
        for record in records
        if _passes(record, filters) and _within(record.provenance.started, since, until)
    ]


def _passes(record: "Record", filters: Filters) -> bool:
    identity, commit = record.identity, record.provenance.commit or ""
    names = (identity.task, identity.task.split("/")[0])
    return (
        (not filters.methods or identity.method in filters.methods or record.role != "method")
        and (not filters.task or any(name in filters.task for name in names))
        and (not filters.preset or identity.preset in filters.preset)
        and (not filters.seeds or identity.seed in filters.seeds)
        and (not filters.machine or any(word in record.machine.name for word in filters.machine))
        and (not filters.commit or commit.startswith(filters.commit))
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is no time: write it as 2031-05-17 or 2031-05-17T09:30, in UTC."
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _within(started: str, since: datetime | None, until: datetime | None) -> bool:
    """A record that does not say when it began passes only where no time was asked for."""
    if since is None and until is None:
        return True
    try:
        moment = datetime.fromisoformat(started)
    except ValueError:
        return False
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (since is None or moment >= since) and (until is None or moment < until)


def _known(what: str, asked: Iterable[str], known: set[str]) -> None:
    for name in asked:
        if name not in known:
            raise UsageError(
                f"no record is of a {what} {name!r}.{nearest(name, known)}"
                f" There are: {', '.join(sorted(known))}."
            )
