"""Shifts of queries and keys: exact, one and the same, and worth their while."""

import math

import pytest
import torch

from methods import darkformer, performer, softmax
from methods.api import KERNEL_ATTENTION, Heads, Method
from methods.core.attention import build_attention
from methods.core.centring import find_shifts
from methods.core.exponents import Exponents
from methods.core.moments import Asked, observed
from methods.core.positive_features import PositiveFeatures
from methods.core.testing import assert_method

HEADS = Heads(num_heads=4, head_dim=8, num_kv_heads=2, max_time=161)
BOTH = [performer.METHOD, darkformer.METHOD]


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _inputs(time: int = 161, seed: int = 1, size: float = 0.5):
    """Queries and keys of large means that are not opposite, in float64."""
    g = _generator(seed)
    q = size * torch.randn(2, 4, time, 8, generator=g) + torch.linspace(-1, 2, 8)
    k, v = (size * torch.randn(2, 2, time, 8, generator=g) for _ in range(2))
    return q.double(), (k + torch.linspace(3, 0, 8)).double(), v.double()


def _build(method=performer.METHOD, seed: int = 3, **options):
    attention = build_attention(method, HEADS, _generator(seed), **options).double()
    attention.calibrate(*_inputs(seed=7)[:2])
    return attention


def _moments(q, k, padding=None):
    return observed(None, q, k, padding, asked=Asked(attended=True, pairs=True))


def _perturbed(attention):
    """M away from the identity, so that the metric shows."""
    with torch.no_grad():
        M = attention.feature_map.M
        M += 0.2 * torch.randn(M.shape, generator=_generator(2)).double()
    return attention


class GivenExponents(PositiveFeatures):
    """A map of these numbers."""

    def __init__(self, given: Exponents) -> None:
        super().__init__()
        self._given = given

    def exponents(self) -> Exponents:
        return self._given


class ShiftedFeatures(performer.PerformerFeatures):
    """Shifts that were set by hand, far from what the contract's inputs have for means."""

    def __init__(self, heads: Heads, generator: torch.Generator) -> None:
        super().__init__(heads, generator, key_shift="keys", query_shift="queries")
        self.wants_calibration = False
        shape = (heads.num_kv_heads, heads.head_dim)
        for buffer, seed in ((self.query_shift, 1), (self.key_shift, 2)):
            drawn = torch.randn(shape, generator=_generator(seed))
            buffer.copy_(1.2 * drawn / drawn.norm(dim=-1, keepdim=True))


class ShiftedMetric(darkformer.DarkformerFeatures):
    """The same of a kernel with a matrix of its own."""

    def __init__(self, heads: Heads, generator: torch.Generator) -> None:
        super().__init__(heads, generator, rank=5, key_shift="keys", query_shift="queries")
        self.wants_calibration = False
        with torch.no_grad():
            self.M += 0.1 * torch.randn(self.M.shape, generator=_generator(3))
        for buffer in (self.query_shift, self.key_shift):
            buffer.fill_(0.3)


