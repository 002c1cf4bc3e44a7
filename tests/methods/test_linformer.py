"""Linformer: equation 7 written out in float64, softmax for the identity, sharing and lengths."""

import pytest
import torch
from torch import Tensor

from methods import linformer, softmax
from methods.api import Heads
from methods.core.attention import build_attention

HEADS = Heads(num_heads=6, head_dim=5, num_kv_heads=2, max_time=33)
SHARED = ["none", "heads", "kv"]


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _build(heads: Heads = HEADS, **options):
    return build_attention(linformer.METHOD, heads, _generator(), **options).double()


def _inputs(time: int, key_time: int | None = None) -> list[Tensor]:
    g, s = _generator(1), key_time or time
    shapes = [(2, 6, time, 5), (2, 2, s, 5), (2, 2, s, 4)]
    return [torch.randn(shape, generator=g, dtype=torch.float64) for shape in shapes]


def _padding(lengths: list[int], time: int) -> Tensor:
    return torch.arange(time) >= torch.tensor(lengths)[:, None]


def _written_out(module, inputs: list[Tensor], lengths: list[int]) -> Tensor:
    """Head by head, over the live keys alone."""
    q, k, v = inputs
    rows = []
    for i, length in enumerate(lengths):
        for h in range(6):
            g = h // 3
            E, F = (p[g if len(p) == 2 else 0, :, :length] for p in (module.E, module.F))
            keys, values = E @ k[i, g, :length], F @ v[i, g, :length]
            rows.append((q[i, h] @ keys.T / 5**0.5).softmax(-1) @ values)
    return torch.stack(rows).unflatten(0, (len(lengths), 6))


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize(
    ("time", "key_time", "lengths"),
    [(33, 33, None), (7, 7, None), (1, 1, None), (33, 33, [33, 20]), (7, 21, [21, 3])],
)
def test_output_and_gradients_are_those_of_the_formula_written_out(shared, time, key_time, lengths):
    attention = _build(rank=7, shared=shared)
    inputs = [x.requires_grad_() for x in _inputs(time, key_time)]
    padding = None if lengths is None else _padding(lengths, key_time)
    found = attention(*inputs, key_padding=padding)
    due = _written_out(attention.attention, inputs, lengths or [key_time] * 2)
    torch.testing.assert_close(found, due)
    weight = torch.linspace(-1, 1, due.numel(), dtype=torch.float64).view_as(due)
    wanted = [*inputs, *attention.parameters()]
    gradients = (torch.autograd.grad((o * weight).sum(), wanted) for o in (found, due))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_projections_that_change_nothing_give_softmax():
    attention = _build(rank=33, shared="none")
    with torch.no_grad():
        for projection in attention.parameters():
            projection.copy_(torch.eye(33))
    exact = build_attention(softmax.METHOD, HEADS, _generator())
    torch.testing.assert_close(attention(*_inputs(33)), exact(*_inputs(33)))


@pytest.mark.parametrize(("shared", "num_weights"), [("none", 4), ("heads", 2), ("kv", 1)])
def test_sharing_is_fewer_weights(shared, num_weights):
    attention = _build(rank=7, shared=shared)
    assert sum(p.numel() for p in attention.parameters()) == num_weights * 7 * 33


def test_projected_rows_start_no_larger_than_the_rows_were():
    heads = Heads(num_heads=1, head_dim=16, num_kv_heads=1, max_time=1024)
    E = _build(heads, rank=64).attention.E
    assert float(E.detach().var() * (64 + 1024)) == pytest.approx(1.0, rel=0.03)


def test_a_sequence_of_padding_alone_gives_zeros():
    o = _build(rank=7)(*_inputs(33), key_padding=_padding([0, 33], 33))
    assert not o[0].any()
    assert o[1].any()


def test_a_longer_sequence_is_refused_and_more_queries_are_not():
    attention = _build(rank=7)
    with pytest.raises(ValueError, match="at most 33 positions; 34 came"):
        attention(*_inputs(34))
    assert attention(*_inputs(50, 33)).shape == (2, 6, 50, 4)


def test_it_keeps_float32_under_autocast():
    attention = build_attention(linformer.METHOD, HEADS, _generator(), rank=7)
    inputs = [x.float() for x in _inputs(33)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = attention(*inputs)
    assert torch.equal(under, attention(*inputs))


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"rank": 0}, "rank must be at least 1, and it is 0"),
        ({"shared": "layers"}, "shared of linformer is none or heads or kv, not 'layers'"),
    ],
)
def test_senseless_options_are_refused(option, sentence):
    with pytest.raises(ValueError, match=sentence):
        _build(**option)
