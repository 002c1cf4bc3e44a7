"""Laws of what a training step is said to cost."""

import numpy as np
import pytest
import torch

from bench.model import Classifier, build_classifier
from bench.runners.batches import Batch, take
from bench.runners.price import price_of_step, sizes
from bench.runners.train import batch_loss
from methods.api import Capabilities, Method
from methods.sdpa import METHOD as SDPA
from methods.softmax import softmax_attention
from tasks.api import ModelShape, Split

CPU = torch.device("cpu")
SHAPE = ModelShape(num_layers=2, num_heads=2, d_model=16, qkv_dim=16, mlp_dim=32)


@torch.library.custom_op("bench_tests::attention", mutates_args=())
def hidden_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Exact attention in a kernel that no counter knows."""
    return softmax_attention(q, k, v)


def _keep(ctx, inputs, output):
    ctx.save_for_backward(*inputs)


def _backward(ctx, grad):
    return tuple(torch.zeros_like(x) for x in ctx.saved_tensors)


hidden_attention.register_autograd(_backward, setup_context=_keep)


def attend(q, k, v, *, causal=False, key_padding=None):
    return hidden_attention(q, k, v)


def model(method: Method) -> Classifier:
    return build_classifier(
        method, {}, SHAPE, vocab_size=5, num_classes=2, max_time=33, towers=1, causal=False, seed=0
    )


@pytest.fixture
def batch() -> Batch:
    tokens = np.random.default_rng(0).integers(1, 5, size=(3, 1, 33))
    split = Split(tokens=tokens, lengths=np.full((3, 1), 33), labels=np.array([0, 1, 0]))
    return take(split, np.arange(3), torch.device("cpu"))


def hidden(same_as: str | None) -> Method:
    return Method(
        name="hidden", attention=attend, same_as=same_as, can=Capabilities(bidirectional=True)
    )


def test_a_kernel_that_cannot_be_counted_is_added_by_its_formula(batch):
    price = price_of_step(model(hidden("softmax")), batch_loss(batch), device=CPU, dtype="float32")
    counted = price_of_step(model(SDPA), batch_loss(batch), device=CPU, dtype="float32")
    assert price["flops_per_step"] == counted["flops_per_step"]
    assert "bench_tests.attention" in price["flops_method"]
    assert price["kernels"] == ["bench_tests.attention"]


def test_operations_that_nobody_knows_are_not_made_up(batch):
    price = price_of_step(model(hidden(None)), batch_loss(batch), device=CPU, dtype="float32")
    assert price["flops_per_step"] is None
    assert "blind" in price["flops_method"]


class Numpys(torch.autograd.Function):
    """The mean of all values, by numpy."""

    @staticmethod
    def forward(ctx, v):
        return torch.from_numpy(v.numpy().mean(2, keepdims=True) + 0 * v.numpy())

    @staticmethod
    def backward(ctx, grad):
        return torch.from_numpy(grad.numpy().mean(2, keepdims=True) + 0 * grad.numpy())


def test_a_step_whose_work_is_partly_outside_torch_has_no_counts(batch):
    def attend(q, k, v, *, causal=False, key_padding=None):
        return Numpys.apply(v)

    method = Method(name="numpys", attention=attend, can=Capabilities(bidirectional=True))
    price = price_of_step(model(method), batch_loss(batch), device=CPU, dtype="float32")
    assert price["flops_per_step"] is None
    assert price["bytes_moved_per_step"] is None
    assert "outside torch's operations" in price["flops_method"]


def test_measuring_changes_neither_weights_nor_random_numbers(batch):
    subject = model(SDPA)
    before = {k: v.clone() for k, v in subject.state_dict().items()}
    state = torch.random.get_rng_state()
    price_of_step(subject, batch_loss(batch), device=CPU, dtype="float32")
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(before[k], v) for k, v in subject.state_dict().items())
    assert all(p.grad is None for p in subject.parameters())


def test_tables_that_only_look_up_are_counted_apart():
    found = sizes(model(SDPA), model(SDPA).tables())
    assert found["parameters"] - found["non_embedding_parameters"] == (5 + 33) * 16