@pytest.mark.parametrize("feature_map", [ShiftedFeatures, ShiftedMetric])
def test_features_of_large_shifts_keep_the_contract(feature_map):
    assert_method(Method(name="shifted", feature_map=feature_map, can=KERNEL_ATTENTION))


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("causal", [False, True])
def test_centring_queries_and_keys_is_shifting_keys_by_both_means(method, causal):
    """In a product of features only the sum of the shifts stands."""
    one = _build(method, key_shift="keys", query_shift="queries")
    other = _build(method, key_shift="both")
    if method is darkformer.METHOD:
        one, other = _perturbed(one), _perturbed(other)
    torch.testing.assert_close(
        one(*_inputs(), causal=causal), other(*_inputs(), causal=causal), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("options", [{}, {"key_shift": "both"}, {"query_shift": "queries"}])
def test_the_kernel_is_that_of_queries_and_of_keys_less_their_shift(options):
    attention = _build(**options)
    q, k, _ = _inputs(9)
    q, part = q[:, ::2], attention.feature_map
    shift = part.key_shift[:, None] if "key_shift" in options else 0.0
    due = q @ (k - shift).mT / math.sqrt(8)
    torch.testing.assert_close(part.log_kernel(q, k), due)


def test_the_relative_variance_is_that_of_the_sum_less_both_shifts():
    """(exp(|q + k - a - b|^2) - 1) / m."""
    num_draws, g = 40_000, _generator()
    q, k = torch.tensor([1.3, -0.2, 0.6]).double(), torch.tensor([0.1, 1.4, 0.2]).double()
    b, a = torch.tensor([1.0, 0.1, 0.3]).double(), torch.tensor([-0.2, 1.0, 0.1]).double()
    omega = torch.randn(num_draws, 1, 3, generator=g).double()
    shifts = {"query_shift": b.expand(num_draws, 3), "key_shift": a.expand(num_draws, 3)}
    part = GivenExponents(Exponents(omega=omega, scale=1.0, **shifts))
    queries, keys = part.both(*(x.expand(1, num_draws, 1, -1) for x in (q, k)))
    estimates = torch.exp(queries.log_scale + keys.log_scale).flatten()
    kernel = torch.exp(q @ (k - a))
    assert float(estimates.mean() / kernel) == pytest.approx(1.0, abs=0.01)
    expected = math.expm1(float((q + k - a - b).square().sum()))
    assert float((estimates / kernel).var()) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("causal", [False, True])
def test_shifting_brings_few_features_nearer_to_softmax(method, causal):
    """Where queries and keys point the same way, centred they are small."""
    exact = build_attention(softmax.METHOD, HEADS, _generator()).double()
    due = exact(*_inputs(), causal=causal)
    plain, shifted = (
        float((_build(method, key_shift=name)(*_inputs(), causal=causal) - due).detach().norm())
        for name in ("none", "both")
    )
    assert shifted < 0.5 * plain


def test_the_gradient_of_m_under_shifts_is_that_of_the_dense_form():
    found = []
    for low in (False, True):
        attention = _perturbed(_build(darkformer.METHOD, key_shift="both", query_shift="queries"))
        M = attention.feature_map.M
        q, k, v = _inputs(33)
        if low:
            o = attention(q, k, v)
        else:
            part = attention.feature_map
            queries, keys = part.queries(q.reshape(2, 2, 66, 8)), part.keys(k)
            logits = (queries.values @ keys.values.mT).log() + keys.log_scale[..., None, :]
            o = (logits.softmax(-1) @ v).reshape(q.shape)
        weight = torch.linspace(-1, 1, o.numel()).double().view_as(o)
        found.append((o.detach(), *torch.autograd.grad((o * weight).sum(), M)))
    torch.testing.assert_close(*found)


def test_attended_keys_and_pairs_are_those_of_exact_attention():
    q, k, _ = _inputs(33)
    q = q.reshape(2, 2, 66, 8)
    padding = torch.zeros(2, 33, dtype=torch.bool)
    padding[1, 20:] = True
    shift = torch.linspace(0, 1, 16).double().view(2, 8)
    means, moments = torch.zeros(2, 8).double(), torch.zeros(2, 8, 8).double()
    for example, length in ((0, 33), (1, 20)):
        for g in range(2):
            for row in range(66):
                if row % 33 >= length:
                    continue
                weight = (k[example, g, :length] @ q[example, g, row] / 8**0.5).softmax(0)
                means[g] += weight @ k[example, g, :length]
                z = q[example, g, row] + k[example, g, :length] - shift[g]
                moments[g] += torch.einsum("s,sd,se->de", weight, z, z)
    k[1, :, 20:] = 1e3
    found = _moments(q, k, padding)
    torch.testing.assert_close(found.attended.mean(), means / 106)
    torch.testing.assert_close(found.pairs.moment(shift), moments / 106)


@pytest.mark.parametrize("key_shift", ["keys", "queries", "both", "attended"])
def test_padding_does_not_take_part_in_the_shifts(key_shift):
    q, k, _ = _inputs(33)
    q = q.reshape(2, 2, 66, 8)
    padding = torch.zeros(2, 33, dtype=torch.bool)
    padding[:, 20:] = True
    names = {"key_shift": key_shift, "query_shift": "queries"}
    kept = q.unflatten(2, (2, 33))[:, :, :, :20].flatten(2, 3)
    due = find_shifts(_moments(kept, k[:, :, :20]), **names)
    k[:, :, 20:] = 100.0
    q.unflatten(2, (2, 33))[:, :, :, 20:] = -100.0
    torch.testing.assert_close(find_shifts(_moments(q, k, padding), **names), due)


def test_centres_leave_queries_and_keys_equal_means():
    q, k, _ = _inputs()
    q = q.reshape(2, 2, -1, 8)
    found = find_shifts(_moments(q, k), key_shift="keys", query_shift="none")
    torch.testing.assert_close(found.query_centre + found.key_centre, found.query + found.key)
    torch.testing.assert_close(
        q.mean((0, 2)) - found.query_centre, k.mean((0, 2)) - found.key_centre
    )


def test_shifts_travel_with_a_checkpoint_and_survive_a_redraw():
    one = _build(key_shift="attended", query_shift="queries")
    other = build_attention(
        performer.METHOD, HEADS, _generator(9), key_shift="attended", query_shift="queries"
    ).double()
    other.load_state_dict(one.state_dict())
    one.feature_map.redraw(_generator(5))
    other.feature_map.redraw(_generator(5))
    torch.testing.assert_close(one(*_inputs()), other(*_inputs()), rtol=0, atol=0)


def test_nothing_is_shifted_before_calibration():
    shifted = build_attention(performer.METHOD, HEADS, _generator(), key_shift="both").double()
    plain = build_attention(performer.METHOD, HEADS, _generator()).double()
    torch.testing.assert_close(shifted(*_inputs()), plain(*_inputs()))
