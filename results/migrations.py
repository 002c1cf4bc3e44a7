"""Steps that bring a record of an older schema to the current one, a version at a time."""

import re
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from results.record import SCHEMA

Document = dict[str, Any]
Step = Callable[[Document], Document]


def _one_core(document: Document) -> Document:
    """Schemas 2 to 5 only add a field each that may be absent. A machine of one core was called
    one of `1 cores` before, and its times would stand in two tables."""
    machine = document.get("machine")
    name = machine.get("name") if isinstance(machine, dict) else None
    if not isinstance(machine, dict) or not isinstance(name, str):
        return document
    return document | {"machine": machine | {"name": re.sub(r", 1 cores(?=,|$)", ", 1 core", name)}}


STEPS: Mapping[int, Step] = dict.fromkeys(range(1, SCHEMA), _one_core)
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
