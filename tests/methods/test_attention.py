"""A built attention does what is declared, refuses the rest, and says so in sentences."""

import pytest
import torch

from methods import constant, linear_transformer, no_mixing, performer, random, sdpa, softmax
from methods.api import (
    Capabilities,
    Heads,
    Method,
    MissingDependencyError,
    UnsupportedError,
)
from methods.core.attention import build_attention

GROUPED = Heads(num_heads=6, head_dim=8, num_kv_heads=2, max_time=33)
PLAIN = Heads(num_heads=2, head_dim=8, num_kv_heads=2, max_time=33)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _inputs(heads: Heads = GROUPED, time: int = 33, key_time: int | None = None):
    g, s = _generator(1), key_time or time
    q = torch.randn(2, heads.num_heads, time, 8, generator=g)
    k, v = (torch.randn(2, heads.num_kv_heads, s, 8, generator=g) for _ in range(2))
    return q, k, v


def _method(**can) -> Method:
    return Method(name="sketch", attention=softmax.softmax_attention, can=Capabilities(**can))


@pytest.mark.parametrize("module", [linear_transformer, constant, softmax, sdpa, no_mixing])
@pytest.mark.parametrize("causal", [False, True])
def test_grouped_queries_are_as_good_as_repeated_keys(module, causal):
    q, k, v = _inputs()
    full = Heads(num_heads=6, head_dim=8, num_kv_heads=6, max_time=33)
    grouped = build_attention(module.METHOD, GROUPED, _generator())(q, k, v, causal=causal)
    k, v = (x.repeat_interleave(3, dim=1) for x in (k, v))
    repeated = build_attention(module.METHOD, full, _generator())(q, k, v, causal=causal)
    torch.testing.assert_close(grouped, repeated)


def test_values_may_have_a_dimension_of_their_own():
    q, k, _ = _inputs()
    v = torch.randn(2, 2, 33, 5, generator=_generator())
    for module in (performer, softmax, sdpa):
        attention = build_attention(module.METHOD, GROUPED, _generator())
        assert attention(q, k, v).shape == (2, 6, 33, 5)


def test_features_keep_float32_under_autocast():
    attention = build_attention(performer.METHOD, PLAIN, _generator())
    q, k, v = _inputs(PLAIN)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = attention(q, k, v, causal=True)
    assert torch.equal(under, attention(q, k, v, causal=True))


def test_only_a_feature_map_has_a_normaliser():
    q, k, _ = _inputs()
    rows = build_attention(performer.METHOD, GROUPED, _generator()).normaliser(q, k)
    assert rows.shape == (2, 6, 33)
    assert (rows > 0).all()
    assert build_attention(softmax.METHOD, GROUPED, _generator()).normaliser(q, k) is None


def test_the_normaliser_of_a_query_head_stands_in_its_place():
    """The constant kernel's is the number of keys that the row sees."""
    q, k, _ = _inputs()
    rows = build_attention(constant.METHOD, GROUPED, _generator()).normaliser(q, k, causal=True)
    torch.testing.assert_close(rows, torch.arange(1.0, 34).expand(2, 6, 33))


def test_constant_attention_is_the_mean_of_what_is_visible():
    q, k, v = _inputs(PLAIN)
    o = build_attention(constant.METHOD, PLAIN, _generator())(q, k, v, causal=True)
    count = torch.arange(1.0, 34)[:, None]
    torch.testing.assert_close(o, v.cumsum(2) / count)


def test_random_attention_weighs_positions_by_its_fixed_weights():
    q, k, v = _inputs(PLAIN)
    attention = build_attention(random.METHOD, PLAIN, _generator())
    weight = attention.attention.log_weight.exp()
    expected = torch.einsum("gs,bgsv->bgv", weight / weight.sum(-1, keepdim=True), v)
    torch.testing.assert_close(attention(q, k, v), expected[:, :, None].expand_as(q))


