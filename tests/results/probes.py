"""Synthetic records of probes, for tests: closed forms of theory, scattered by made-up noise."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from results.probe import ProbePointRecord, ProbeResult
from results.record import Record, Scalar
from tests.results.records import fake_identity, fake_machine, fake_provenance

ISOTROPIC, OPTIMAL = "isotropic", "optimal proposal"
DIM = 8


def fake_point(quantity: str, value: float | None = None, **rest: object) -> ProbePointRecord:
    """Coordinates and fields together: what is no field is a coordinate."""
    fields = {name: rest.pop(name) for name in [*rest] if name in ProbePointRecord.model_fields}
    return ProbePointRecord(quantity=quantity, value=value, where=rest, **fields)  # type: ignore[arg-type]


def measured(
    quantity: str, truth: float, *, off: float = 0.0, error: float = 0.02, **rest: object
) -> ProbePointRecord:
    """A value `off` standard errors away from the truth, `error` a relative standard error."""
    side = 1.959964 * error * truth
    value = truth * (1 + off * error)
    span = {"low": value - side, "high": value + side}
    given = {"predicted": truth, "samples": 4096, "how": "mean", **span, **rest}
    return fake_point(quantity, value, **given)


def second_moments(
    largest: Iterable[float] = (0.02, 0.05, 0.1, 0.14, 0.2, 0.3, 0.42, 0.6), seed: int = 0
) -> list[ProbePointRecord]:
    """Of isotropic positive features and of the optimal proposal, flat and spiked."""
    luck = np.random.default_rng(seed)
    points = []
    for kind in ("flat", "spiked"):
        for at in largest:
            spectrum = [at] * DIM if kind == "flat" else [at, *([at / 100] * (DIM - 1))]
            isotropic = [(1 - 6 * x) * (1 + 2 * x) for x in spectrum]
            optimal = [1 - 2 * x for x in spectrum]
            for name, factors, power in ((ISOTROPIC, isotropic, -0.5), (OPTIMAL, optimal, -1)):
                where = {"estimator": name, "spectrum": kind, "lambda_max": at, "head_dim": DIM}
                if min(factors) <= 0:
                    bound = "1/6" if power == -0.5 else "1/2"
                    reason = f"infinite: lambda_max {at:.3g} >= {bound}"
                    points.append(fake_point("second-moment", reason=reason, **where))
                else:
                    truth = math.prod(factors) ** power
                    off = float(luck.normal())
                    points.append(measured("second-moment", truth, off=off, **where))
    return points


def variances(counts: Sequence[int] = (4, 16, 64, 256, 1024, 4096)) -> list[ProbePointRecord]:
    """Relative variance, falling as one over the number of features."""
    return [
        measured("relative-variance", of_one / m, off=(-1) ** i, estimator=name, num_features=m)
        for name, of_one in ((ISOTROPIC, 30.0), (OPTIMAL, 4.0))
        for i, m in enumerate(counts)
    ]


def features_needed(
    layers: int = 6, heads: int = 4, *, factor: float = 1.0, most: int = 4096
) -> list[ProbePointRecord]:
    """More of them in deeper layers, until there are too many to count."""
    points = []
    for layer in range(layers):
        for head in range(heads):
            needed = factor * 64 * 2.0 ** (1.5 * layer + 0.5 * head)
            where = {"model": "fake-lm", "layer": layer, "head": head, "against": "softmax"}
            found = {"value": needed} if needed <= most else {"reason": f"more than {most}"}
            points.append(fake_point("features-needed", **found, **where))  # type: ignore[arg-type]
    return points


def fake_probe_record(
    points: Sequence[ProbePointRecord],
    method: str = "fake-features",
    task: str = "probes/variance",
    *,
    options: dict[str, Scalar] | None = None,
    card: dict[str, str] | None = None,
    gate: str = "",
    **identity: object,
) -> Record:
    """A completed trial with these points."""
    return Record(
        identity=fake_identity(method, task, options=options, **identity),  # type: ignore[arg-type]
        status="completed",
        probe=ProbeResult(points=[*points], card=card or {}, gate=gate),
        machine=fake_machine(),
        provenance=fake_provenance(),
    )


def bias_points(z: float, *, error: float = 0.01) -> list[ProbePointRecord]:
    """Two pairs, the first of them `z` standard errors away from no bias."""
    points = []
    for pair, off in (("q zero, k diagonal", z), ("q random, k zero", 0.0)):
        where = {"pair": pair, "head_dim": 8}
        ends = {"low": (off - 2) * error, "high": (off + 2) * error, "predicted": 0.0}
        points += [
            fake_point("relative-bias", off * error, samples=256, **ends, **where),
            fake_point("z", off, samples=256, **where),
            fake_point("detectable-bias", 5.0 * error, samples=256, **where),
        ]
    return [*points, fake_point("threshold", 4.1, samples=256)]
