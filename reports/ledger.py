"""The fairness ledger: what each contender had at its disposal beside softmax in the same column.

An accuracy is comparable only as far as these are: parameters, features, state, operations, tokens
and the search for a learning rate. What lies more than a tenth from softmax is flagged.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from reports.accuracy import block_title, labels
from reports.cells import Cell, Comparison
from reports.columns import Column, Contender
from reports.costs import PRICES
from reports.frame import Row
from reports.grid import Entry, Grid, Notes, Section, plain
from reports.numbers import count, size
from reports.tidy import Tidy, of_column
from results.record import Scalar

REFERENCE: Final = "softmax"
TOLERANCE: Final = 0.1
"""A greater difference from the reference is flagged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A column of the ledger."""

    head: tuple[str, ...]
    quantity: str
    unit: str
    of: Callable[[Row], float | None]
    show: Callable[[float], str] = count


def _protocol(row: Row) -> dict[str, Scalar]:
    return _parsed(row.protocol or "{}")


@cache
def _parsed(text: str) -> dict[str, Scalar]:
    """Thousands of records share a protocol."""
    found: dict[str, Scalar] = json.loads(text)
    return found


def _number(value: Scalar) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _steps(row: Row) -> float | None:
    return _number(_protocol(row).get("steps"))


def _features(row: Row) -> float | None:
    return _number(json.loads(row.options).get("num_features"))


def _rates(row: Row) -> float | None:
    """Learning rates that a search tried; 0 where there was none."""
    protocol = _protocol(row)
    if not protocol:
        return None
    tried = str(protocol.get("learning_rates") or "")
    return float(len({text.strip() for text in tried.split(",") if text.strip()}))


def _search_steps(row: Row) -> float | None:
    """Training steps of the whole search."""
    rates, each = _rates(row), _number(_protocol(row).get("search_steps"))
    return None if rates is None else rates * (each or 0.0)


ITEMS: Final = (
    Item(head=("parameters",), quantity="parameters", unit="1", of=lambda row: row.parameters),
    Item(
        head=("without", "embeddings"),
        quantity="non_embedding_parameters",
        unit="1",
        of=lambda row: row.non_embedding_parameters,
    ),
    Item(head=("features",), quantity="num_features", unit="1", of=_features),
    Item(
        head=("decoding", "state"),
        quantity="state_bytes",
        unit="B",
        of=lambda row: row.state_bytes,
        show=size,
    ),
    Item(
        head=("FLOPs", "a step"),
        quantity="flops_per_step",
        unit="1",
        of=lambda row: row.flops_per_step,
    ),
    Item(head=("steps",), quantity="steps", unit="1", of=_steps),
    Item(
        head=("tokens", "trained"),
        quantity="tokens_trained",
        unit="tokens",
        of=lambda row: row.tokens_trained,
    ),
    Item(head=("rates", "tried"), quantity="rates_tried", unit="1", of=_rates),
    Item(head=("steps of", "search"), quantity="search_steps", unit="1", of=_search_steps),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One number of the ledger, and how it stands to the reference."""

    item: Item
    value: float | None
    against: float | None
    """The reference's; None where there is none or it is the reference itself."""

    @property
    def flagged(self) -> bool:
        if self.value is None or self.against is None:
            return False
        return abs(self.value - self.against) > TOLERANCE * abs(self.against)

    @property
    def remark(self) -> str:
        """`+34 %`, or `x12` where it is that much."""
        if not self.flagged or self.value is None or self.against is None:
            return ""
        if self.against == 0:
            return "not 0"
        ratio = self.value / self.against
        return f"{100 * (ratio - 1):+.0f} %" if 0.1 < ratio < 3 else f"x{ratio:.2g}"


def ledger_of(comparison: Comparison, column: Column) -> dict[Contender, tuple[Held, ...]]:
    """The numbers of everyone who completed in a column."""
    found = {
        contender: cell
        for contender in comparison.contenders
        if (cell := comparison.cell(contender, column)).completed
    }
    softmax = next((cell for who, cell in found.items() if who.method == REFERENCE), None)
    return {
        who: tuple(
            Held(
                item=item,
                value=_greatest(item, cell),
                against=None if softmax in (None, cell) else _greatest(item, softmax),
            )
            for item in ITEMS
        )
        for who, cell in found.items()
    }


def _greatest(item: Item, cell: Cell | None) -> float | None:
    values = [v for row in (cell.completed if cell else ()) if (v := item.of(row)) is not None]
    return max(values) if values else None


def ledger_grids(comparison: Comparison) -> list[Grid]:
    """One grid for each group of columns; a section for each column."""
    return [
        grid for columns in comparison.blocks() if (grid := _grid(comparison, columns)) is not None
    ]


def _grid(comparison: Comparison, columns: Sequence[Column]) -> Grid | None:
    notes = Notes()
    sections = []
    lonely = []
    for column in columns:
        ledger = ledger_of(comparison, column)
        rows = [(labels(who), *(_entry(held) for held in line)) for who, line in ledger.items()]
        if rows:
            twins = [c for c in columns if (c.task, c.source) == (column.task, column.source)]
            data = f", data {column.digest[:8]}" if len(twins) > 1 else ""
            title = f"{column.task} ({column.source}{data})"
            sections.append(Section(title=plain(title), rows=tuple(rows)))
            if not any(who.method == REFERENCE for who in ledger):
                lonely.append(column.task)
    if not sections:
        return None
    notes.general.append(
        f"Below a number: how far it lies from {REFERENCE}'s in the same column, where that is more"
        f" than {100 * TOLERANCE:.0f} %. The greatest over seeds. -: has none, or not recorded."
    )
    if lonely:
        notes.general.append(f"Nothing is flagged without {REFERENCE}: {', '.join(lonely)}.")
    return Grid(
        title=block_title("Fairness ledger", columns),
        header=(("method",), *(item.head for item in ITEMS)),
        sections=tuple(sections),
        notes=notes.all(),
    )


def _entry(held: Held) -> Entry:
    if held.value is None:
        return Entry(text="-", emphasis="faint")
    return Entry(text=held.item.show(held.value), remark=held.remark)


def ledger_values(comparison: Comparison, *, prices: bool = True) -> Iterator[Tidy]:
    """A row a number; the reason says how it stands to softmax where it is flagged.

    `prices=False` leaves out what the rows of prices say already.
    """
    told = set() if prices else {price.quantity for price in PRICES}
    for column, facts in comparison.columns.items():
        for who, line in ledger_of(comparison, column).items():
            seeds = " ".join(str(row.seed) for row in comparison.cell(who, column).completed)
            for held in line:
                if held.value is not None and held.item.quantity not in told:
                    yield of_column(
                        column,
                        facts,
                        method=who.method,
                        options=who.options,
                        role=who.role,
                        quantity=held.item.quantity,
                        unit=held.item.unit,
                        value=held.value,
                        seeds=seeds,
                        status="completed",
                        reason=f"{held.remark} against {REFERENCE}" if held.flagged else "",
                        reference=REFERENCE if held.against is not None else "",
                    )
