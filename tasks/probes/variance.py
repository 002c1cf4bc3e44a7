"""How the variance of kernel estimates grows with anisotropy and falls with features.

Two halves, in the same coordinates. The method's own feature map, on pairs that are drawn once.
And six estimators of theory (isotropic independent and orthogonal, the optimal proposal, one
estimated from samples, trigonometric with and without their optimal proposal) and DARKFormer's own
kernel at whitening, each beside its closed form; docs/variance.md derives them.

Points, at estimator, spectrum, condition, lambda_max and head_dim:
`second-moment` of one feature; `pair-moment` of two orthogonal ones; `relative-variance` at
num_features, and its `slope` on logarithms; `excess` of an estimated proposal's second moment over
the optimum at proposal_samples and shrinkage, and the `infinite-share` of such proposals;
`tail-index`, `mean-log-error`, `variance-log-error` and, where the second moment is infinite,
`typical-second-moment`, which grows with the number of samples and estimates nothing else.
"""

from collections.abc import Iterator, Mapping

import torch

from tasks.api import Scalar
from tasks.probe import (
    ProbePoint,
    ProbePreset,
    ProbeRequest,
    ProbeSubject,
    ProbeTask,
    Report,
    whole_numbers,
)
from tasks.probes.map_points import Protocol, draw_pairs, map_points, reference_points
from tasks.probes.proposal_points import estimated_points, sample_moments, whitened_points
from tasks.probes.settings import numbers
from tasks.probes.spectra import SPECTRA
from tasks.probes.theory_points import (
    ESTIMATORS,
    ISOTROPIC,
    OPTIMAL,
    Case,
    case,
    curve_points,
    pair_moment_point,
    second_moment_point,
    tail_points,
)

MOST_FEATURES = 2**15
"""Of a curve: rows of a features-by-features matrix are computed a thousand at a time."""
COUNTS = ("head_dims", "whitened_head_dims", "num_features", "proposal_samples")
SINGLE = {
    "head_dim": 2,
    "num_samples": 32,
    "num_draws": 8,
    "tail_samples": 32_000,
    "proposal_draws": 5,
    "num_pairs": 1,
    "method_draws": 8,
}


def check(settings: Mapping[str, Scalar]) -> None:
    """Raises ValueError for settings that make no sense."""
    for name in COUNTS:
        whole_numbers(settings, name, least=2 if name == "head_dims" else 1)
    for name, least in SINGLE.items():
        if settings[name] < least:  # type: ignore[operator]
            raise ValueError(f"{name} must be {least} or more, got {settings[name]}.")
    if max(whole_numbers(settings, "num_features")) > MOST_FEATURES:
        raise ValueError(f"num_features must be {MOST_FEATURES} or less.")
    numbers(settings, "conditions", least=1.0)
    for name in ("lambda_max", "curve_lambda_max", "method_lambda_max"):
        if not min(numbers(settings, name)) > 0:
            raise ValueError(f"{name} must be above 0: it is the largest eigenvalue.")
    if max(numbers(settings, "shrinkages")) > 1:
        raise ValueError("shrinkages must lie between 0 and 1.")


def run(subject: ProbeSubject, request: ProbeRequest, report: Report) -> Iterator[ProbePoint]:
    """The method first, then theory from the poles' far side to the near one."""
    settings = request.settings
    generator = torch.Generator().manual_seed(request.seed)
    parts = {
        subject.name: _method(subject, request, generator),
        "second moments": _second_moments(settings, generator),
        "number of features": _curves(settings, generator),
        "estimated proposals": _proposals(settings, generator),
        "heavy tails": _tails(settings, generator),
    }
    for number, (title, points) in enumerate(parts.items()):
        report(title, number, len(parts))
        yield from points


def _method(
    subject: ProbeSubject, request: ProbeRequest, generator: torch.Generator
) -> Iterator[ProbePoint]:
    settings = request.settings
    protocol = Protocol(
        whole_numbers(settings, "num_features"),
        int(settings["method_draws"]),
        request.seed,
        request.device,
    )
    dims = (int(settings["head_dim"]),)
    for found in _cases(settings, "method_lambda_max", dims):
        pairs = draw_pairs(found, int(settings["num_pairs"]), generator)
        yield from map_points(subject, found, pairs, protocol)
        yield from reference_points(found, pairs, protocol.num_features)


