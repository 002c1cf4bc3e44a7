"""Calibration over batch after batch: the same as all at once, and as the formulas written out."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods import darkformer, performer, softmax
from methods.api import Heads
from methods.core.attention import build_attention
from methods.core.centring import find_shifts
from methods.core.moments import Asked, observed
from methods.core.second_moment import second_moment

HEADS = Heads(num_heads=4, head_dim=5, num_kv_heads=2, max_time=64)
ALL = Asked(noise=True, attended=True, pairs=True)
EXACT = {"rtol": 1e-10, "atol": 1e-10}
OPTIONS = [
    (performer.METHOD, {"key_shift": "attended", "proposal": "typical"}),
    (performer.METHOD, {"key_shift": "both", "proposal": "optimal", "shrinkage": "auto"}),
    (darkformer.METHOD, {"initial": "whitening", "query_shift": "queries", "shrinkage": "auto"}),
    (darkformer.METHOD, {"initial": "whitening", "rank": 3, "proposal": "typical"}),
]


def _texts(seed: int, num_texts: int, time: int, *, mean: float = 1.0, spread: float = 1.0):
    """Queries, keys and padding of any length on the right; float64, heads with means apart."""
    g = torch.Generator().manual_seed(seed)
    scales = torch.linspace(0.2, 1.0, 5).double() * spread
    q, k = (torch.randn(num_texts, h, time, 5, generator=g).double() * scales for h in (4, 2))
    q = q + mean * torch.linspace(-1, 2, 20).double().view(4, 1, 5)
    k = k + mean * torch.linspace(1, 0.2, 10).double().view(2, 1, 5)
    lengths = torch.randint(1, time + 1, (num_texts,), generator=g)
    return q, k, torch.arange(time) >= lengths[:, None]


def _moments(batches, asked: Asked = ALL):
    found = None
    for q, k, padding in batches:
        found = observed(found, q.reshape(len(q), 2, -1, 5), k, padding, asked=asked)
    return found


def _numbers(found, **names):
    """All that is made of the sums."""
    shifts = find_shifts(found, **names)
    centres = shifts.query_centre, shifts.key_centre
    shrinkages = {name: second_moment(found, *centres, shrinkage=name) for name in (0.0, "auto")}
    return *shifts, *shrinkages.values(), found.pairs.moment(shifts.query + shifts.key)


def _written_out(q, k, padding, *, key_shift, query_shift):
    """The same of all texts at once, with every weight in memory, in two passes over the data."""
    heads = [_head(q, k, padding, head, key_shift, query_shift) for head in range(2)]
    return tuple(torch.stack(parts) for parts in zip(*heads, strict=True))


def _head(q, k, padding, head, key_shift, query_shift):
    texts = [
        (q[n, 2 * head : 2 * head + 2, ~padding[n]].flatten(0, 1), k[n, head, ~padding[n]])
        for n in range(len(q))
    ]
    x, y = (torch.cat(parts) for parts in zip(*texts, strict=True))
    weights = [(a @ b.T / 5**0.5).softmax(-1) for a, b in texts]
    attended = sum((w @ b).sum(0) for w, (_, b) in zip(weights, texts, strict=True)) / len(x)
    of_queries, of_keys, nothing = x.mean(0), y.mean(0), torch.zeros(5).double()
    b = of_queries if query_shift == "queries" else nothing
    a = {
        "none": nothing,
        "keys": of_keys,
        "queries": of_queries,
        "both": of_queries + of_keys,
        "attended": of_queries + attended,
    }[key_shift]
    left = (of_queries + of_keys - a - b) / 2
    shifted = key_shift != "none" or query_shift != "none"
    centres = (of_queries - left, of_keys - left) if shifted else (nothing, nothing)
    moment, noise = torch.zeros(5, 5).double(), torch.zeros(()).double()
    for part in (x - centres[0], y - centres[1]):
        own = part.T @ part / len(part)
        outer = part[:, :, None] * part[:, None, :]
        moment, noise = moment + own / 2, noise + ((outer - own) ** 2).sum() / len(part) ** 2 / 4
    sphere = moment.trace() / 5 * torch.eye(5).double()
    share = (noise / ((moment - sphere) ** 2).sum()).clamp(max=1.0)
    pairs = torch.zeros(5, 5).double()
    for w, (queries, keys) in zip(weights, texts, strict=True):
        z = queries[:, None] + keys - a - b
        pairs += torch.einsum("ts,tsd,tse->de", w, z, z) / len(x)
    return b, a, *centres, moment, moment.lerp(sphere, share), pairs


NAMES = [
    {"key_shift": key_shift, "query_shift": query_shift}
    for key_shift in ("none", "keys", "queries", "both", "attended")
    for query_shift in ("none", "queries")
]


@given(
    seed=st.integers(0, 2**16),
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    time=st.sampled_from([1, 2, 7, 13]),
    names=st.sampled_from(NAMES),
)
@settings(max_examples=40, deadline=None)
def test_however_texts_are_split_into_batches_it_comes_to_the_same(seed, sizes, time, names):
    whole = _texts(seed, sum(sizes), time)
    parts = zip(*(x.split(sizes) for x in whole), strict=True)
    in_parts, at_once = (_numbers(_moments(batches), **names) for batches in (parts, [whole]))
    torch.testing.assert_close(in_parts, at_once, **EXACT)
    torch.testing.assert_close(in_parts, _written_out(*whole, **names), **EXACT)


@pytest.mark.parametrize("names", NAMES)
def test_batches_of_texts_of_different_lengths_come_to_the_formulas(names):
    whole = _texts(3, 5, 13)
    q, k, padding = whole
    shorter = (~padding[2:4]).sum(1).max()
    cut = slice(2, 4), slice(None), slice(0, shorter)
    batches = [
        (q[:2], k[:2], padding[:2]),
        (q[cut], k[cut], padding[2:4, :shorter]),
        (q[4:][:, :, ~padding[4]], k[4:][:, :, ~padding[4]], None),
    ]
    torch.testing.assert_close(
        _numbers(_moments(batches), **names), _written_out(*whole, **names), **EXACT
    )


def test_a_mean_of_a_thousand_standard_deviations_cancels_nothing():
    """Relative to the spread, which is the size of what is left."""
    names = {"key_shift": "both", "query_shift": "none"}
    q, k, padding = _texts(5, 6, 13, mean=0.0, spread=0.01)
    whole = q + 10.0, k + 10.0, padding
    parts = list(zip(*(x.split([1, 2, 3]) for x in whole), strict=True))
    found, due = _numbers(_moments(parts), **names)[4:], _written_out(*whole, **names)[4:]
    for one, other in zip(found, due, strict=True):
        assert other.abs().max() < 1e-2
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10 * float(other.abs().max()))


def test_a_first_batch_far_from_all_others_hardly_matters():
    names = {"key_shift": "both", "query_shift": "queries"}
    near, far = _texts(1, 8, 13), _texts(2, 1, 13, mean=30.0)
    whole = [torch.cat(parts) for parts in zip(far, near, strict=True)]
    torch.testing.assert_close(
        _numbers(_moments([far, near]), **names), _written_out(*whole, **names), **EXACT
    )


def test_what_lies_in_padded_places_is_never_looked_at():
    q, k, padding = _texts(7, 4, 13)
    due = _numbers(_moments([(q, k, padding)]), **NAMES[-1])
    q, k = (x.masked_fill(padding[:, None, :, None], torch.nan) for x in (q, k))
    torch.testing.assert_close(_numbers(_moments([(q, k, padding)]), **NAMES[-1]), due)


def test_a_batch_of_padding_alone_says_nothing():
    q, k, padding = _texts(7, 4, 13)
    empty = (q, k, torch.ones_like(padding))
    assert _moments([empty]) is None
    with_it, without = (
        _numbers(_moments(batches), **NAMES[-1])
        for batches in ([empty, (q, k, padding), empty], [(q, k, padding)])
    )
    torch.testing.assert_close(with_it, without, rtol=0, atol=0)


def test_queries_of_another_sequence_all_count():
    """Seven queries, five keys of which two are padding."""
    q, k, _ = _texts(7, 1, 7)
    k = k[:, :, :5]
    padding = torch.tensor([[False, False, False, True, True]])
    found = _moments([(q, k, padding)])
    torch.testing.assert_close(found.queries.mean(), q.reshape(2, -1, 5).mean(1))
    torch.testing.assert_close(found.keys.mean(), k[0, :, :3].mean(1))
    weights = (q.reshape(1, 2, -1, 5) @ k[:, :, :3].mT / 5**0.5).softmax(-1)
    torch.testing.assert_close(found.attended.mean(), (weights @ k[:, :, :3])[0].mean(1))


def test_what_is_kept_does_not_grow_and_what_is_not_asked_for_is_not_kept():
    short, long = (_moments([_texts(1, n, n)] * n, Asked()) for n in (1, 9))
    for found in (short, long):
        assert found.attended is None
        assert found.pairs is None
        assert found.queries.products.shape == found.keys.products.shape == (2, 6, 6)
    asked = _moments([_texts(1, 3, 9)] * 2)
    assert [s.products.shape[1] for s in (asked.queries, asked.attended, asked.pairs)] == [7, 6, 6]


def _build(method, options):
    generator = torch.Generator().manual_seed(0)
    return build_attention(method, HEADS, generator, num_features=6, **options).double()


@pytest.mark.parametrize(("method", "options"), OPTIONS)
def test_a_method_that_observed_batches_settles_as_if_it_had_seen_them_at_once(method, options):
    whole = _texts(11, 6, 13)
    one, other = (_build(method, options) for _ in range(2))
    before = copy.deepcopy(one.state_dict())
    q, k, padding = whole
    one.calibrate(q, k, key_padding=padding)
    for q, k, padding in zip(*(x.split([1, 2, 3]) for x in whole), strict=True):
        other.observe(q, k, key_padding=padding)
        torch.testing.assert_close(other.state_dict(), before, rtol=0, atol=0)
    other.settle()
    assert any(not torch.equal(x, before[name]) for name, x in one.state_dict().items())
    torch.testing.assert_close(other.state_dict(), one.state_dict(), **EXACT)


@pytest.mark.parametrize(("method", "options"), OPTIONS)
def test_settling_forgets_and_settling_with_nothing_observed_changes_nothing(method, options):
    attention = _build(method, options)
    fresh = copy.deepcopy(attention.state_dict())
    attention.settle()
    torch.testing.assert_close(attention.state_dict(), fresh, rtol=0, atol=0)
    q, k, padding = _texts(12, 3, 13)
    attention.calibrate(3.0 * q + 1.0, k - 2.0, key_padding=padding)
    settled = copy.deepcopy(attention.state_dict())
    attention.settle()
    torch.testing.assert_close(attention.state_dict(), settled, rtol=0, atol=0)
    again = _build(method, options)
    for one in (attention, again):
        one.calibrate(q, k, key_padding=padding)
    torch.testing.assert_close(attention.state_dict(), again.state_dict(), **EXACT)


def test_a_copy_goes_on_from_what_was_observed_and_apart_from_the_first():
    method, options = OPTIONS[0]
    one, alone = (_build(method, options) for _ in range(2))
    first, second = _texts(1, 2, 13), _texts(2, 2, 13)
    one.observe(first[0], first[1], key_padding=first[2])
    other = copy.deepcopy(one)
    other.observe(second[0], second[1], key_padding=second[2])
    one.settle()
    alone.calibrate(first[0], first[1], key_padding=first[2])
    torch.testing.assert_close(one.state_dict(), alone.state_dict(), rtol=0, atol=0)
    other.settle()
    for q, k, padding in (first, second):
        alone.observe(q, k, key_padding=padding)
    alone.settle()
    torch.testing.assert_close(other.state_dict(), alone.state_dict(), **EXACT)


def test_half_precision_under_autocast_is_summed_in_double_precision():
    q, k, _ = _texts(1, 4, 13)
    q, k = q.bfloat16(), k.bfloat16()
    one, other = (_build(*OPTIONS[0]) for _ in range(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        one.observe(q, k)
    one.settle()
    other.calibrate(q.double(), k.double())
    torch.testing.assert_close(one.state_dict(), other.state_dict(), **EXACT)


def test_batches_without_gradients_may_be_observed_in_inference_mode():
    q, k, padding = _texts(1, 4, 13)
    one, other = (_build(*OPTIONS[3]) for _ in range(2))
    with torch.inference_mode():
        one.observe(q[:2], k[:2], key_padding=padding[:2])
    one.observe(q[2:].requires_grad_(), k[2:], key_padding=padding[2:])
    one.settle()
    other.calibrate(q.detach(), k, key_padding=padding)
    torch.testing.assert_close(one.state_dict(), other.state_dict(), **EXACT)
    assert one.feature_map.M.requires_grad


@pytest.mark.parametrize(
    ("method", "options", "wants"),
    [(*case, True) for case in OPTIONS]
    + [(performer.METHOD, {}, False), (darkformer.METHOD, {}, False)],
)
def test_a_method_says_whether_it_wants_calibration(method, options, wants):
    assert _build(method, options).wants_calibration is wants


def test_what_does_not_calibrate_observes_nothing():
    q, k, padding = _texts(1, 4, 13)
    exact = build_attention(softmax.METHOD, HEADS, torch.Generator())
    assert not exact.wants_calibration
    plain = _build(performer.METHOD, {})
    before = copy.deepcopy(plain.state_dict())
    for attention in (exact, plain):
        attention.observe(q, k, key_padding=padding)
        attention.settle()
    torch.testing.assert_close(plain.state_dict(), before, rtol=0, atol=0)
