"""Other people's implementations: what they disclose, and why one of them differs from ours."""

import functools

import pytest
import torch

from bench.gate import gate
from methods.api import AttentionModule, Capabilities, Discloses, Heads, Method
from methods.core.attention import build_attention
from methods.core.exact_laws import share_numbers
from methods.core.testing import check_method
from methods.darkformer import METHOD as DARKFORMER
from methods.darkformer_pytorch import METHOD as DARKFORMER_PYTORCH
from methods.fast_transformers_favor import FastTransformersFavor
from methods.performer import METHOD as PERFORMER
from methods.performer_pytorch import METHOD as PERFORMER_PYTORCH
from methods.performer_pytorch import PerformerPytorch

HEADS = Heads(num_heads=2, head_dim=8, num_kv_heads=2, max_time=64)
NAMESAKES = [(PERFORMER_PYTORCH, PERFORMER), (DARKFORMER_PYTORCH, DARKFORMER)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(theirs: Method, ours: Method):
    """Both in float64, with the numbers that theirs drew."""
    pytest.importorskip(theirs.can.packages[0])
    their, our = (build_attention(m, HEADS, generator(), num_features=16) for m in (theirs, ours))
    share_numbers(their, our)
    return their.double(), our.double()


def inputs(time: int = 33) -> list[torch.Tensor]:
    shape = (2, HEADS.num_heads, time, HEADS.head_dim)
    g = generator(1)
    return [torch.randn(shape, generator=g, dtype=torch.float64) for _ in range(3)]


@pytest.mark.parametrize("causal", [False, True])
def test_darkformer_pytorch_gives_our_output_and_our_gradient_of_the_learned_matrix(causal):
    their, our = pair(DARKFORMER_PYTORCH, DARKFORMER)
    with torch.no_grad():
        noise = 0.1 * torch.randn(2, 8, 8, generator=generator(2), dtype=torch.float64)
        their.attention.theirs.geometry.add_(noise)
        our.feature_map.M.add_(noise)
    weight = inputs()[0]
    o, due = (built(*inputs(), causal=causal) for built in (their, our))
    (found,) = torch.autograd.grad((o * weight).sum(), their.attention.theirs.geometry)
    (right,) = torch.autograd.grad((due * weight).sum(), our.feature_map.M)
    torch.testing.assert_close(o, due)
    torch.testing.assert_close(found, right, rtol=1e-6, atol=1e-6)


def test_performer_pytorch_gives_our_output_once_nothing_is_added_to_its_features(monkeypatch):
    their, our = pair(PERFORMER_PYTORCH, PERFORMER)
    due = our(*inputs())
    as_it_is = (their(*inputs()) - due).abs().max() / due.abs().max()
    package = pytest.importorskip("performer_pytorch.performer_pytorch")
    kernel = functools.partial(package.softmax_kernel, eps=0.0)
    monkeypatch.setattr(package, "softmax_kernel", kernel)
    torch.testing.assert_close(their(*inputs()), due)
    assert as_it_is > 1e-3


def test_the_gate_names_the_laws_that_performer_pytorch_breaks():
    pytest.importorskip("performer_pytorch")
    failure = gate(PERFORMER_PYTORCH, {}, device="cpu", dtype="float32", namesake=PERFORMER)
    assert failure is not None
    for law in ("future-not-seen", "padding-as-good-as-absent", "equals-namesake"):
        assert f"{law}: " in failure


def test_the_gate_gives_the_namesake_the_same_options():
    pytest.importorskip("darkformer_pytorch")
    where = {"device": "cpu", "dtype": "float32", "namesake": DARKFORMER}
    assert gate(DARKFORMER_PYTORCH, {"num_features": 24}, **where) is None


@pytest.mark.parametrize("theirs", [theirs for theirs, _ in NAMESAKES], ids=lambda m: m.name)
def test_a_package_s_draw_follows_the_generator_and_leaves_the_global_one_alone(theirs, capsys):
    pytest.importorskip(theirs.can.packages[0])
    before = torch.get_rng_state()
    numbers = [
        build_attention(theirs, HEADS, generator(seed)).attention.disclose()["omega"]
        for seed in (3, 3, 4)
    ]
    assert torch.equal(numbers[0], numbers[1])
    assert not torch.equal(numbers[0], numbers[2])
    assert torch.equal(torch.get_rng_state(), before)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("num_features", [0, 3])
def test_a_number_of_features_that_makes_no_pairs_is_refused(num_features):
    with pytest.raises(ValueError, match="must be even"):
        FastTransformersFavor(HEADS, generator(), num_features=num_features)


def test_no_features_are_refused_before_the_package_is_asked():
    with pytest.raises(ValueError, match="at least 1"):
        PerformerPytorch(HEADS, generator(), num_features=0)


class Twin(AttentionModule, Discloses):
    """Our Performer again, its directions straight from QR; `slip` spoils its queries' gradient."""

    slip = 0.0
    name = "omega"

    def __init__(self, heads: Heads, generator: torch.Generator) -> None:
        super().__init__()
        self.built = build_attention(PERFORMER, heads, generator)
        shape = (heads.num_heads, 8, heads.head_dim, heads.head_dim)
        directions = torch.linalg.qr(torch.randn(shape, generator=generator)).Q.mT
        norms = torch.randn(shape, generator=generator).norm(dim=-1, keepdim=True)
        omega = (directions * norms).flatten(1, 2)[:, :128]
        self.built.feature_map.load_state_dict({"omega": omega})

    def forward(self, q, k, v, *, causal=False, key_padding=None):
        if self.slip:
            q = q + self.slip * (q - q.detach())
        return self.built(q, k, v, causal=causal, key_padding=key_padding)

    def disclose(self):
        return {self.name: self.built.feature_map.omega}


class Slips(Twin):
    """A gradient that is one percent too large."""

    slip = 0.01


class Misnames(Twin):
    """A name that the namesake does not know."""

    name = "projection"


def broken(attention: type[Twin]) -> dict[str, str]:
    can = Capabilities(bidirectional=True, causal=True, key_padding=True)
    method = Method(name="twin", attention=attention, can=can, same_as="performer")
    laws = ["equals-namesake", "features-unbiased"]
    results = check_method(method, laws=laws, namesake=PERFORMER)
    return {result.law: result.detail for result in results if not result.passed}


def test_a_biased_draw_is_found_though_the_rest_is_right():
    assert broken(Twin).keys() == {"features-unbiased"}


def test_a_gradient_one_percent_too_large_is_found():
    assert "gradient of queries" in broken(Slips)["equals-namesake"]


def test_a_number_that_the_namesake_does_not_have_is_told():
    assert broken(Misnames)["equals-namesake"] == "the namesake has nothing named projection."
