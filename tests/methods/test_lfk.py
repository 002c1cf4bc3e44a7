"""Learned feature kernel: Performer until training moves its directions."""

import copy

import pytest
import torch

from methods import lfk, performer, softmax
from methods.api import Heads, Redraws
from methods.core.attention import build_attention
from methods.core.dense import dense_reference

HEADS = Heads(num_heads=4, head_dim=16, num_kv_heads=2, max_time=33)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _inputs(scale: float = 0.5):
    g = _generator(1)
    q = scale * torch.randn(2, 4, 33, 16, generator=g)
    k, v = (scale * torch.randn(2, 2, 33, 16, generator=g) for _ in range(2))
    return q, k, v


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("orthogonal", [False, True])
def test_it_starts_as_the_performer_of_the_same_draw(causal, orthogonal):
    one, other = (
        build_attention(m.METHOD, HEADS, _generator(), num_features=33, orthogonal=orthogonal)
        for m in (lfk, performer)
    )
    torch.testing.assert_close(one(*_inputs(), causal=causal), other(*_inputs(), causal=causal))


def test_its_directions_are_its_only_parameters_and_are_never_drawn_anew():
    attention = build_attention(lfk.METHOD, HEADS, _generator(), num_features=33)
    assert [p.shape for p in attention.parameters()] == [(2, 33, 16)]
    assert not isinstance(attention.feature_map, Redraws)


@pytest.mark.parametrize("causal", [False, True])
def test_the_gradient_of_the_directions_is_that_of_the_dense_form(causal):
    attention = build_attention(lfk.METHOD, HEADS, _generator(), num_features=7)
    exact = copy.deepcopy(attention.feature_map).double()
    found, due = (
        attention(*_inputs(), causal=causal),
        dense_reference(exact, *_inputs(), causal=causal),
    )
    weight = torch.linspace(-1, 1, due.numel()).view_as(due)
    (found,) = torch.autograd.grad((found * weight).sum(), attention.feature_map.omega)
    (due,) = torch.autograd.grad((due * weight).sum(), exact.omega)
    torch.testing.assert_close(found.double(), due, rtol=1e-3, atol=1e-4 * float(due.abs().max()))


def test_the_kernel_it_names_is_the_product_of_its_features_whatever_was_learned():
    feature_map = build_attention(lfk.METHOD, HEADS, _generator(), num_features=7).feature_map
    feature_map = feature_map.double()
    with torch.no_grad():
        feature_map.omega += torch.randn(feature_map.omega.shape, generator=_generator(2))
    q, k, _ = (x.double() for x in _inputs(2.0))
    q = q[:, :2]
    w, scale = feature_map.omega, 16**-0.25
    phi = [
        torch.exp(scale * x @ w.mT - (scale * x).square().sum(-1, keepdim=True) / 2) for x in (q, k)
    ]
    due = (phi[0] @ phi[1].mT / 7).log()
    torch.testing.assert_close(feature_map.log_kernel(q, k), due)


def test_training_brings_few_features_nearer_to_softmax():
    exact = build_attention(softmax.METHOD, HEADS, _generator())(*_inputs(1.0))
    attention = build_attention(lfk.METHOD, HEADS, _generator(), num_features=4)
    optimiser = torch.optim.Adam(attention.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        loss = (attention(*_inputs(1.0)) - exact).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_no_features_at_all_are_refused():
    with pytest.raises(ValueError, match="num_features must be at least 1, and it is 0"):
        build_attention(lfk.METHOD, HEADS, _generator(), num_features=0)
