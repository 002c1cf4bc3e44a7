"""DARKFormer: Performer at M = I, whitening, and the proposal of theorem 3.2."""

import pytest
import torch

from methods import darkformer, performer
from methods.api import Heads
from methods.core.attention import build_attention
from methods.core.second_moment import LARGEST_EIGENVALUE, optimal_root

HEADS = Heads(num_heads=4, head_dim=8, num_kv_heads=2, max_time=301)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _build(method=darkformer.METHOD, **options):
    return build_attention(method, HEADS, _generator(3), **options)


def _inputs(time: int = 301, spread: float = 1.0):
    """Directions' standard deviations run from `spread` to 1."""
    g, scales = _generator(1), torch.linspace(spread, 1, 8)
    q = torch.randn(2, 4, time, 8, generator=g) * scales
    k, v = (torch.randn(2, 2, time, 8, generator=g) * scales for _ in range(2))
    return q, k, v


def _second_moment(q, k):
    """Per key-value head, of queries and of keys by halves."""
    parts = [x.double().unflatten(1, (2, -1)) for x in (q, k)]
    return (
        sum(torch.einsum("bgrtd,bgrte->gde", x, x) / (x[:, 0, ..., 0].numel()) for x in parts) / 2
    )


@pytest.mark.parametrize(
    "options",
    [
        {"orthogonal": False},
        {"orthogonal": True},
        {"key_shift": "keys", "query_shift": "queries"},
        {"key_shift": "attended", "proposal": "typical"},
        {"proposal": "optimal", "shrinkage": "auto"},
    ],
)
@pytest.mark.parametrize("causal", [False, True])
def test_the_identity_is_performer_to_the_bit(causal, options):
    padding = torch.zeros(2, 301, dtype=torch.bool)
    padding[1, 200:] = True
    one, other = (_build(m, **options) for m in (performer.METHOD, darkformer.METHOD))
    for attention in (one, other):
        attention.calibrate(*(x + 1.0 for x in _inputs()[:2]))
    assert torch.equal(
        one(*_inputs(), causal=causal, key_padding=padding),
        other(*_inputs(), causal=causal, key_padding=padding),
    )


def test_the_identity_decodes_as_performer_to_the_bit():
    found = []
    for method in (performer.METHOD, darkformer.METHOD):
        attention = _build(method)
        o, state = attention.prefill(*(x[:, :, :7] for x in _inputs()))
        found.append(o)
        for t in range(7, 11):
            o, state = attention.step(*(x[:, :, t : t + 1] for x in _inputs()), state)
            found.append(o)
        found.extend(state)
    half = len(found) // 2
    assert all(torch.equal(a, b) for a, b in zip(found[:half], found[half:], strict=True))


def test_m_learns():
    attention = _build()
    attention(*_inputs(33)).square().sum().backward()
    gradient = attention.feature_map.M.grad
    assert torch.isfinite(gradient).all()
    assert (gradient.abs().amax((1, 2)) > 0).all()


def test_whitening_makes_queries_and_keys_isotropic():
    attention = _build(initial="whitening")
    q, k, _ = _inputs(spread=0.1)
    attention.calibrate(q, k)
    M = attention.feature_map.M.detach().double()
    moment = _second_moment(q, k)
    torch.testing.assert_close(
        M @ moment @ M.mT, torch.eye(8).double().expand(2, 8, 8), rtol=0, atol=1e-4
    )


def test_whitening_at_low_rank_keeps_the_directions_of_largest_moment():
    attention = _build(initial="whitening", rank=3)
    q, k, _ = _inputs(spread=0.01)
    attention.calibrate(q, k)
    M = attention.feature_map.M.detach().double()
    moment = _second_moment(q, k)
    torch.testing.assert_close(
        M @ moment @ M.mT, torch.eye(3).double().expand(2, 3, 3), rtol=0, atol=1e-4
    )
    # The largest three of eight increasing standard deviations stand last.
    assert (M[..., 5:].norm(dim=-1) > 0.9 * M.norm(dim=-1)).all()


def test_padding_does_not_take_part_in_calibration():
    q, k, _ = _inputs(33)
    padding = torch.zeros(2, 33, dtype=torch.bool)
    padding[:, 20:] = True
    one, other = (_build(initial="whitening", proposal="optimal") for _ in range(2))
    one.calibrate(q[:, :, :20], k[:, :, :20])
    q[:, :, 20:], k[:, :, 20:] = 100.0, -100.0
    other.calibrate(q, k, key_padding=padding)
    torch.testing.assert_close(one.state_dict(), other.state_dict())


def test_calibrating_twice_is_calibrating_once():
    one, other = (_build(initial="whitening", proposal="optimal") for _ in range(2))
    for attention, times in ((one, 1), (other, 2)):
        for _ in range(times):
            attention.calibrate(*_inputs(spread=0.3)[:2])
    torch.testing.assert_close(one.state_dict(), other.state_dict())


def test_a_redraw_keeps_the_calibrated_proposal():
    attention = _build(proposal="optimal")
    attention.calibrate(*_inputs()[:2])
    before = attention.feature_map.proposal_root.clone()
    attention.feature_map.redraw(_generator(9))
    again = _build(proposal="optimal")
    again.feature_map.redraw(_generator(9))
    again.calibrate(*_inputs()[:2])
    torch.testing.assert_close(attention.feature_map.proposal_root, before)
    torch.testing.assert_close(again.state_dict(), attention.state_dict())


def test_the_proposal_is_theorem_3_2():
    moment = torch.diag(torch.tensor([0.4, 0.1, 0.0], dtype=torch.float64))[None]
    root = optimal_root(moment)
    expected = torch.tensor([1.8 / 0.2, 1.2 / 0.8, 1.0], dtype=torch.float64)
    torch.testing.assert_close(root @ root, torch.diag(expected)[None])


def test_a_moment_beyond_one_half_is_clipped_to_a_proper_proposal():
    root = optimal_root(torch.diag(torch.tensor([7.0, 0.1], dtype=torch.float64))[None])
    limit = (1 + 2 * LARGEST_EIGENVALUE) / (1 - 2 * LARGEST_EIGENVALUE)
    assert float((root @ root)[0, 0, 0]) == pytest.approx(limit)


def test_under_the_optimal_proposal_every_direction_has_the_same_second_moment():
    """prod (1 - 2 l)^-1, where isotropic sampling would have an infinite one.

    With x ~ N(0, diag(l)): E phi(x; w)^2 = prod (1 + 2 l)^(-1/2) exp(2 l w^2 / (1 + 2 l)).
    """
    attention, moments = _build(proposal="optimal"), torch.linspace(0.01, 0.4, 8).double()
    part = attention.feature_map
    part._propose(part.omega, optimal_root(torch.diag(moments).expand(2, 8, 8)))
    exponent = 2 * moments * part.omega.double().square() / (1 + 2 * moments)
    second = torch.exp(exponent.sum(-1)) / (1 + 2 * moments).sqrt().prod()
    ratio = torch.exp(2 * part.log_weight.double())
    expected = (1 / (1 - 2 * moments)).prod().expand(2, 128)
    torch.testing.assert_close((ratio * second) ** 2, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rank": 9}, "rank must lie between 1 and the head dimension 8; it is 9"),
        ({"initial": "random"}, "initial of darkformer is identity or whitening, not 'random'"),
        ({"proposal": "best"}, "is isotropic or optimal or typical, not 'best'"),
        ({"num_features": 0}, "num_features must be at least 1, and it is 0"),
    ],
)
def test_an_impossible_option_is_refused_in_a_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        _build(**options)
