"""What the counters must say of calls whose cost is known in closed form."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from bench.counters import TORCH_OPERATIONS, analytic_attention_flops, count_call

FUSED_ON_CPU = "aten._scaled_dot_product_flash_attention_for_cpu"
BATCH, HEADS, TIME, KEY_TIME, DIM, VALUE_DIM = 2, 3, 33, 7, 5, 4


def queries_keys_values(value_dim: int = DIM) -> tuple[Tensor, Tensor, Tensor]:
    def leaf(time: int, dim: int) -> Tensor:
        return torch.randn(BATCH, HEADS, time, dim, requires_grad=True)

    return leaf(TIME, DIM), leaf(KEY_TIME, DIM), leaf(KEY_TIME, value_dim)


def test_a_matrix_product_costs_two_operations_a_multiply_add() -> None:
    a, b = torch.randn(7, 33), torch.randn(33, 5)
    assert count_call(lambda: a @ b).flops == 2 * 7 * 33 * 5


def test_a_matrix_times_a_vector_counts_too() -> None:
    a, x = torch.randn(7, 33), torch.randn(33)
    assert count_call(lambda: a @ x).flops == 2 * 7 * 33


def test_a_linear_layer_costs_its_closed_form_forward_and_backward() -> None:
    layer = nn.Linear(7, 5)
    x = torch.randn(3, 11, 7, requires_grad=True)
    # One product forward, one for the input's gradient, one for the weight's.
    assert count_call(lambda: layer(x).sum().backward()).flops == 3 * (2 * 33 * 7 * 5)


def test_a_linear_layer_counts_the_same_in_inference_mode() -> None:
    layer, x = nn.Linear(7, 5), torch.randn(3, 11, 7)

    def infer() -> Tensor:
        with torch.inference_mode():
            return layer(x)

    assert count_call(infer).flops == 2 * 33 * 7 * 5


def test_fused_attention_costs_three_and_a_half_times_its_forward_when_trained() -> None:
    q, k, v = queries_keys_values()
    forward = 4 * BATCH * HEADS * TIME * KEY_TIME * DIM
    counts = count_call(lambda: scaled_dot_product_attention(q, k, v).sum().backward())
    assert counts.flops == forward * 7 // 2


def test_fused_attention_counts_the_same_in_inference_mode() -> None:
    q, k, v = queries_keys_values()

    def infer() -> Tensor:
        with torch.inference_mode():
            return scaled_dot_product_attention(q, k, v)

    assert count_call(infer).flops == 4 * BATCH * HEADS * TIME * KEY_TIME * DIM


def test_fused_and_written_out_attention_cost_the_same_forward() -> None:
    q, k, v = queries_keys_values()
    written_out = count_call(lambda: torch.softmax(q @ k.mT, dim=-1) @ v)
    fused = count_call(lambda: scaled_dot_product_attention(q, k, v))
    assert written_out.flops == fused.flops


def test_written_out_attention_costs_three_times_its_forward_when_trained() -> None:
    q, k, v = queries_keys_values()
    forward = 4 * BATCH * HEADS * TIME * KEY_TIME * DIM
    counts = count_call(lambda: (torch.softmax(q @ k.mT, dim=-1) @ v).sum().backward())
    assert counts.flops == 3 * forward


def test_causality_does_not_change_what_is_counted() -> None:
    q, k, v = (x[:, :, :KEY_TIME] for x in queries_keys_values())
    causal = count_call(lambda: scaled_dot_product_attention(q, k, v, is_causal=True))
    assert causal.flops == count_call(lambda: scaled_dot_product_attention(q, k, v)).flops


def test_a_fused_kernel_is_named_once_for_forward_and_backward() -> None:
    q, k, v = queries_keys_values()
    counts = count_call(lambda: scaled_dot_product_attention(q, k, v).sum().backward())
    assert counts.kernels == (FUSED_ON_CPU,)


def test_a_method_without_a_fused_kernel_is_torch_operations() -> None:
    q, k, v = queries_keys_values()
    counts = count_call(lambda: torch.softmax(q @ k.mT, dim=-1) @ v)
    assert counts.kernels == (TORCH_OPERATIONS,)
    assert counts.blind == ()


def test_an_addition_moves_two_inputs_and_one_output() -> None:
    x, y = torch.randn(7, 33), torch.randn(7, 33)
    assert count_call(lambda: x + y).bytes_moved == 3 * 7 * 33 * 4


def test_a_broadcast_operand_moves_only_what_lies_in_memory() -> None:
    x, row = torch.randn(7, 33), torch.randn(33).expand(7, 33)
    assert count_call(lambda: x + row).bytes_moved == (7 * 33 + 33 + 7 * 33) * 4


def test_narrow_numbers_move_fewer_bytes() -> None:
    x = torch.randn(7, 33, dtype=torch.bfloat16)
    assert count_call(lambda: x + x).bytes_moved == 3 * 7 * 33 * 2


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.transpose(0, 1),
        lambda x: x.reshape(33, 7),
        lambda x: x[2:, ::3],
        lambda x: x.unflatten(1, (3, 11)).expand(7, 3, 11),
        lambda x: torch.empty_like(x),
    ],
    ids=["transpose", "reshape", "slice", "expand", "empty"],
)
def test_views_and_unwritten_memory_are_free(view) -> None:
    x = torch.randn(7, 33)
    counts = count_call(lambda: view(x))
    assert (counts.flops, counts.bytes_moved) == (0, 0)


def test_an_operation_of_another_library_is_named_and_its_work_declared_unknown() -> None:
    with torch.library._scoped_library("counted_elsewhere", "DEF") as library:
        library.define("mix(Tensor x) -> Tensor")
        library.impl("mix", lambda x: x @ x, "CompositeExplicitAutograd")
        counts = count_call(lambda: torch.ops.counted_elsewhere.mix(torch.randn(5, 5)))
    assert counts.kernels == ("counted_elsewhere.mix",)
    assert counts.blind == ("counted_elsewhere.mix",)


def test_a_decomposition_without_a_formula_is_declared_unknown() -> None:
    assert count_call(lambda: torch.linalg.qr(torch.randn(5, 5))).blind == ("aten.linalg_qr",)


SIZES = {
    "batch": BATCH,
    "heads": HEADS,
    "query_time": TIME,
    "key_time": KEY_TIME,
    "head_dim": DIM,
    "value_dim": VALUE_DIM,
}


@pytest.mark.parametrize("backward", [False, True])
def test_the_formula_of_exact_attention_equals_the_count(backward: bool) -> None:
    q, k, v = queries_keys_values()

    def call() -> None:
        out = scaled_dot_product_attention(q, k, v)
        if backward:
            out.sum().backward()

    sizes = SIZES | {"value_dim": DIM}
    assert analytic_attention_flops("exact", **sizes, backward=backward) == count_call(call).flops


def test_causal_exact_attention_costs_half_by_its_formula() -> None:
    whole = analytic_attention_flops("exact", **SIZES)
    assert analytic_attention_flops("exact", **SIZES, causal=True) == whole // 2


@pytest.mark.parametrize("backward", [False, True])
def test_the_formula_of_linear_attention_equals_the_count(backward: bool) -> None:
    q, k, v = queries_keys_values(VALUE_DIM)
    omega = torch.randn(HEADS, DIM, 6, requires_grad=True)

    def call() -> None:
        out = (q @ omega) @ ((k @ omega).mT @ v)
        if backward:
            out.sum().backward()

    analytic = analytic_attention_flops("linear", **SIZES, num_features=6, backward=backward)
    assert analytic == count_call(call).flops


def test_chunks_add_their_own_work_to_causal_linear_attention() -> None:
    sizes = SIZES | {"num_features": 6, "chunk": 8}
    extra = BATCH * HEADS * TIME * 8 * (6 + VALUE_DIM)
    bidirectional = analytic_attention_flops("linear", **sizes)
    assert analytic_attention_flops("linear", **sizes, causal=True) == bidirectional + extra


def test_linear_attention_without_features_cannot_be_counted() -> None:
    with pytest.raises(ValueError, match="num_features of 1 or more"):
        analytic_attention_flops("linear", **SIZES)


def test_exponentials_are_counted_wherever_they_stand():
    x = torch.randn(3, 5)
    for call in (torch.exp, torch.exp2, torch.Tensor.exp_, torch.sigmoid):
        assert count_call(lambda call=call: call(x.clone())).exps == 15
    assert count_call(lambda: torch.softmax(x, -1)).exps == 15
    assert count_call(lambda: x + x).exps == 0


def test_a_product_written_into_a_given_tensor_counts_as_any_other():
    a, out = torch.randn(2, 3, 4), torch.empty(2, 3, 3)
    given = count_call(lambda: torch.bmm(a, a.mT, out=out))
    plain = count_call(lambda: torch.bmm(a, a.mT))
    assert given.flops == plain.flops == 2 * 2 * 3 * 4 * 3
    assert given.bytes_moved == plain.bytes_moved


def test_a_norm_is_not_work_that_the_counter_cannot_see():
    assert count_call(lambda: torch.linalg.vector_norm(torch.randn(4, 4), dim=-1)).blind == ()


def test_what_a_fused_causal_kernel_leaves_out_stands_apart():
    q = torch.randn(1, 2, 8, 4)
    attend = torch.nn.functional.scaled_dot_product_attention
    whole = count_call(lambda: attend(q, q, q))
    causal = count_call(lambda: attend(q, q, q, is_causal=True))
    assert (whole.masked_flops, causal.masked_flops) == (0, whole.flops // 2)
    assert (whole.exps, causal.exps) == (2 * 8 * 8, 8 * 8)


@pytest.mark.parametrize("name", ["addmm", "baddbmm"])
def test_a_product_added_in_place_is_counted_like_any_other(name: str) -> None:
    batch = (2,) if name == "baddbmm" else ()
    x, a, b = (torch.randn(*batch, *shape) for shape in ((3, 7), (3, 5), (5, 7)))
    found = [count_call(lambda how=how: getattr(x, how)(a, b)).flops for how in (name, f"{name}_")]
    assert found == [2 * 3 * 5 * 7 * max(1, sum(batch))] * 2
