"""What a namesake is compared in, and where its outputs count."""

import dataclasses

import pytest
import torch

from methods import softmax
from methods.api import Capabilities, Method
from methods.core.testing import check_method


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_a_method_without_float32_is_checked_in_what_it_has(dtype):
    seen = set()

    def peeks(q, k, v, *, causal=False, key_padding=None):
        """Softmax that looks one key ahead where it should not."""
        seen.add(q.dtype)
        ahead = torch.cat([k[:, :, 1:], k[:, :, -1:]], 2)
        return softmax.softmax_attention(q, ahead if causal else k, v, causal=causal)

    can = Capabilities(causal=True, bidirectional=True, dtypes=(dtype,))
    method = Method(name="peeks", attention=peeks, can=can, same_as="softmax")
    results = check_method(method, namesake=softmax.METHOD)
    broken = {r.law for r in results if not r.passed}
    # Whether one key makes a difference among many is a matter of the length that is drawn.
    assert broken - {"future-not-seen-at-length"} == {"future-not-seen", "equals-namesake"}
    assert seen == {getattr(torch, dtype)}


def test_zeros_for_queries_at_padded_places_are_no_softmax_unless_causal():
    """Of cross attention such a query may be a real one."""

    def packs_queries_too(q, k, v, *, causal=False, key_padding=None):
        o = softmax.softmax_attention(q, k, v, causal=causal, key_padding=key_padding)
        return o if key_padding is None else o.masked_fill(key_padding[:, None, :, None], 0.0)

    for causal, passed in ((True, True), (False, False)):
        can = dataclasses.replace(softmax.METHOD.can, causal=causal, bidirectional=not causal)
        method = Method(name="packs", attention=packs_queries_too, can=can, same_as="softmax")
        (result,) = check_method(method, namesake=softmax.METHOD, laws=["equals-namesake"])
        assert result.passed == passed
