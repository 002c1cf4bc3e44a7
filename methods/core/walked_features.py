"""A feature map whose features are computed stretch by stretch, and never all in memory."""

from abc import abstractmethod
from typing import Any

from methods.api import FeatureMap, Keys, Values
from methods.core.linear_attention import FoldedOutputs, FoldedQueries, State


class WalkedFeatures(FeatureMap):
    """It says itself how the core walks over a sequence with its features.

    `queries` and `keys` give the same features all at once, to whoever asks for them.
    """

    @abstractmethod
    def attend(
        self, q: FoldedQueries, k: Keys, v: Values, **how: Any
    ) -> tuple[FoldedOutputs, State]:
        """What `linear_attention` gives, with its options `causal`, `key_padding` and `state`."""
