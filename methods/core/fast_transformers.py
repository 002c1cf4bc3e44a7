"""The linear attention of the package pytorch-fast-transformers, whatever its feature map."""

from typing import Any

import torch

from methods.api import KeyPadding, Keys, Outputs, Queries, Values

INSTALL = "pip install setuptools && pip install --no-build-isolation pytorch-fast-transformers"
"""It compiles for some minutes, without CUDA only where no nvcc is on the PATH, and its set-up
needs torch: hence without isolation."""


class FastTransformersAttention(torch.nn.Module):
    """`LinearAttention` and `CausalLinearAttention`, as they are, on one feature map.

    Built where the package may be imported. Time comes before heads there.
    """

    def __init__(self, feature_map: torch.nn.Module, head_dim: int) -> None:
        super().__init__()
        from fast_transformers.attention.causal_linear_attention import CausalLinearAttention
        from fast_transformers.attention.linear_attention import LinearAttention
        from fast_transformers.masking import FullMask, LengthMask, TriangularCausalMask

        self._full, self._lengths, self._triangular = FullMask, LengthMask, TriangularCausalMask
        self.feature_map = feature_map
        self.everywhere = LinearAttention(head_dim, feature_map=self._same)
        self.so_far = CausalLinearAttention(head_dim, feature_map=self._same)

    def _same(self, query_dimensions: int) -> torch.nn.Module:
        """Both directions share one map."""
        del query_dimensions
        return self.feature_map

    def forward(
        self, q: Queries, k: Keys, v: Values, causal: bool, key_padding: KeyPadding | None
    ) -> Outputs:
        """Attention, causal or not; padding becomes the package's mask of keys."""
        times = q.shape[2], k.shape[2]
        queries = self._lengths(torch.full((q.shape[0],), times[0], device=q.device))
        keys = self._key_mask(k, key_padding)
        mask = (
            self._triangular(times[0], device=q.device)
            if causal
            else self._full(*times, device=q.device)
        )
        inputs = (x.transpose(1, 2) for x in (q, k, v))
        attention = self.so_far if causal else self.everywhere
        return attention(*inputs, mask, queries, keys).transpose(1, 2)

    def _key_mask(self, k: Keys, key_padding: KeyPadding | None) -> Any:
        if key_padding is not None:
            return self._full(~key_padding)
        return self._lengths(torch.full((k.shape[0],), k.shape[2], device=k.device))
