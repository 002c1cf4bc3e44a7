"""Runs a probe: builds what it asks to see of a method, and keeps the points that it finds."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.plan import RELEASE, Trial
from bench.runners.found import Found
from bench.runners.train import Progress, Report, precision
from methods.api import Discloses, FeatureMap, Features, Heads, Method, UnsupportedError
from methods.core.attention import (
    BuiltAttention,
    DirectAttention,
    KernelAttention,
    build_attention,
)
from methods.core.exact_laws import share_numbers
from results.probe import ProbePointRecord, ProbeResult
from tasks.probe import ProbePoint, ProbePreset, ProbeRequest, ProbeTask


def measure_probe(
    trial: Trial,
    method: Method,
    namesake: Method | None,
    task: ProbeTask,
    verdict: str,
    *,
    cache: Path | None,
    report: Report,
    found: Found,
) -> None:
    """Every point that the probe yields, put into `found` also where it fails half way.

    `verdict` is what the gate says against the method, which stops no probe.
    """
    identity = trial.identity
    subject = MethodSubject(
        method,
        identity.method_options,
        namesake=namesake,
        device=trial.device,
        dtype=identity.dtype,
    )
    request = _request(trial, cache)
    points: list[ProbePointRecord] = []
    try:
        for point in task.run(subject, request, _reporter(report)):
            points.append(_record(point))
    finally:
        card = subject.card | request.card
        found.probe = ProbeResult(points=points, card=card, gate=verdict)


class MethodSubject:
    """A method as a probe sees it (`tasks.probe.ProbeSubject`)."""

    def __init__(
        self,
        method: Method,
        options: Mapping[str, Any],
        *,
        namesake: Method | None = None,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        self._method, self._namesake = method, namesake
        self._device, self._dtype = device, dtype
        self._options = dict(options)

    @property
    def name(self) -> str:
        return self._method.name

    @property
    def options(self) -> Mapping[str, Any]:
        return self._options

    @property
    def is_feature_map(self) -> bool:
        return self._method.has_features

    @property
    def directions(self) -> tuple[bool, ...]:
        can = self._method.can.with_options(self._options)
        return (False,) * can.bidirectional + (True,) * can.causal

    @property
    def dtypes(self) -> tuple[str, ...]:
        return self._method.can.with_options(self._options).dtypes

    @property
    def card(self) -> dict[str, str]:
        """What a reader must know of the features: whose they are."""
        if self._method.feature_map is not None or not self.is_feature_map:
            return {}
        assert self._namesake is not None, "numbers are disclosed to a namesake"
        whose = f"{self._namesake.name}'s, with the numbers that {self.name} draws"
        return {"features": whose}

    def draw(
        self,
        seed: int,
        *,
        num_heads: int,
        head_dim: int,
        num_features: int | None = None,
        max_time: int = 256,
        dtype: str | None = None,
    ) -> "MethodInstance":
        """A fresh instance; UnsupportedError for sizes that do not fit the method's options."""
        heads = Heads(
            num_heads=num_heads, head_dim=head_dim, num_kv_heads=num_heads, max_time=max_time
        )
        options = self._options
        if num_features is not None:
            if "num_features" not in options:
                raise UnsupportedError(f"{self.name} has no option num_features to vary.")
            options = options | {"num_features": num_features}
        generator = torch.Generator().manual_seed(seed)
        try:
            built = build_attention(self._method, heads, generator, **options)
            features = self._features(built, heads, generator, options)
        except ValueError as error:
            raise UnsupportedError(str(error)) from error
        width = torch.float64 if (dtype or self._dtype) == "float64" else torch.float32
        for part in (built, features):
            if part is not None:
                part.to(self._device, width).eval()
        return MethodInstance(built, features)

    def _features(
        self,
        built: BuiltAttention,
        heads: Heads,
        generator: torch.Generator,
        options: Mapping[str, Any],
    ) -> FeatureMap | None:
        """Its own features, or those of its namesake with the numbers that it discloses."""
        if isinstance(built, KernelAttention):
            return built.feature_map
        if not (isinstance(built, DirectAttention) and isinstance(built.attention, Discloses)):
            return None
        named = self._namesake
        assert named is not None, "numbers are disclosed to a namesake"
        shared = {name: value for name, value in options.items() if name in named.options}
        same = build_attention(named, heads, generator, **shared)
        share_numbers(built, same)
        assert isinstance(same, KernelAttention)
        return same.feature_map


class MethodInstance:
    """A built method (`tasks.probe.ProbeInstance`)."""

    def __init__(self, built: BuiltAttention, features: FeatureMap | None) -> None:
        self._built, self._map = built, features

    @torch.no_grad()
    def features(self, q: Tensor, k: Tensor) -> tuple[Features, Features]:
        """Of the queries and of the keys."""
        feature_map = self._feature_map()
        return feature_map.queries(_wide(q)), feature_map.keys(_wide(k))

    @torch.no_grad()
    def log_kernel(self, q: Tensor, k: Tensor) -> Tensor:
        """Of every query with every key, exactly."""
        return self._feature_map().log_kernel(_wide(q), _wide(k))

    @torch.no_grad()
    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        causal: bool = False,
        key_padding: Tensor | None = None,
    ) -> Tensor:
        """The outputs; UnsupportedError for what the method does not declare."""
        with precision(q.device, str(q.dtype).removeprefix("torch.")):
            o: Tensor = self._built(q, k, v, causal=causal, key_padding=key_padding)
        return o.to(q.dtype)

    @torch.no_grad()
    def collapsed(self, q: Tensor, k: Tensor, *, causal: bool = False) -> float | None:
        """Share of rows whose normaliser underflowed; None for a method that has none."""
        rows = self._built.normaliser(q, k, causal=causal)
        return None if rows is None else float((rows == 0).double().mean())

    @torch.no_grad()
    def calibrate(self, q: Tensor, k: Tensor) -> None:
        """Let the method set itself from these, if it wants to."""
        self._built.calibrate(q, k)

    def _feature_map(self) -> FeatureMap:
        if self._map is None:
            raise UnsupportedError(f"{self._built.method.name} has no features to measure.")
        return self._map


def _request(trial: Trial, cache: Path | None) -> ProbeRequest:
    preset, identity = trial.preset, trial.identity
    assert isinstance(preset, ProbePreset), "a probe has presets of probes"
    is_release = identity.source.startswith(RELEASE)
    return ProbeRequest(
        settings=preset.settings,
        seed=identity.seed,
        dtype=identity.dtype,
        device=trial.device,
        source=identity.source.split(":")[0],
        path=Path(identity.source.removeprefix(RELEASE)) if is_release else None,
        cache=cache,
    )


def _reporter(report: Report) -> Callable[[str, int, int], None]:
    return lambda phase, step, steps: report(Progress(phase, step, steps))


def _record(point: ProbePoint) -> ProbePointRecord:
    return ProbePointRecord(
        quantity=point.quantity,
        where=dict(point.where),
        value=_number(point.value),
        low=_number(point.low),
        high=_number(point.high),
        predicted=_number(point.predicted),
        unit=point.unit,
        samples=point.samples,
        how=point.how,
        reason=point.reason,
    )


def _number(value: float | None) -> float | None:
    # The record is strict: a whole number is no float there.
    return None if value is None else float(value)


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
