"""Laws of the backbone that every method is put into."""

import dataclasses

import pytest
import torch

from bench.model import Classifier, build_classifier, sinusoids
from methods import constant, darkformer, linear_transformer, performer, softmax
from tasks.api import ModelShape

SHAPE = ModelShape(num_layers=2, num_heads=2, d_model=16, qkv_dim=8, mlp_dim=32)
METHODS = (constant, darkformer, linear_transformer, performer, softmax)


def model(module=softmax, shape: ModelShape = SHAPE, *, towers: int = 1) -> Classifier:
    torch.manual_seed(0)
    return build_classifier(
        module.METHOD, {}, shape, vocab_size=7, num_classes=3, max_time=33, towers=towers,
        causal=False, seed=0,
    )  # fmt: skip


def batch(num: int = 5, towers: int = 1, time: int = 33) -> torch.Tensor:
    return torch.randint(1, 7, (num, towers, time), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("module", METHODS)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_what_stands_in_padding_is_never_seen(module, pooling):
    subject = model(module, dataclasses.replace(SHAPE, pooling=pooling))
    tokens = batch()
    padding = torch.zeros_like(tokens, dtype=torch.bool)
    padding[:, :, 20:] = True
    changed = tokens.masked_fill(padding, 6)
    torch.testing.assert_close(subject(tokens, padding), subject(changed, padding))
    torch.testing.assert_close(subject(tokens, padding), subject(tokens[:, :, :20], None))


@pytest.mark.parametrize("module", METHODS)
def test_methods_of_one_seed_share_every_weight_that_they_have_in_common(module):
    ours, theirs = dict(model(module).named_parameters()), dict(model(softmax).named_parameters())
    common = ours.keys() & theirs.keys()
    assert {"embedding.weight", "blocks.0.mlp.0.weight", "head.weight"} <= common
    assert any("mixer" in name for name in common)
    for name in common:
        assert torch.equal(ours[name], theirs[name]), name


@pytest.mark.parametrize(
    "changes",
    [
        {"pooling": "cls"},
        {"positions": "sinusoidal"},
        {"positions": "none"},
        {"norm": "batch"},
        {"classifier_dim": 12},
        {"towers": "concatenate"},
    ],
)
@pytest.mark.parametrize("towers", [1, 2])
def test_every_shape_of_the_published_protocols_learns(changes, towers):
    subject = model(performer, dataclasses.replace(SHAPE, **changes), towers=towers)
    scores = subject(batch(towers=towers), None)
    assert scores.shape == (5, 3)
    scores.square().sum().backward()
    learning = [p for p in subject.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learning)


def test_fixed_positions_do_not_learn():
    subject = model(shape=dataclasses.replace(SHAPE, positions="sinusoidal"))
    assert not subject.positions.requires_grad


def test_without_positions_a_permutation_changes_nothing():
    subject = model(shape=dataclasses.replace(SHAPE, positions="none"))
    tokens = batch()
    torch.testing.assert_close(subject(tokens, None), subject(tokens.flip(-1), None))


def test_with_positions_order_matters():
    tokens = batch()
    assert not torch.allclose(model()(tokens, None), model()(tokens.flip(-1), None))


@pytest.mark.parametrize("dim", [6, 7])
def test_sinusoids_are_those_of_the_paper(dim):
    table = sinusoids(9, dim)
    assert table[3, 2] == pytest.approx(torch.sin(torch.tensor(3 / 10_000 ** (2 / dim))).item())
    assert table[3, 3] == pytest.approx(torch.cos(torch.tensor(3 / 10_000 ** (2 / dim))).item())
