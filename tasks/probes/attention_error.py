"""How far a method's outputs are from exact attention, of its own kernel and of softmax.

One thing varies at a time: number of features, length, scale, anisotropy, direction, precision; of
each list of settings the middle value is held meanwhile. Outputs are averages of values, so that
their error is finite also past the poles, where the variance of the kernel's estimate is not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

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
from tasks.probes.settings import numbers, words

DTYPES = ("float64", "float32", "bfloat16", "float16")
SPECTRA = ("flat", "power-law", "spiked")
LONGEST = 2**24
"""Heads times length squared at most: exact weights, in float64, in a few copies."""

DEFAULTS: dict[str, Scalar] = {
    "num_features": "16,64,256,1024,4096",
    "lengths": "64,256,1024",
    "lambda_max": "0.01,0.05,0.15,0.25,0.6",
    "conditions": "10,100,1000,10000,100000",
    "spectra": "flat,power-law,spiked",
    "dtypes": "float32,bfloat16",
    "head_dim": 32,
    "heads": 4,
    "draws": 4,
}
"""lambda_max: largest eigenvalues of the covariance of queries and keys scaled by d^(-1/4), with
the poles at 1/6 and 1/2. conditions: the largest eigenvalue over the smallest; a flat spectrum has
1. heads: independent samples, as draws are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where errors are measured."""

    num_features: int | None
    """None: the method has no such number to vary."""
    length: int
    lambda_max: float
    spectrum: str
    condition: float
    dtype: str
    causal: bool


def check(settings: Mapping[str, Scalar]) -> None:
    """Raises ValueError for settings that make no sense."""
    lengths = whole_numbers(settings, "lengths", least=2)
    whole_numbers(settings, "num_features")
    numbers(settings, "lambda_max", least=1e-9)
    numbers(settings, "conditions", least=1)
    words(settings, "spectra", SPECTRA)
    words(settings, "dtypes", DTYPES)
    for name in ("head_dim", "heads", "draws"):
        if len(whole_numbers(settings, name)) > 1:
            raise ValueError(f"{name} takes one number, not {settings[name]!r}.")
    if int(settings["heads"]) * max(lengths) ** 2 > LONGEST:
        raise ValueError(
            f"{settings['heads']} heads over {max(lengths)} tokens need too much memory: heads"
            f" times length squared may be {LONGEST} at most."
        )


def places(
    settings: Mapping[str, Scalar],
    *,
    varies: bool,
    directions: tuple[bool, ...],
    dtypes: tuple[str, ...],
) -> list[Place]:
    """Each once, in the order measured. `varies`: whether there is a number of features to set."""
    counts = whole_numbers(settings, "num_features") if varies else (None,)
    spectra = words(settings, "spectra", SPECTRA)
    conditions = numbers(settings, "conditions", least=1)
    axes: dict[str, tuple[Scalar | None, ...]] = {
        "num_features": counts,
        "length": whole_numbers(settings, "lengths"),
        "lambda_max": numbers(settings, "lambda_max", least=1e-9),
        "causal": directions,
    }
    middle = {name: values[len(values) // 2] for name, values in axes.items()}
    # The direction that all methods have, where this one has it.
    middle["causal"] = directions[0]
    curved = [name for name in spectra if name != "flat"]
    spectrum = curved[len(curved) // 2 - (len(curved) > 1)] if curved else "flat"
    middle |= {
        "spectrum": spectrum,
        "condition": conditions[len(conditions) // 2] if curved else 1.0,
    }
    found: dict[Place, None] = {}
    for dtype in (d for d in words(settings, "dtypes", DTYPES) if d in dtypes):
        base = Place(dtype=dtype, **middle)  # type: ignore[arg-type]
        found[base] = None
        for name, values in axes.items():
            found |= dict.fromkeys(replace(base, **{name: value}) for value in values)
        for name in spectra:
            ratios = (1.0,) if name == "flat" else conditions
            found |= dict.fromkeys(replace(base, spectrum=name, condition=c) for c in ratios)
    return list(found)


def run(subject: ProbeSubject, request: ProbeRequest, report: Report) -> Iterator[ProbePoint]:
    """The points of one place after another."""
    # torch is not needed to plan and to list.
    from tasks.probes.output_errors import measure_place

    chosen = places(
        request.settings,
        varies="num_features" in subject.options,
        directions=subject.directions,
        dtypes=subject.dtypes,
    )
    for number, place in enumerate(chosen):
        report(
            f"{place.length} tokens, {place.num_features or 'its'} features", number, len(chosen)
        )
        yield from measure_place(subject, request, place)


TASK = ProbeTask(
    name="probes/attention-error",
    version=1,
    title="Error of outputs against exact attention, of the method's own kernel and of softmax",
    needs="attention",
    run=run,
    check=check,
    presets=(
        ProbePreset(
            name="quick",
            note="Up to 1 024 features and tokens, 4 draws of 4 heads: half a minute a method.",
            settings=DEFAULTS | {"num_features": "16,64,256,1024"},
            max_time=1024,
        ),
        ProbePreset(
            name="small",
            note="Up to 4 096 features and 2 048 tokens, 16 draws of 4 heads: minutes a method.",
            settings=DEFAULTS
            | {
                "num_features": "4,16,64,256,1024,2048,4096",
                "lengths": "64,256,512,1024,2048",
                "lambda_max": "0.01,0.03,0.08,0.15,0.18,0.3,0.45,0.6",
                "head_dim": 64,
                "draws": 16,
            },
            max_time=2048,
        ),
    ),
    paper="arXiv:2009.14794",
)
