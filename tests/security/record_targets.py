"""Fuzz targets of records: each takes bytes, and raises only where something is wrong with us."""

import copy
import functools
import gzip
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

from bench.cli.records import Filters, only
from bench.errors import UsageError
from reports.changes import changes
from reports.changes_tables import change_grid, render_changes
from reports.page.build import build_page
from reports.table import render
from results.foreign import printable
from results.loading import Found, load, newest
from results.migrations import MigrationError, migrate
from results.published import Table, published_tables
from results.record import Record
from tests.reports.samples import suite
from tests.results.curves import fake_cost_record, fake_crossovers
from tests.results.language import finetuned
from tests.results.probes import (
    bias_points,
    fake_probe_record,
    features_needed,
    second_moments,
    variances,
)
from tests.results.records import failed_record
from tests.security.mutations import Tape, as_bytes, damaged, doubtful

Documents = Sequence[Mapping[str, Any]]


@functools.cache
def samples() -> Sequence[Documents]:
    """Small folders of sound records: scores, costs, probes, language models."""
    exact = fake_cost_record("fake-exact", role="ceiling")
    folders: Sequence[Sequence[Record]] = (
        [*suite(seeds=(0, 1), tasks=("lra/listops",)), failed_record()],
        [exact, fake_cost_record("fast", crossovers=fake_crossovers())],
        [fake_probe_record(points, task=f"probes/{name}") for name, points in _points().items()],
        finetuned((0, 1)),
    )
    return [[json.loads(record.model_dump_json()) for record in folder] for folder in folders]


def _points() -> Mapping[str, Any]:
    return {
        "variance": [*variances(), *second_moments()],
        "bias": bias_points(1.0),
        "features-needed": features_needed(),
    }


def record_reading(data: bytes) -> None:
    """A damaged file is a record, or a problem in a sentence that a terminal can show."""
    tape = Tape(data)
    sound = tape.choice(tape.choice(samples()))
    name, content = "a.json", damaged(as_bytes(sound), tape)
    if tape.below(4) == 1:
        name, content = "a.json.gz", damaged(gzip.compress(as_bytes(sound)), tape)
    found = load(name, content)
    if isinstance(found, Found):
        require_legible(found.record.model_dump_json())
        assert load("a.json", found.record.model_dump_json().encode()) is not None
    else:
        require_legible(str(found))


def migrations(data: bytes) -> None:
    """A doubtful document is brought to the current schema or refused, and is left as it was."""
    tape = Tape(data)
    document = doubtful(tape.choice(tape.choice(samples())), tape)
    if not isinstance(document, dict):
        return
    document["schema"] = tape.choice((*range(-1, 9), None, True, "1", 10**400, 1.0, [[]]))
    before = copy.deepcopy(document)
    try:
        migrate(document)
    except MigrationError as error:
        require_legible(str(error))
    assert repr(document) == repr(before)


def comparison(data: bytes) -> None:
    """A folder with a mutated record in it has its tables, its page and its changes."""
    tape = Tape(data)
    folder = tape.choice(samples())
    sound = [_record(each) for each in folder]
    place = tape.below(len(folder))
    found = load(f"{place}.json", as_bytes(doubtful(folder[place], tape)))
    if not isinstance(found, Found):
        require_legible(str(found))
        return
    others = [Found("sound", r.identity.digest(), r) for i, r in enumerate(sound) if i != place]
    records = list(newest([found, *others])[0])
    with warnings.catch_warnings():
        # Absurd numbers may be warned of.
        warnings.simplefilter("ignore", RuntimeWarning)
        _show(records, sound, tape)


def _show(records: list[Record], sound: list[Record], tape: Tape) -> None:
    way = tape.choice(("table", "csv", "json", "markdown", "latex", "changes", "filters", "page"))
    if way == "page":
        page = build_page(records)
        assert "<script>alert" not in page
        written = re.sub("<script.*?</script>", "", page, flags=re.DOTALL)
        assert "<img" not in written
        assert 'href="javascript' not in written
    elif way == "changes":
        both = changes(sound, records)
        grid = change_grid(both, sound, records, ("old", "new"))
        require_legible(render_changes(grid, both, tape.choice(("table", "csv", "json"))))
    elif way == "filters":
        texts = ("2001-02-03", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "now")
        filters = Filters(since=tape.choice(("", *texts)), until=tape.choice(("", *texts)))
        try:
            only(records, filters)
        except UsageError as error:
            require_legible(str(error))
    else:
        require_legible(render(records, way))  # type: ignore[arg-type]


def published(data: bytes) -> None:
    """A damaged file of published numbers is refused by its schema, or is a table."""
    tape = Tape(data)
    document = json.loads(tape.choice(published_tables()).model_dump_json())
    try:
        table = Table.model_validate_json(as_bytes(doubtful(document, tape)))
    except pydantic.ValidationError:
        return
    assert len(list(table.values())) == sum(len(row.cells) for row in table.rows)


@functools.cache
def _sound(text: str) -> Record:
    return Record.model_validate_json(text)


def _record(document: Mapping[str, Any]) -> Record:
    return _sound(json.dumps(document))


def require_legible(text: str) -> None:
    """No terminal finds anything in it to obey."""
    assert printable(text) == text


TARGETS = {
    "records": record_reading,
    "migrations": migrations,
    "comparison": comparison,
    "published": published,
}
