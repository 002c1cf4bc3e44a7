"""Short runs of the fuzz targets; `python -m tests.security.soak` runs them for long."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from results.loading import Found, load
from tests.security import file_targets, record_targets, soak
from tests.security.mutations import Tape, as_bytes, damaged, doubtful

TARGETS = record_targets.TARGETS | file_targets.TARGETS
EXAMPLES = {"comparison": 8, "selectors": 150}
TAPES = st.integers(0, 2**32).map(lambda seed: random.Random(seed).randbytes(soak.LONGEST))


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_is_read_is_a_result_or_a_sentence(name):
    for package in ("altair", "jinja2", "PIL", "pyarrow"):
        pytest.importorskip(package)

    @settings(
        max_examples=EXAMPLES.get(name, 40),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(TAPES)
    def run(tape):
        TARGETS[name](tape)

    run()


def test_mutated_records_are_partly_read_and_partly_refused():
    """Else nothing behind the schema, or nothing of the schema, would be tried."""
    for folder in record_targets.samples():
        tapes = [Tape(random.Random(seed).randbytes(soak.LONGEST)) for seed in range(100)]
        found = [load("a.json", as_bytes(doubtful(folder[0], tape))) for tape in tapes]
        assert 15 < sum(isinstance(each, Found) for each in found) < 95


def test_a_tape_makes_one_case():
    tape = random.Random(0).randbytes(soak.LONGEST)
    made = {damaged(file_targets.LINES, Tape(tape)) for _ in range(3)}
    assert len(made) == 1
    assert made != {file_targets.LINES}


def test_the_soak_knows_every_target():
    known = [name for names in soak.NAMES.values() for name in names]
    assert sorted(known) == sorted(TARGETS)
