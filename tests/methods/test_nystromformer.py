"""Nystromformer: its formula written out in float64, its limits, padding and the residual."""

import pytest
import torch
from torch import Tensor

from methods import nystromformer, softmax
from methods.api import Heads
from methods.core.attention import build_attention
from methods.core.pseudo_inverse import iterated_pseudo_inverse

HEADS = Heads(num_heads=3, head_dim=5, num_kv_heads=3, max_time=161)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _build(**options):
    return build_attention(nystromformer.METHOD, HEADS, _generator(), **options).double()


def _inputs(time: int, value_dim: int = 4) -> list[Tensor]:
    g = _generator(1)
    dims = (HEADS.head_dim, HEADS.head_dim, value_dim)
    return [torch.randn(2, 3, time, d, generator=g, dtype=torch.float64) for d in dims]


def _padding(lengths: list[int], time: int) -> Tensor:
    return torch.arange(time) >= torch.tensor(lengths)[:, None]


def _means(x: Tensor, num_segments: int) -> Tensor:
    rows = range(len(x))
    groups = [[r for r in rows if r * num_segments // len(x) == j] for j in range(num_segments)]
    return torch.stack([x[group].mean(0) for group in groups])


def _pinv(a: Tensor, num_iterations: int) -> Tensor:
    """The iteration multiplied out: Z (13 - 15 AZ + 7 (AZ)^2 - (AZ)^3) / 4."""
    z = a.T / (torch.linalg.matrix_norm(a, 1) * torch.linalg.matrix_norm(a, torch.inf))
    for _ in range(num_iterations):
        p = a @ z
        z = z @ (13 * torch.eye(len(a)) - 15 * p + 7 * p @ p - p @ p @ p) / 4
    return z


def _one_head(q, k, v, filters, num_landmarks: int, num_iterations: int) -> Tensor:
    """One head of one sequence without padding, `[t, d]`; one filter tap after another."""
    q, time = q / q.shape[-1] ** 0.5, len(q)
    if time <= num_landmarks:
        o = (q @ k.T).softmax(-1) @ v
    else:
        q_marks, k_marks = _means(q, num_landmarks), _means(k, num_landmarks)
        inverse = _pinv((q_marks @ k_marks.T).softmax(-1), num_iterations)
        o = (q @ k_marks.T).softmax(-1) @ inverse @ (q_marks @ k.T).softmax(-1) @ v
    for tap, weight in enumerate(filters):
        shift = tap - len(filters) // 2
        source = [i + shift if 0 <= i + shift < time else time for i in range(time)]
        o = o + weight * torch.cat([v, torch.zeros_like(v[:1])])[source]
    return o


@pytest.mark.parametrize(
    ("time", "lengths", "num_landmarks", "conv_kernel"),
    [
        (33, None, 8, 5),
        (32, None, 8, 0),
        (7, None, 8, 3),
        (33, [33, 20], 8, 5),
        (33, [9, 7], 8, 7),
        (33, [1, 8], 8, 3),
        (61, [61, 5], 6, 33),
    ],
)
def test_output_and_gradients_are_those_of_the_formula_written_out(
    time, lengths, num_landmarks, conv_kernel
):
    attention = _build(num_landmarks=num_landmarks, conv_kernel=conv_kernel, pinv_iterations=4)
    filters = attention.attention.conv
    inputs = [x.requires_grad_() for x in _inputs(time)]
    padding = None if lengths is None else _padding(lengths, time)
    found = attention(*inputs, key_padding=padding)
    taps = torch.zeros(3, 0) if filters is None else filters[:, 0, :, 0]
    kept, due = [], []
    for i, length in enumerate(lengths or [time, time]):
        for h in range(3):
            heads = [x[i, h, :length] for x in inputs]
            due.append(_one_head(*heads, taps[h], num_landmarks, 4))
            kept.append(found[i, h, :length])
    found, due = torch.cat(kept), torch.cat(due)
    torch.testing.assert_close(found, due)
    wanted = inputs if filters is None else [*inputs, filters]
    weight = torch.linspace(-1, 1, due.numel(), dtype=torch.float64).view_as(due)
    gradients = (torch.autograd.grad((o * weight).sum(), wanted) for o in (found, due))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("time", [1, 7, 33])
def test_as_many_landmarks_as_tokens_give_softmax(time):
    exact = build_attention(softmax.METHOD, HEADS, _generator())
    attention = _build(num_landmarks=33, conv_kernel=0)
    padding = _padding([time, max(time - 2, 0)], time)
    for mask in (None, padding):
        found = attention(*_inputs(time), key_padding=mask)
        torch.testing.assert_close(found, exact(*_inputs(time), key_padding=mask))


def test_a_single_landmark_gives_every_query_the_mean_query_s_attention():
    q, k, v = _inputs(33)
    o = _build(num_landmarks=1, conv_kernel=0)(q, k, v)
    mean = (q.mean(2, keepdim=True) @ k.mT / HEADS.head_dim**0.5).softmax(-1) @ v
    torch.testing.assert_close(o, mean.expand_as(o))


def test_more_iterations_come_to_the_inverse():
    matrices = (2 * torch.randn(4, 7, 7, generator=_generator(), dtype=torch.float64)).softmax(-1)
    exact = torch.linalg.pinv(matrices)
    errors = [
        float((iterated_pseudo_inverse(matrices, n) - exact).norm() / exact.norm())
        for n in (2, 6, 10, 30)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-9


def test_a_singular_matrix_has_its_pseudo_inverse():
    ones = torch.ones(1, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(iterated_pseudo_inverse(ones, 30), ones / 9)
    assert not iterated_pseudo_inverse(0 * ones, 30).any()


def test_the_residual_does_not_carry_padded_values_to_live_places():
    q, k, v = _inputs(33)
    attention, padding = _build(num_landmarks=4), _padding([20, 33], 33)
    changed = v.clone()
    changed[0, :, 20:] = 1e6
    before, after = (attention(q, k, x, key_padding=padding) for x in (v, changed))
    assert torch.equal(before[0, :, :20], after[0, :, :20])


def test_padding_at_the_start_is_as_good_as_absent():
    inputs, attention = _inputs(33), _build(num_landmarks=4)
    padding = (torch.arange(33) < 13).expand(2, -1)
    found = attention(*inputs, key_padding=padding)[:, :, 13:]
    torch.testing.assert_close(found, attention(*(x[:, :, 13:] for x in inputs)))


def test_a_sequence_that_is_all_padding_gives_zeros():
    o = _build(num_landmarks=4)(*_inputs(33), key_padding=_padding([0, 33], 33))
    assert not o[0].any()
    assert o[1].any()


def test_it_keeps_float32_under_autocast():
    attention = build_attention(nystromformer.METHOD, HEADS, _generator(), num_landmarks=4)
    inputs = [x.float() for x in _inputs(33)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = attention(*inputs)
    assert torch.equal(under, attention(*inputs))


@pytest.mark.parametrize("time", [46, 256])
def test_the_gradient_of_the_filters_is_right_in_float32(time):
    """At these lengths a convolution along the last dimension but one gets it wrong."""
    gradients = []
    for dtype in (torch.float64, torch.float32):
        attention = _build(num_landmarks=4).to(dtype)
        o = attention(*(x.to(dtype) for x in _inputs(time)))
        (found,) = torch.autograd.grad(o.square().sum(), [attention.attention.conv])
        gradients.append(found)
    torch.testing.assert_close(gradients[1].double(), gradients[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"num_landmarks": 0}, "num_landmarks must be at least 1, and it is 0"),
        ({"pinv_iterations": 0}, "pinv_iterations must be at least 1, and it is 0"),
        ({"conv_kernel": 4}, "conv_kernel must be odd, or 0 for none; it is 4"),
        ({"conv_kernel": -1}, "conv_kernel must be odd, or 0 for none; it is -1"),
    ],
)
def test_senseless_options_are_refused(option, sentence):
    with pytest.raises(ValueError, match=sentence):
        _build(**option)