def _second_moments(
    settings: Mapping[str, Scalar], generator: torch.Generator
) -> Iterator[ProbePoint]:
    samples, dims = int(settings["num_samples"]), whole_numbers(settings, "head_dims")
    for found in _cases(settings, "lambda_max", dims):
        for estimator in ESTIMATORS:
            if not estimator.orthogonal:
                yield second_moment_point(estimator, found, samples, generator)
        yield pair_moment_point(found, samples, generator)
    for dim in whole_numbers(settings, "whitened_head_dims"):
        yield from whitened_points(dim, samples, generator)


def _curves(settings: Mapping[str, Scalar], generator: torch.Generator) -> Iterator[ProbePoint]:
    sizes, least = whole_numbers(settings, "num_features"), int(settings["num_draws"])

    def num_draws(num_features: int) -> int:
        """About as many directions at every number of features, while that is not too many."""
        return max(least, min(1024, least * (max(sizes) // num_features)))

    for found in _cases(settings, "curve_lambda_max", (int(settings["head_dim"]),)):
        for estimator in ESTIMATORS:
            yield from curve_points(estimator, found, sizes, num_draws, generator)


def _proposals(settings: Mapping[str, Scalar], generator: torch.Generator) -> Iterator[ProbePoint]:
    dim, samples = int(settings["head_dim"]), int(settings["num_samples"])
    moments = sample_moments(
        whole_numbers(settings, "proposal_samples"),
        int(settings["proposal_draws"]),
        dim,
        generator,
    )
    for found in _cases(settings, "curve_lambda_max", (dim,)):
        for shrinkage in numbers(settings, "shrinkages"):
            yield from estimated_points(found, moments, shrinkage, samples, generator)


def _tails(settings: Mapping[str, Scalar], generator: torch.Generator) -> Iterator[ProbePoint]:
    dims, samples = (int(settings["head_dim"]),), int(settings["tail_samples"])
    first = {**settings, "conditions": numbers(settings, "conditions")[0]}
    for found in _cases(first, "lambda_max", dims):
        for estimator in (ISOTROPIC, OPTIMAL):
            yield from tail_points(estimator, found, samples, generator)


def _cases(settings: Mapping[str, Scalar], scales: str, dims: tuple[int, ...]) -> Iterator[Case]:
    """Every spectrum at every condition and scale; the many of `lambda_max` at all conditions, the
    few of the others at the first."""
    conditions = numbers(settings, "conditions")
    for dim in dims:
        for name in SPECTRA:
            kept = conditions if scales == "lambda_max" else conditions[:1]
            for condition in (1.0,) if name == "flat" else kept:
                for largest in numbers(settings, scales):
                    yield case(name, dim, largest, condition)


def _preset(name: str, note: str, **changed: Scalar) -> ProbePreset:
    settings: dict[str, Scalar] = {
        "head_dim": 16,
        "head_dims": "8,32",
        "whitened_head_dims": "32,64,128",
        "conditions": "100,100000",
        "lambda_max": "0.05,0.1,0.16,0.2,0.3,0.45,0.6",
        "num_samples": 10_000,
        "num_features": "4,16,64,256",
        "curve_lambda_max": "0.05,0.2",
        "num_draws": 128,
        "tail_samples": 32_000,
        "proposal_samples": "64,512,4096,65536",
        "shrinkages": "0,0.1",
        "proposal_draws": 63,
        "method_lambda_max": "0.02,0.05",
        "num_pairs": 64,
        "method_draws": 64,
    }
    return ProbePreset(name=name, note=note, settings=settings | changed)


TASK = ProbeTask(
    name="probes/variance",
    version=1,
    title="Variance of kernel estimates against features, dimension and anisotropy",
    presets=(
        _preset("quick", "Under a minute a method on two cores."),
        _preset(
            "small",
            "To 4096 features and 64 dimensions, condition 1 to 100 000; minutes a method.",
            head_dims="8,16,64",
            conditions="100,10,1000,100000",
            lambda_max="0.02,0.05,0.1,0.16,0.165,0.17,0.2,0.3,0.45,0.49,0.6",
            num_features="4,16,64,256,1024,4096",
            num_draws=32,
            tail_samples=200_000,
            proposal_samples="64,256,1024,4096,16384,65536",
            shrinkages="0,0.03,0.1,0.3",
            proposal_draws=127,
            num_pairs=128,
            method_draws=128,
        ),
    ),
    needs="features",
    run=run,
    check=check,
    paper="arXiv:2603.04127",
)
