"""Steps that bring a record of an older schema to the current one, a version at a time."""

import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from results.record import SCHEMA

Document = dict[str, Any]
Step = Callable[[Document], Document]


def _same(document: Document) -> Document:
    """Schemas 2 to 5 only add a field each that may be absent."""
    return document


STEPS: Mapping[int, Step] = dict.fromkeys(range(1, SCHEMA), _same)
"""From the version a document has to the step that raises it by one. Schema 1 is the first."""


class MigrationError(Exception):
    """A document cannot be brought to the current schema; the message says why."""


def migrate(
    document: Document, *, steps: Mapping[int, Step] = STEPS, current: int = SCHEMA
) -> Document:
    """The same record under the current schema. The argument is left as it was."""
    version = document.get("schema")
    if type(version) is not int or abs(version) > 10**9:
        shown = reprlib.repr(version)
        raise MigrationError(f"its schema is {shown}, which is not a version number")
    if version > current:
        raise MigrationError(
            f"it has schema {version}, newer than the {current} read here: update the bench"
        )
    document = dict(document)
    while version < current:
        if version not in steps:
            raise MigrationError(f"it has schema {version}, from which no migration is known")
        document = steps[version](document)
        version += 1
        document["schema"] = version
    return document
