"""What holds for every test: two threads at most, the same draws whenever it is run, and shapes
checked where types state them."""

import random
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture(scope="session")
def _draws() -> Iterator[random.Random]:
    """In place of the source that nobody foresees, within this process and for all of its tests:
    the harness would take another exchange for a patch."""
    # Imported by a test, its shapes are checked; before the first, they would not be.
    from methods.core.subject import SECRET

    draws = random.Random()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SECRET, "getrandbits", draws.getrandbits)
        yield draws


@pytest.fixture(autouse=True)
def _own_draws(_draws: random.Random, request: pytest.FixtureRequest) -> None:
    """Laws draw lengths and seeds: what fails here fails again, and what passes passes again."""
    _draws.seed(request.node.nodeid)
