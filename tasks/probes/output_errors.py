"""What `probes/attention-error` measures at one place: output errors and collapsed rows."""

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tasks.api import Scalar
from tasks.probe import ProbePoint, ProbeRequest, ProbeSubject
from tasks.probes.attention_error import Place
from tasks.probes.exact import exact_outputs, relative_error, softmax_log_kernel
from tasks.probes.features_needed import HOW_ERROR, typical
from tasks.probes.spectra import spectrum

SOFTMAX, OWN = "softmax", "own kernel"
Inputs = Float[Tensor, "one h t d"]


def measure_place(
    subject: ProbeSubject, request: ProbeRequest, place: Place
) -> Iterator[ProbePoint]:
    """Errors over draws of numbers and inputs, every head an independent sample.

    References are computed in float64 from the inputs as rounded to the place's precision. A
    method that calibrates itself does so on other inputs of the same distribution.
    """
    settings = request.settings
    head_dim, num_heads = int(settings["head_dim"]), int(settings["heads"])
    where = _where(place, head_dim)
    errors: dict[str, list[np.ndarray]] = {}
    collapsed: list[float] = []
    for draw in range(int(settings["draws"])):
        seed = request.seed * 1000 + draw
        inputs = _Inputs(place, num_heads, head_dim, seed, request.device)
        instance = subject.draw(
            seed,
            num_heads=num_heads,
            head_dim=head_dim,
            num_features=place.num_features,
            max_time=place.length,
        )
        instance.calibrate(inputs.draw(), inputs.draw())
        q, k, v = inputs.draw(), inputs.draw(), inputs.values()
        outputs = instance.attend(q, k, v, causal=place.causal)
        kernels = {SOFTMAX: softmax_log_kernel}
        if subject.is_feature_map:
            kernels[OWN] = instance.log_kernel
        for against, log_kernel in kernels.items():
            exact = exact_outputs(log_kernel, q, k, v, causal=place.causal)
            errors.setdefault(against, []).append(relative_error(outputs, exact).cpu().numpy())
        share = instance.collapsed(q, k, causal=place.causal)
        collapsed += [] if share is None else [share]
    for against, samples in errors.items():
        yield _error_point(where | {"against": against}, np.concatenate(samples))
    if collapsed:
        yield ProbePoint(
            quantity="collapsed-rows",
            where=where,
            value=float(np.mean(collapsed)),
            unit="fraction",
            samples=len(collapsed),
            how="mean over draws of the share of rows whose normaliser underflowed",
        )


class _Inputs:
    """Queries, keys and values of one draw, the same for every method and number of features."""

    def __init__(self, place: Place, num_heads: int, head_dim: int, seed: int, device: str) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        eigenvalues = spectrum(
            place.spectrum, head_dim, largest=place.lambda_max, condition=place.condition
        )
        # Methods divide by d^(1/4) themselves.
        self._scale = eigenvalues.sqrt() * head_dim**0.25
        self._shape = (1, num_heads, place.length, head_dim)
        self._device, self._dtype = device, getattr(torch, place.dtype)

    def draw(self) -> Inputs:
        """Gaussian, of the place's covariance."""
        return self._cast(self._normal() * self._scale)

    def values(self) -> Inputs:
        """Standard Gaussian."""
        return self._cast(self._normal())

    def _normal(self) -> Inputs:
        return torch.randn(self._shape, generator=self._generator, dtype=torch.float64)

    def _cast(self, x: Tensor) -> Inputs:
        return x.to(self._device, self._dtype)


def _where(place: Place, head_dim: int) -> dict[str, Scalar]:
    found = asdict(place) | {"head_dim": head_dim}
    return {name: value for name, value in found.items() if value is not None}


def _error_point(where: dict[str, Scalar], errors: np.ndarray) -> ProbePoint:
    found = typical(errors)
    return ProbePoint(
        quantity="output-error",
        where=where,
        value=found.value,
        low=found.low,
        high=found.high,
        samples=len(errors),
        how=f"relative, root of summed squares; {HOW_ERROR}",
        reason=found.reason,
    )