def test_random_attention_refuses_more_positions_than_it_has_weights_for():
    attention = build_attention(random.METHOD, PLAIN, _generator())
    with pytest.raises(ValueError, match="built for at most 33 positions; 34 came"):
        attention(*_inputs(PLAIN, 34))


@pytest.mark.parametrize("module", [softmax, sdpa, constant, performer])
def test_a_sequence_that_is_all_padding_gives_zeros(module):
    padding = torch.tensor([[True] * 33, [False] * 33])
    for causal in (False, True):
        attention = build_attention(module.METHOD, GROUPED, _generator())
        o = attention(*_inputs(), causal=causal, key_padding=padding)
        assert (o[0] == 0).all()
        assert torch.isfinite(o).all()


@pytest.mark.parametrize(
    ("can", "call", "words"),
    [
        ({"bidirectional": True}, {"causal": True}, "sketch cannot be causal"),
        ({"causal": True}, {}, "sketch is only causal"),
        (
            {"bidirectional": True},
            {"key_padding": torch.zeros(2, 33, dtype=torch.bool)},
            "sketch cannot mask padded keys",
        ),
        ({"bidirectional": True, "dtypes": ("bfloat16",)}, {}, "sketch does not run in float32"),
        ({"bidirectional": True, "devices": ("cuda",)}, {}, "sketch does not run on cpu"),
    ],
)
def test_what_is_not_declared_is_refused(can, call, words):
    attention = build_attention(_method(**can), PLAIN, _generator())
    with pytest.raises(UnsupportedError, match=words):
        attention(*_inputs(PLAIN), **call)


def test_undeclared_cross_attention_is_refused():
    attention = build_attention(_method(bidirectional=True), PLAIN, _generator())
    with pytest.raises(UnsupportedError, match="7 queries met 9 keys"):
        attention(*_inputs(PLAIN, 7, 9))


def test_undeclared_steps_are_refused():
    attention = build_attention(softmax.METHOD, PLAIN, _generator())
    with pytest.raises(UnsupportedError, match="softmax cannot continue a sequence step by step"):
        attention.prefill(*_inputs(PLAIN))


def test_undeclared_grouped_queries_are_refused():
    with pytest.raises(UnsupportedError, match="cannot share key-value heads"):
        build_attention(_method(bidirectional=True), GROUPED, _generator())


def test_declared_steps_that_were_not_written_are_named():
    attention = build_attention(_method(causal=True, stepwise=True), PLAIN, _generator())
    with pytest.raises(TypeError, match="declares stepwise but has no prefill and step"):
        attention.prefill(*_inputs(PLAIN))


def test_a_missing_package_is_answered_with_the_install_command():
    method = _method(packages=("no_such_package",), install="pip install no-such-package")
    with pytest.raises(MissingDependencyError, match="Install with: pip install no-such-package"):
        build_attention(method, PLAIN, _generator())


def test_an_unknown_option_is_answered_with_the_right_ones():
    with pytest.raises(ValueError, match=r"no option 'features'\. It has num_features, orthogonal"):
        build_attention(performer.METHOD, PLAIN, _generator(), features=3)


def test_causal_attention_across_lengths_is_refused():
    attention = build_attention(softmax.METHOD, PLAIN, _generator())
    with pytest.raises(ValueError, match="as many queries as keys; 7 and 9 came"):
        attention(*_inputs(PLAIN, 7, 9), causal=True)


def test_tensors_of_other_head_counts_are_refused():
    attention = build_attention(softmax.METHOD, GROUPED, _generator())
    with pytest.raises(ValueError, match="built for 6 query heads and 2 key-value heads"):
        attention(*_inputs(PLAIN))


def test_heads_that_do_not_divide_are_refused():
    heads = Heads(num_heads=6, head_dim=8, num_kv_heads=4, max_time=33)
    with pytest.raises(ValueError, match="cannot share 4 key-value heads evenly"):
        build_attention(softmax.METHOD, heads, _generator())
