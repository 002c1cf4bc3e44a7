"""The loss of next tokens equals the one written out, with its gradients."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from bench import next_token
from bench.next_token import OutputLayer, next_token_loss, read_next_tokens


def written_out(hidden, head, targets):
    scores = hidden @ head.weight.mT
    if head.bias is not None:
        scores = scores + head.bias
    if head.softcap is not None:
        scores = head.softcap * torch.tanh(scores / head.softcap)
    return scores, cross_entropy(scores, targets, reduction="sum")


def drawn(*, rows=37, width=8, vocabulary=53, bias=False, softcap=None, dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    hidden = torch.randn(rows, width, generator=g, dtype=dtype).requires_grad_()
    weight = torch.randn(vocabulary, width, generator=g, dtype=dtype).requires_grad_()
    shift = torch.randn(vocabulary, generator=g, dtype=dtype).requires_grad_() if bias else None
    targets = torch.randint(vocabulary, (rows,), generator=g)
    return hidden, OutputLayer(weight, shift, softcap), targets


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("softcap", [None, 3.0])
def test_loss_and_gradients_are_those_written_out(bias, softcap, monkeypatch):
    monkeypatch.setattr(next_token, "ROWS", 16)
    monkeypatch.setattr(next_token, "NUMBERS", 5 * 53)
    hidden, head, targets = drawn(bias=bias, softcap=softcap)
    learned = [x for x in (hidden, head.weight, head.bias) if x is not None]
    _, expected = written_out(hidden, head, targets)
    found = next_token_loss(hidden, head, targets)
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(
        torch.autograd.grad(0.3 * found, learned),
        torch.autograd.grad(0.3 * expected, learned),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_losses_and_hits_of_every_row(monkeypatch):
    monkeypatch.setattr(next_token, "NUMBERS", 5 * 53)
    hidden, head, targets = drawn(bias=True)
    scores, expected = written_out(hidden, head, targets)
    found = read_next_tokens(hidden, head, targets)
    torch.testing.assert_close(found.losses.sum(), expected)
    assert found.hits.tolist() == (scores.argmax(-1) == targets).tolist()


def test_bfloat16_is_close_and_reading_stays_in_float32():
    hidden, head, targets = drawn(rows=200, width=32, dtype=torch.float32)
    _, expected = written_out(hidden, head, targets)
    wanted = torch.autograd.grad(expected, [hidden, head.weight])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = next_token_loss(hidden, head, targets)
        read = read_next_tokens(hidden, head, targets)
    got = torch.autograd.grad(found, [hidden, head.weight])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=5e-3, atol=0)
    torch.testing.assert_close(read.losses.sum(), expected)
    for ours, theirs in zip(got, wanted, strict=True):
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


def test_gradients_that_were_used_are_not_used_again():
    hidden, head, targets = drawn()
    loss = next_token_loss(hidden, head, targets)
    (loss / 3).backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="there once"):
        (loss / 3).backward()


def test_frozen_parts_get_no_gradient():
    hidden, head, targets = drawn()
    frozen = head._replace(weight=head.weight.detach())
    (gradient,) = torch.autograd.grad(next_token_loss(hidden, frozen, targets), [hidden])
    assert gradient.isfinite().all()
