"""Laws of what a cost cell times: the method's own call on inputs of the sizes asked for."""

import pytest
import torch

from bench.counters import count_call
from bench.registry import load_registry
from bench.runners.workloads import Conditions, Contestant, Place, build_workload
from methods.api import UnsupportedError
from methods.core.multihead import tensors
from tasks.sweep import Sweep

METHODS = load_registry(("METHOD",)).methods
SWEEP = Sweep(batch=2, num_heads=2, head_dim=8)
LAYER = Sweep(batch=2, num_heads=2, head_dim=8, level="layer")


def workload(
    name: str, mode: str, *, causal=True, length=7, sweep=SWEEP, dtype="float32", **options
):
    method = METHODS[name].value
    options = {o.name: o.default for o in method.options.values()} | options
    conditions = Conditions(sweep, dtype, "cpu", 0)
    return build_workload(Contestant(method, options), Place(mode, causal, length), conditions)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("causal", [True, False])
def test_a_kernel_is_given_and_returns_heads_in_the_dtype(dtype, causal):
    o = workload("performer", "forward", causal=causal, dtype=dtype, num_features=4).call()
    assert o.shape == (2, 2, 7, 8)
    assert str(o.dtype) == f"torch.{dtype}"
    assert not o.requires_grad


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("mode", ["forward", "training", "decode"])
@pytest.mark.parametrize("name", ["sdpa", "performer"])
def test_a_layer_is_given_and_returns_tokens(name, mode, dtype):
    result = workload(name, mode, sweep=LAYER, dtype=dtype).call()
    o = next(tensors(result))
    assert o.shape == (2, 1 if mode == "decode" else 7, 16)
    assert o.isfinite().all()


def test_training_returns_the_output_and_every_gradient():
    o, *gradients = workload("darkformer", "training", num_features=4).call()
    assert o.shape == (2, 2, 7, 8)
    assert [g.shape for g in gradients[:3]] == [o.shape] * 3
    # Queries, keys, values and what the method learns.
    assert len(gradients) > 3


def test_the_gradients_are_those_of_the_whole_expression():
    made = workload("sdpa", "training", dtype="float64")
    q, k, v, grad = (x.detach().requires_grad_() for x in made.given)
    o = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(made.call()[1:], torch.autograd.grad(o, (q, k, v), grad))


def test_exact_attention_decodes_from_a_cache_of_the_context():
    made = workload("sdpa", "decode", dtype="float64")
    q, new_k, new_v, k, v = made.given
    assert k.shape == (2, 2, 8, 8)
    o = made.call()
    assert torch.equal(k[:, :, -1:], new_k)
    assert torch.equal(v[:, :, -1:], new_v)
    weights = torch.softmax(q @ k.mT / 8**0.5, -1)
    torch.testing.assert_close(o, weights @ v)
    assert made.state_bytes == 2 * (2 * 2 * 8 * 8) * 8


def test_a_step_goes_on_from_the_state_whose_size_the_context_does_not_change():
    short, long = (workload("performer", "decode", length=n, num_features=4) for n in (7, 33))
    assert short.state_bytes == long.state_bytes
    o, state = short.call()
    assert o.shape == (2, 2, 1, 8)
    assert sum(x.nbytes for x in tensors(state)) == short.state_bytes


def test_a_method_without_steps_or_cache_cannot_decode():
    with pytest.raises(UnsupportedError, match="step by step"):
        workload("random", "decode")


def test_what_cannot_be_causal_is_refused_before_anything_is_drawn():
    with pytest.raises(UnsupportedError, match="cannot be causal"):
        workload("linformer", "forward", length=2**40)


def test_a_whole_mixer_has_no_kernel():
    with pytest.raises(ValueError, match="whole mixer"):
        workload("mamba", "forward")


def test_the_call_is_counted_with_its_exponentials():
    counts = count_call(workload("sdpa", "training", length=8).call)
    # 2 x 2 heads; the lower half of 8 x 8 scores, forward and again backward.
    assert counts.exps == 2 * (2 * 2 * 8 * 8 // 2)
    assert counts.masked_flops == counts.flops // 2


def test_everything_read_is_given():
    q, k, v = workload("sdpa", "forward").given
    assert {x.shape for x in (q, k, v)} == {(2, 2, 7, 8)}
    layer = workload("sdpa", "forward", sweep=LAYER)
    assert layer.given_bytes == 4 * (2 * 7 * 16 + 4 * 16 * 16)
