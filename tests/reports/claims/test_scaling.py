"""Verdicts on cost against length."""

import pytest

from reports.claims.claim import NotTestedError
from reports.claims.darkformer import DARKFORMER, SOFTMAX
from reports.claims.scaling import linear_cost
from results.record import Record
from tests.results.curves import failed_cell, fake_cell, fake_cost_record

judge = linear_cost(DARKFORMER, SOFTMAX)


def cost(method: str, power: float, memory: float = 1.0, *, lengths=(512, 1024, 2048)) -> Record:
    """Time and memory that grow as powers of length."""
    cells = [
        fake_cell(
            mode,
            length=length,
            seconds=[1e-6 * length**power * (1 + i / 500) for i in range(20)],
            allocated_bytes=int(length**memory),
        )
        for mode in ("forward", "training")
        for length in lengths
    ]
    options = {"initial": "identity"} if method == "darkformer" else {}
    return fake_cost_record(method, cells, options=options)


@pytest.mark.parametrize(
    ("ours", "memory", "exact", "verdict"),
    [
        (1.0, 1.0, 2.0, "reproduced"),
        (1.4, 1.0, 2.0, "not reproduced"),
        (1.0, 2.0, 2.0, "not reproduced"),
        (1.0, 1.0, 1.2, "inconclusive"),
        (1.15, 1.0, 2.0, "inconclusive"),
    ],
)
def test_exponents_of_time_and_memory_decide(ours, memory, exact, verdict):
    found = judge([cost("darkformer", ours, memory), cost("softmax", exact)])
    assert found.verdict == verdict
    assert found.effects[0].interval.mean == pytest.approx(ours, abs=1e-3)


def test_lengths_too_near_each_other_leave_cost_untested():
    records = [cost("darkformer", 1.0, lengths=(1024, 2048)), cost("softmax", 2.0)]
    with pytest.raises(NotTestedError, match="no two lengths, one 4 times the other"):
        judge(records)


def test_cells_that_were_not_measured_are_left_out():
    record = cost("darkformer", 1.0)
    curve = record.curve.model_copy(update={"cells": [*record.curve.cells, failed_cell(8192)]})
    found = judge([record.model_copy(update={"curve": curve}), cost("softmax", 2.0)])
    assert "Up to 2048 tokens of DARKFormer" in found.note
