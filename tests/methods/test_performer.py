"""Performer: near softmax where theory says so, and drawn anew when asked."""

import pytest
import torch

from methods import performer, softmax
from methods.api import Heads
from methods.core.attention import build_attention

HEADS = Heads(num_heads=4, head_dim=16, num_kv_heads=2, max_time=33)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _inputs(scale: float = 0.5):
    g = _generator(1)
    q = scale * torch.randn(2, 4, 33, 16, generator=g)
    k, v = (scale * torch.randn(2, 2, 33, 16, generator=g) for _ in range(2))
    return q, k, v


@pytest.mark.parametrize("causal", [False, True])
def test_many_features_of_small_inputs_come_near_softmax(causal):
    exact = build_attention(softmax.METHOD, HEADS, _generator())(*_inputs(), causal=causal)
    near = build_attention(performer.METHOD, HEADS, _generator(), num_features=4096)
    assert (near(*_inputs(), causal=causal) - exact).norm() < 0.05 * exact.norm()


def test_more_features_come_nearer():
    exact = build_attention(softmax.METHOD, HEADS, _generator())(*_inputs())
    errors = []
    for m in (16, 256, 4096):
        near = build_attention(performer.METHOD, HEADS, _generator(), num_features=m)
        errors.append(float((near(*_inputs()) - exact).norm()))
    assert errors == sorted(errors, reverse=True)


def test_redrawing_changes_the_directions_as_a_fresh_draw_would():
    drawn = build_attention(performer.METHOD, HEADS, _generator(5))
    redrawn = build_attention(performer.METHOD, HEADS, _generator(4))
    redrawn.feature_map.redraw(_generator(5))
    assert torch.equal(redrawn(*_inputs()), drawn(*_inputs()))


def test_the_directions_travel_with_a_checkpoint():
    one, other = (build_attention(performer.METHOD, HEADS, _generator(s)) for s in (1, 2))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(*_inputs()), other(*_inputs()))


def test_no_features_at_all_are_refused():
    with pytest.raises(ValueError, match="num_features must be at least 1, and it is 0"):
        build_attention(performer.METHOD, HEADS, _generator(), num_features=0)
