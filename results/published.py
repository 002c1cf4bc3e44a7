"""Numbers that others published, with source and protocol: data files, checked on reading."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

LRA_TASKS: Final = (
    "lra/listops",
    "lra/text",
    "lra/retrieval",
    "lra/image",
    "lra/pathfinder",
)
"""The five that LRA's average is over; `lra/pathx` stands apart."""
PROTOCOLS: Final = "protocols.json"
"""The one file beside the tables that is none: `results.protocols` reads it."""
CHANCE_PATHX: Final = 50.0
"""What a mean over six tasks counts for a model that fails on Path-X."""

Mark = Literal["V", "S", "R"]
"""V: read in the source itself. S: read in another paper's table. R: recalled, not checked."""
Where = Literal["paper", "README", "secondary", "later papers"]


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cell(_Checked):
    """One number; `value` is empty where the model was reported to fail."""

    column: str
    value: float | None
    note: str = ""


class Printed(_Checked):
    """A summary as it was printed. It is never used, only compared with what its cells give."""

    quantity: Literal["mean of 5 tasks", "mean of 6 tasks", "ratio at 4K to Transformer"]
    value: float
    where: Where
    slip: bool = False
    """The cells give another number; the note says which."""
    note: str = ""


class Row(_Checked):
    """One model. What is empty here is as the table says."""

    method: str
    """As the source calls it."""
    bench_method: str
    """The name it has, or would have, here."""
    cells: list[Cell]
    printed: list[Printed] = Field(default_factory=list)
    source: Where | None = None
    protocol: str = ""
    mark: Mark | None = None
    citation: str = ""
    note: str = ""

    def value(self, column: str) -> float | None:
        return next((cell.value for cell in self.cells if cell.column == column), None)

    def mean(self, tasks: tuple[str, ...] = LRA_TASKS) -> float | None:
        """Recomputed; empty unless every task has a number."""
        values = [value for task in tasks if (value := self.value(task)) is not None]
        return sum(values) / len(tasks) if len(values) == len(tasks) else None


class Table(_Checked):
    """A published table and what its rows have in common."""

    name: str
    title: str
    citation: str
    url: str
    source: Where
    protocol: str
    mark: Mark
    quantity: str
    unit: str
    higher_is_better: bool
    columns: list[str]
    rows: list[Row]
    note: str = ""
    machine: str = ""
    """What times and memory were measured on; empty where neither stands in the table."""

    @model_validator(mode="after")
    def _columns_are_known(self) -> Self:
        for row in self.rows:
            names = [cell.column for cell in row.cells]
            if len(set(names)) < len(names) or not set(names) <= set(self.columns):
                raise ValueError(f"{row.method!r} in {self.name!r} has doubtful columns: {names}.")
        return self

    def values(self) -> Iterator["Published"]:
        """Every cell with all that must be said about it."""
        for row in self.rows:
            for cell in row.cells:
                yield Published(
                    table=self.name,
                    method=row.method,
                    bench_method=row.bench_method,
                    column=cell.column,
                    quantity=self.quantity,
                    unit=self.unit,
                    value=cell.value,
                    source=row.source or self.source,
                    protocol=row.protocol or self.protocol,
                    mark=row.mark or self.mark,
                    citation=row.citation or self.citation,
                    machine=self.machine,
                    note="; ".join(note for note in (cell.note, row.note) if note),
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One published number with its source, its protocol and how far it was checked."""

    table: str
    method: str
    bench_method: str
    column: str
    quantity: str
    unit: str
    value: float | None
    source: Where
    protocol: str
    mark: Mark
    citation: str
    machine: str
    note: str


@cache
def published_tables() -> tuple[Table, ...]:
    """All tables that ship with the bench, by file name."""
    folder = resources.files("results") / "published"
    found = (f for f in folder.iterdir() if f.name.endswith(".json") and f.name != PROTOCOLS)
    files = sorted(found, key=lambda f: f.name)
    return tuple(Table.model_validate_json(file.read_text(encoding="utf-8")) for file in files)


def recompute(row: Row, printed: Printed, table: Table) -> float:
    """What the row's cells give for a printed summary."""
    if printed.quantity == "ratio at 4K to Transformer":
        reference = next(r for r in table.rows if r.method == "Transformer")
        return (row.value("4K") or 0.0) / (reference.value("4K") or float("nan"))
    values = [row.value(task) for task in LRA_TASKS]
    if printed.quantity == "mean of 6 tasks":
        pathx = row.value("lra/pathx")
        values.append(CHANCE_PATHX if pathx is None else pathx)
    return sum(float("nan") if v is None else v for v in values) / len(values)
