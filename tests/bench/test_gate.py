"""What the gate lets through, and what it does not."""

import pytest
import torch

from bench.gate import gate
from methods.api import Capabilities, Method, UnsupportedError
from methods.performer import METHOD as PERFORMER
from methods.sdpa import METHOD as SDPA
from methods.softmax import METHOD as SOFTMAX
from methods.softmax import softmax_attention
from tests.fakes.bad_methods import LEAKS

BIDIRECTIONAL = Capabilities(bidirectional=True)


def test_a_method_that_keeps_the_laws_may_be_measured() -> None:
    assert gate(PERFORMER, {"num_features": 33}, device="cpu", dtype="float32") is None


def test_a_method_that_reads_padding_is_stopped_by_the_law_it_breaks() -> None:
    broken = gate(LEAKS, {}, device="cpu", dtype="float32")
    assert broken is not None
    assert broken.startswith("padding-as-good-as-absent: ")


def test_another_implementation_is_compared_with_its_namesake() -> None:
    assert gate(SDPA, {}, device="cpu", dtype="float32", namesake=SOFTMAX) is None


def test_a_false_claim_to_be_another_method_is_stopped() -> None:
    def hotter_softmax(q, k, v, *, causal=False, key_padding=None):
        return torch.softmax(q @ k.mT, dim=-1) @ v

    claim = Method(name="hotter", can=BIDIRECTIONAL, attention=hotter_softmax, same_as="softmax")
    broken = gate(claim, {}, device="cpu", dtype="float32", namesake=SOFTMAX)
    assert broken is not None
    assert broken.startswith("equals-namesake: ")


@pytest.mark.parametrize(("dtype", "stopped"), [("bfloat16", True), ("float32", False)])
def test_low_precision_is_checked_where_the_trial_uses_it(dtype: str, stopped: bool) -> None:
    def wrong_when_narrow(q, k, v, *, causal=False, key_padding=None):
        mean = v.mean(dim=2, keepdim=True).expand(-1, -1, q.shape[2], -1)
        return -mean if q.dtype == torch.bfloat16 else mean

    method = Method(name="wrong-when-narrow", can=BIDIRECTIONAL, attention=wrong_when_narrow)
    assert (gate(method, {}, device="cpu", dtype=dtype) is not None) == stopped


def _limited(error: Exception, from_tokens: int) -> Method:
    """Softmax that raises an error from a number of tokens on."""

    def limited(q, k, v, *, causal=False, key_padding=None):
        if q.shape[2] >= from_tokens:
            raise error
        return softmax_attention(q, k, v, causal=causal, key_padding=key_padding)

    can = Capabilities(causal=True, bidirectional=True, key_padding=True)
    return Method(name="limited", can=can, attention=limited)


@pytest.mark.parametrize("error", [UnsupportedError("300 at most"), ValueError("300 at most")])
def test_a_method_that_refuses_the_lengths_that_come_is_refused_and_not_failed(error) -> None:
    with pytest.raises(type(error), match="300 at most"):
        gate(_limited(error, 301), {}, device="cpu", dtype="float32", longest=400)


@pytest.mark.parametrize("longest", [None, 200])
def test_a_limit_beyond_the_lengths_that_come_stops_nothing(longest) -> None:
    method = _limited(UnsupportedError("300 at most"), 301)
    assert gate(method, {}, device="cpu", dtype="float32", longest=longest) is None


def test_memory_that_runs_out_at_the_longest_length_is_no_broken_law() -> None:
    method = _limited(RuntimeError("DefaultCPUAllocator: can't allocate memory"), 641)
    with pytest.raises(MemoryError, match="One sequence of 700 tokens"):
        gate(method, {}, device="cpu", dtype="float32", longest=700)


def test_a_method_that_fails_at_the_longest_length_breaks_a_law() -> None:
    method = _limited(RuntimeError("boom"), 641)
    broken = gate(method, {}, device="cpu", dtype="float32", longest=700)
    assert broken == "future-not-seen-at-length: it raised RuntimeError: boom"


def test_the_gate_leaves_the_trial_s_random_numbers_as_they_were() -> None:
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        gate(PERFORMER, {}, device="cpu", dtype="float32")
        assert torch.equal(torch.get_rng_state(), before)
