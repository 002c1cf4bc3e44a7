"""Exponential features computed on the way, against the dense form of features given whole."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from methods.core.dense import dense_attention
from methods.core.linear_attention import Exponents, exponential_attention
from methods.core.positive_features import positive_features

SHARING = 3
DIM = 4


def _inputs(time: int, *, seed: int, norm: float | None = None) -> list[Tensor]:
    """Queries, keys and values in float64, the rows of the first two of this norm, if given."""
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (
        torch.randn(2, 2, rows, dim, generator=generator, dtype=torch.float64)
        for rows, dim in ((SHARING * time, DIM), (time, DIM), (time, 3))
    )
    if norm is not None:
        q, k = (norm * x / x.norm(dim=-1, keepdim=True) for x in (q, k))
    return [q, k, v]


def _parameters(seed: int) -> list[Tensor]:
    """The directions, a matrix of lower rank and half the logarithms of weights."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((2, 7, 3), (2, 3, DIM), (2, 7))
    return [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]


def _shifts(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    names = ("query_shift", "key_shift")
    return {n: 2 * torch.randn(2, DIM, generator=generator, dtype=torch.float64) for n in names}


def _dense(q: Tensor, k: Tensor, v: Tensor, exponents: Exponents, **how: object) -> Tensor:
    """A key's features with their factor exp(scale^2 (A b).(A (k - a))), if there are shifts."""
    x, y = exponents.shifted_queries(q), exponents.shifted_keys(k)
    keys = positive_features(y, exponents)
    if exponents.query_shift is not None:
        root = torch.eye(DIM, dtype=y.dtype).expand(2, -1, -1)
        root = root if exponents.root is None else exponents.root
        metric = exponents.scale**2 * root.mT @ root
        factor = torch.einsum("gd,gde,bgse->bgs", exponents.query_shift, metric, y)
        keys = keys._replace(log_scale=keys.log_scale + factor)
    return dense_attention(positive_features(x, exponents), keys, v, **how)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    time=st.sampled_from([1, 2, 7, 33, 128, 129, 257]),
    causal=st.booleans(),
    padded=st.booleans(),
    shifts=st.sampled_from([(), ("key_shift",), ("query_shift",), ("query_shift", "key_shift")]),
    norm=st.sampled_from([None, 10.0, 30.0]),
    seed=st.integers(0, 1000),
)
def test_outputs_and_gradients_are_those_of_the_dense_form(
    time, causal, padded, shifts, norm, seed
):
    """Of every input and parameter, before and after the lengths at which matrices are folded."""
    padding = None
    if padded:
        padding = torch.rand(2, time, generator=torch.Generator().manual_seed(seed)) < 0.5
    found, due = [], []
    for attention, into in ((exponential_attention, found), (_dense, due)):
        leaves = [*_inputs(time, seed=seed, norm=norm), *_parameters(seed)]
        for leaf in leaves:
            leaf.requires_grad_()
        q, k, v, omega, root, offset = leaves
        given_shifts = {name: _shifts(seed)[name] for name in shifts}
        exponents = Exponents(omega=omega, root=root, offset=offset, scale=0.7, **given_shifts)
        o = attention(q, k, v, exponents, causal=causal, key_padding=padding)
        o = o[0] if isinstance(o, tuple) else o
        into.extend([o, *torch.autograd.grad(o.square().sum(), leaves)])
    torch.testing.assert_close(found, due, rtol=1e-7, atol=1e-8)


def _plain(time: int, num_features: int, norm: float) -> tuple[list[Tensor], Exponents]:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, time, 64, generator=generator) for _ in range(3))
    q, k = (norm * x / x.norm(dim=-1, keepdim=True) for x in (q, k))
    omega = torch.randn(2, num_features, 64, generator=generator)
    return [q, k, v], Exponents(omega=omega, scale=64**-0.25)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("norm", [1.0, 10.0, 30.0])
def test_float32_is_within_a_ten_thousandth_of_float64_up_to_a_norm_of_30(causal, norm):
    inputs, exponents = _plain(1025, 128, norm)
    o, _ = exponential_attention(*inputs, exponents, causal=causal)
    exact = Exponents(omega=exponents.omega.double(), scale=exponents.scale)
    due = _dense(*(x.double() for x in inputs), exact, causal=causal)
    assert float((o - due).abs().max()) < 1e-4


def test_a_running_maximum_that_rises_by_hundreds_within_one_stretch_stays_exact():
    """Keys of ever larger features, so that each sees itself alone, nearly."""
    q, k, v = _inputs(33, seed=0)
    omega = torch.randn(2, 7, DIM, generator=torch.Generator().manual_seed(1)).double()
    exponents = Exponents(omega=omega, scale=1.0)
    k = k * torch.linspace(30.0, 1.0, 33, dtype=torch.float64)[:, None]
    rise = positive_features(k, exponents).log_scale.cummax(-1).values
    assert float((rise[..., -1] - rise[..., 0]).amin()) > 200.0
    inputs = [x.float() for x in (q, k, v)]
    single = Exponents(omega=omega.float(), scale=1.0)
    o, _ = exponential_attention(*inputs, single, causal=True)
    due = _dense(*(x.double() for x in inputs), exponents, causal=True)
    torch.testing.assert_close(o.double(), due, rtol=0.0, atol=1e-3)


def test_half_precision_inputs_are_summed_in_float32():
    inputs, exponents = _plain(1025, 32, 2.0)
    low = [x.bfloat16() for x in inputs]
    o, state = exponential_attention(*low, exponents, causal=True)
    exact = Exponents(omega=exponents.omega.double(), scale=exponents.scale)
    due = _dense(*(x.double() for x in low), exact, causal=True)
    assert (o.dtype, state.sums.dtype) == (torch.bfloat16, torch.float32)
    tolerance = 2 * torch.finfo(torch.bfloat16).eps
    torch.testing.assert_close(o.double(), due, rtol=tolerance, atol=tolerance / 4)


def test_gradients_flow_through_a_state_as_through_the_whole():
    gradients = []
    for cut in (None, 20):
        leaves = [x.requires_grad_() for x in _inputs(33, seed=3)]
        q, k, v = leaves
        q = q.unflatten(2, (SHARING, 33))
        omega, root, offset = _parameters(3)
        exponents = Exponents(omega=omega, root=root, offset=offset, scale=0.7, **_shifts(3))
        state, outputs = None, []
        for part in (slice(0, cut), slice(cut, None)) if cut else (slice(None),):
            o, state = exponential_attention(
                q[..., part, :].flatten(2, 3), k[..., part, :], v[..., part, :], exponents,
                causal=True, state=state,
            )  # fmt: skip
            outputs.append(o.unflatten(2, (SHARING, -1)))
        loss = torch.cat(outputs, 3).square().sum()
        gradients.append(torch.autograd.grad(loss, leaves))
    torch.testing.assert_close(*gradients)
