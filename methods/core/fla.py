"""Kernels of the package flash-linear-attention, called in our layout."""

from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor

from methods.core.capabilities import import_package

INSTALL = "pip install flash-linear-attention"
PACKAGES = ("fla", "triton")
"""The package itself installs without triton, and then has no kernels."""


class FlaKernel:
    """`fla.ops.NAME` as of fla-core 0.6.0: one kernel by chunks, and one that goes token by token,
    which decoding takes. Both read `[b, t, h, d]` and keep their state in float32.

    `by_chunks` are options of the first alone. Raises MissingDependencyError where the package
    cannot be imported.
    """

    def __init__(self, method: str, name: str, **by_chunks: Any) -> None:
        module = import_package(method, f"fla.ops.{name}", INSTALL)
        self._by_chunks = partial(getattr(module, f"chunk_{name}"), **by_chunks)
        self._by_tokens = getattr(module, f"fused_recurrent_{name}")

    def __call__(
        self, *inputs: Float[Tensor, "b h t *_"], state: Float[Tensor, "b h d v"] | None
    ) -> tuple[Float[Tensor, "b h t v"], Float[Tensor, "b h d v"]]:
        """Queries, keys, values, and gates where the recurrence has them; queries not scaled."""
        kernel = self._by_tokens if inputs[0].shape[2] == 1 else self._by_chunks
        o, state = kernel(
            *(x.transpose(1, 2).contiguous() for x in inputs),
            scale=1.0,
            initial_state=state,
            output_final_state=True,
        )
        return o.transpose(1, 2), state
