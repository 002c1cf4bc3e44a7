"""The laws about what is kept between calls: who keeps what a call needs breaks none of them."""

import pytest
import torch

from methods.api import Method
from methods.core.storages import Watch
from methods.core.testing import check_method
from tests.adversaries.offenders import KEPT, STEPS, KeepsItInAPool, Running

LAWS = ["nothing-kept-between-calls", KEPT]


class KeepsItsDesk(Running):
    """Writes its sums, in every call, into a place that it keeps; and keeps a table of places."""

    def go_on(self, v, total, count):
        if self.hidden is None or self.hidden[0].shape != v.shape:
            self.hidden = torch.empty_like(v), torch.arange(1, v.shape[2] + 1)[:, None]
        desk, places = self.hidden
        if torch.is_grad_enabled():
            return super().go_on(v, total, count)
        torch.cumsum(v, 2, out=desk)
        desk += total
        return desk / (places + count), desk[:, :, -1:].clone(), count + v.shape[2]

    def put(self, total, count):
        return total, torch.tensor(count)

    def take(self, state):
        return state[0], int(state[1])


def _broken(attention) -> dict[str, str]:
    method = Method(name="keeper", attention=attention, can=STEPS)
    return {r.law: r.detail for r in check_method(method, laws=LAWS) if not r.passed}


def test_a_place_to_write_in_and_a_table_may_be_kept():
    assert _broken(KeepsItsDesk) == {}


def test_a_state_in_a_pool_that_was_there_before_is_found():
    broken = _broken(KeepsItInAPool)
    assert list(broken) == [KEPT]
    assert "going on elsewhere from a copy of the state" in broken[KEPT]


@pytest.mark.parametrize("grow", [lambda x: x.add_(1), lambda x: torch.neg(x[1:], out=x[1:])])
def test_what_was_written_over_is_put_back(grow):
    x = torch.arange(3.0)
    with Watch(saves=True) as watch:
        grow(x)
    assert x.tolist() != [0.0, 1.0, 2.0]
    watch.undo()
    assert x.tolist() == [0.0, 1.0, 2.0]


def test_what_was_looked_at_is_found_and_what_was_made_is_not():
    old, kept = torch.ones(5), []
    with Watch() as watch:
        kept.append(old[1:] + torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert (watch.found(), watch.made()) == (20, 16)
    assert watch.found(apart_from=[old.untyped_storage()]) == 0
    kept.clear()
    assert watch.made() == 0
