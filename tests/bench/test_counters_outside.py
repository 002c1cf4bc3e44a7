"""What the counter must say of work that is done outside torch's operations."""

import numpy as np
import pytest
import torch

from bench.counters import TORCH_OPERATIONS, count_call

X = torch.randn(2, 33, 8)
MASK = torch.ones(33, 33).tril()


def by_numpy():
    return torch.from_numpy(np.exp(X.numpy()))


def within_torch_by_numpy():
    return torch.from_numpy(np.exp((X * 2).numpy())) * 2


def into_an_empty_tensor():
    o = torch.empty_like(X)
    np.exp(X.numpy(), out=o.numpy())
    return o


def into_zeros():
    o = torch.zeros_like(X)
    np.exp(X.numpy(), out=o.numpy())
    return o


class Numpys(torch.autograd.Function):
    """Its gradient is numpy's work."""

    @staticmethod
    def forward(ctx, x):
        return x.exp()

    @staticmethod
    def backward(ctx, grad):
        return torch.from_numpy(grad.numpy() * 2)


def in_its_gradient():
    x = X.clone().requires_grad_()
    return torch.autograd.grad(Numpys.apply(x).sum(), x)


@pytest.mark.parametrize(
    "call", [by_numpy, within_torch_by_numpy, into_an_empty_tensor, into_zeros, in_its_gradient]
)
def test_work_outside_torch_is_noticed(call):
    counts = count_call(call, [X])
    assert counts.outside
    assert counts.kernels == ()


def with_a_table_of_its_own():
    return (X + torch.tensor([1.0, 2.0]).sum()).exp() @ X.mT


def with_a_mask_that_was_there_before():
    return MASK @ X


def into_parts_of_an_empty_tensor():
    o = torch.empty_like(X)
    o[:, :7] = X[:, :7] * 2
    torch.mul(X[:, 7:], 2, out=o[:, 7:])
    return o + 1


def adding_to_nothing():
    return torch.baddbmm(torch.empty(2, 33, 33), X, X.mT, beta=0).softmax(-1)


def forward_and_backward():
    x = X.clone().requires_grad_()
    return torch.autograd.grad(torch.softmax(x @ x.mT / 3, -1).mean(), x)


def in_inference_mode():
    with torch.inference_mode():
        return torch.nn.functional.scaled_dot_product_attention(X, X, X)


@pytest.mark.parametrize(
    "call",
    [
        with_a_table_of_its_own,
        with_a_mask_that_was_there_before,
        into_parts_of_an_empty_tensor,
        adding_to_nothing,
        forward_and_backward,
        in_inference_mode,
    ],
)
def test_torch_s_own_work_is_taken_for_no_other(call):
    assert not count_call(call, [X]).outside


def test_one_input_that_is_read_is_enough():
    counts = count_call(lambda: X * 1, [torch.randn(5), X])
    assert not counts.outside
    assert counts.kernels == (TORCH_OPERATIONS,)


def test_a_registered_kernel_of_another_package_is_no_work_outside():
    with torch.library._scoped_library("counted_here", "DEF") as library:
        library.define("mix(Tensor x) -> Tensor")
        library.define("mix_into(Tensor x, Tensor(a!) o) -> ()")
        library.impl("mix", lambda x: torch.from_numpy(x.numpy() * 2), "CPU")
        library.impl("mix_into", lambda x, o: o.numpy().fill(1), "CPU")

        def call():
            o = torch.empty_like(X)
            torch.ops.counted_here.mix_into(X, o)
            return o + torch.ops.counted_here.mix(X)

        counts = count_call(call, [X])
    assert not counts.outside
    assert set(counts.blind) == {"counted_here.mix", "counted_here.mix_into"}
