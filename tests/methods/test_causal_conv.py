"""The short convolution against torch's own, in float64."""

import pytest
import torch
from torch.nn.functional import conv1d, pad

from methods.core.causal_conv import causal_conv, last_inputs


def drawn(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def written_out(x, weight, bias, window):
    past = torch.cat([window, x], 1)
    return conv1d(past.mT, weight[:, None], bias, groups=len(weight)).mT


@pytest.mark.parametrize("time", [1, 2, 3, 9])
@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("has_bias", [True, False])
def test_outputs_and_all_gradients_are_those_of_torchs_convolution(time, width, has_bias):
    parts = [drawn(2, time, 5), drawn(5, width), drawn(5), drawn(2, width - 1, 5)]
    results = []
    for function in (lambda *y: causal_conv(*y)[0], written_out):
        x, weight, bias, window = leaves = [y.clone().requires_grad_() for y in parts]
        o = function(x, weight, bias if has_bias else None, window)
        wanted = leaves if has_bias else [x, weight, window]
        results.append([o, *torch.autograd.grad(o, wanted, drawn(*o.shape))])
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("wanted", [0, 1, 2, 3])
def test_a_gradient_is_the_same_where_the_others_are_not_asked_for(wanted):
    parts = [drawn(2, 6, 5), drawn(5, 4), drawn(5), drawn(2, 3, 5)]
    results = []
    for function in (lambda *y: causal_conv(*y)[0], written_out):
        leaf = parts[wanted].clone().requires_grad_()
        o = function(*parts[:wanted], leaf, *parts[wanted + 1 :])
        results.append(torch.autograd.grad(o.square().sum(), leaf))
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)


def test_a_window_goes_on_where_the_sequence_was_cut():
    x, weight, bias = drawn(2, 9, 5), drawn(5, 4), drawn(5)
    whole, due = causal_conv(x, weight, bias)
    outputs, window = [], None
    for part in x.split([1, 5, 2, 1], 1):
        y, window = causal_conv(part, weight, bias, window)
        outputs.append(y)
    torch.testing.assert_close(torch.cat(outputs, 1), whole)
    assert torch.equal(window, due)
    assert torch.equal(window, x[:, -3:])
    assert window.untyped_storage().nbytes() == window.numel() * window.element_size()


@pytest.mark.parametrize("time", [1, 9])
def test_low_precision_is_summed_up_in_float32(time):
    x, weight, bias = (drawn(*s, dtype=torch.bfloat16) for s in ((2, time, 5), (5, 4), (5,)))
    y, window = causal_conv(x, weight, bias)
    assert (y.dtype, window.dtype) == (torch.bfloat16, torch.bfloat16)
    due = written_out(x.double(), weight.double(), bias.double(), window.new_zeros(2, 3, 5))
    torch.testing.assert_close(y, due.bfloat16(), rtol=2**-8, atol=0.0)


def test_the_last_inputs_are_those_before_the_padding_and_zeros_before_the_first():
    x = drawn(3, 5, 2)
    dead = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]).bool()
    due = [x[0, 2:], pad(x[1, :2], (0, 0, 1, 0)), torch.zeros_like(x[2, :3])]
    assert torch.equal(last_inputs(x, dead, 3), torch.stack(due))


def test_a_window_of_another_width_is_refused():
    with pytest.raises(ValueError, match="a filter of width 4 goes on from 3 inputs; 2 came"):
        causal_conv(drawn(1, 5, 2), drawn(2, 4), None, drawn(1, 2, 2))
