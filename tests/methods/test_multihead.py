"""Mixers around attentions, and mixers of a method's own."""

import pytest
import torch
from torch import Tensor

from methods import performer, softmax
from methods.api import Capabilities, Heads, Method, Mixer, UnsupportedError
from methods.core.multihead import build_mixer, state_bytes
from methods.core.testing import assert_method, check_method

HEADS = Heads(num_heads=4, head_dim=8, num_kv_heads=2, max_time=33)


class RunningMean(Mixer):
    """Projects, and averages what came so far; padding counts for nothing."""

    def __init__(
        self, d_model: int, heads: Heads, generator: torch.Generator, *, causal: bool
    ) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(d_model, d_model, generator=generator) / 5)

    def forward(self, x: Tensor, *, key_padding: Tensor | None = None) -> Tensor:
        return self.prefill(x, key_padding=key_padding)[0]

    def prefill(self, x: Tensor, *, key_padding: Tensor | None = None):
        nothing = (x.new_zeros(x.shape[0], 1, x.shape[2]), x.new_zeros(x.shape[0], 1, 1))
        return self._go_on(x, key_padding, nothing)

    def step(self, x: Tensor, state):
        return self._go_on(x, None, state)

    def _go_on(self, x: Tensor, key_padding: Tensor | None, state):
        live = x.new_ones(x.shape[:2]) if key_padding is None else (~key_padding).to(x.dtype)
        total = state[0] + (x @ self.weight * live[..., None]).cumsum(1)
        count = state[1] + live.cumsum(1)[..., None]
        return total / count.clamp(min=1), (total[:, -1:].clone(), count[:, -1:].clone())


MEAN = Method(
    name="running-mean",
    mixer=RunningMean,
    can=Capabilities(causal=True, key_padding=True, stepwise=True),
)


def _build(method=performer.METHOD, *, causal: bool = True, seed: int = 0, **options):
    return build_mixer(
        method,
        d_model=24,
        qkv_dim=32,
        heads=HEADS if method is not MEAN else PLAIN,
        causal=causal,
        generator=torch.Generator().manual_seed(seed),
        **options,
    )


PLAIN = Heads(num_heads=4, head_dim=8, num_kv_heads=4, max_time=33)


def _tokens(time: int = 33) -> Tensor:
    return torch.randn(2, time, 24, generator=torch.Generator().manual_seed(1))


def test_a_mixers_own_rung_is_held_to_the_same_contract():
    assert_method(MEAN)


def test_a_mixers_mistake_is_found_by_the_same_laws():
    class Forgets(RunningMean):
        def step(self, x, state):
            return super().step(x, (0.9 * state[0], state[1]))

    wrong = Method(name="forgets", mixer=Forgets, can=MEAN.can)
    broken = {r.law for r in check_method(wrong) if not r.passed}
    whole = {"stepping-equals-whole", "segments-equal-whole"}
    assert broken == whole | {"state-is-all-that-is-kept"}


@pytest.mark.parametrize("method", [performer.METHOD, softmax.METHOD, MEAN])
def test_tokens_keep_their_shape(method):
    assert _build(method)(_tokens()).shape == (2, 33, 24)


def test_projections_have_no_bias_and_fewer_keys_where_shared():
    shapes = {n: tuple(p.shape) for n, p in _build(softmax.METHOD).named_parameters()}
    assert shapes == {
        "q_proj.weight": (32, 24),
        "k_proj.weight": (16, 24),
        "v_proj.weight": (16, 24),
        "o_proj.weight": (24, 32),
    }


def test_every_weight_comes_from_the_given_generator():
    before = torch.random.get_rng_state()
    one, other = _build(seed=5), _build(seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one(_tokens()), other(_tokens()))
    assert not torch.equal(one(_tokens()), _build(seed=6)(_tokens()))


def test_the_weights_do_not_depend_on_how_much_the_method_draws():
    """Two methods of one seed are compared from the same projections."""
    one, other = _build(performer.METHOD), _build(softmax.METHOD)
    assert torch.equal(one.q_proj.weight, other.q_proj.weight)


def test_decoding_equals_the_whole_with_padding_in_the_prompt():
    mixer, x = _build(), _tokens()
    padding = torch.zeros(2, 9, dtype=torch.bool)
    padding[1, :4] = True
    y, state = mixer.prefill(x[:, :9], key_padding=padding)
    for t in range(9, 33):
        y, state = mixer.step(x[:, t : t + 1], state)
    whole = torch.cat([padding, torch.zeros(2, 24, dtype=torch.bool)], 1)
    torch.testing.assert_close(y, mixer(x, key_padding=whole)[:, -1:], rtol=1e-4, atol=1e-5)


def test_the_state_is_measured_from_its_tensors():
    _, state = _build(num_features=16).prefill(_tokens())
    # 2 sequences, 2 key-value heads: 16 features by 8 values, a sum and 7 columns of padding, and
    # one scale; float32.
    assert state_bytes(state) == 2 * 2 * (16 * 16 + 1) * 4


def test_the_state_of_anything_made_of_tensors_can_be_measured():
    x = torch.zeros(3, dtype=torch.float64)
    assert state_bytes({"a": [x, (x,)], "b": x, "n": 7, "none": None}) == 72


def test_a_causal_mixer_of_a_bidirectional_method_is_refused():
    method = Method(
        name="sketch",
        attention=softmax.softmax_attention,
        can=Capabilities(bidirectional=True, grouped_query=True),
    )
    with pytest.raises(UnsupportedError, match="sketch cannot be causal"):
        _build(method)


def test_a_mixers_own_rung_is_guarded_too():
    with pytest.raises(UnsupportedError, match="running-mean is only causal"):
        _build(MEAN, causal=False)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="qkv_dim is 30, but 4 heads of 8 make 32"):
        build_mixer(
            softmax.METHOD,
            d_model=24,
            qkv_dim=30,
            heads=HEADS,
            causal=True,
            generator=torch.Generator(),
        )
