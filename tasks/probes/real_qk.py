"""How many features real queries and keys need, head by head, and how far from round they are."""

from collections.abc import Iterator, Mapping

from tasks.api import LoadRequest, Scalar
from tasks.data.language import STATE_OF_THE_UNION, why_text_is_missing
from tasks.data.tokenizers import NEEDS, why_model_is_missing
from tasks.probe import (
    ProbePoint,
    ProbePreset,
    ProbeRequest,
    ProbeSource,
    ProbeSubject,
    ProbeTask,
    Report,
    whole_numbers,
)
from tasks.probes.settings import numbers

DEFAULTS: dict[str, Scalar] = {
    "models": "glassllm",
    "text": STATE_OF_THE_UNION,
    "calibration_blocks": 8,
    "test_blocks": 4,
    "length": 128,
    "least_features": 16,
    "most_features": 1024,
    "draws": 4,
    "targets": "0.1,0.5",
}
"""models: names with commas. text: this one, or a file. length: tokens in a block, or as many as a
model takes, if fewer. Features are searched by doublings from the least to the most. targets:
relative errors of the output."""


def model_names(settings: Mapping[str, Scalar]) -> tuple[str, ...]:
    """Of the setting `models`."""
    return tuple(name.strip() for name in str(settings["models"]).split(","))


def feature_counts(settings: Mapping[str, Scalar]) -> tuple[int, ...]:
    """Doublings from the least number to the most."""
    least, most = int(settings["least_features"]), int(settings["most_features"])
    return tuple(least * 2**i for i in range((most // least).bit_length()))


def targets(settings: Mapping[str, Scalar]) -> tuple[float, ...]:
    """Ascending. Raises ValueError for what is no relative error."""
    found = sorted(set(numbers(settings, "targets", least=0)))
    if not 0 < found[0] <= found[-1] < 1:
        raise ValueError(f"targets must lie between 0 and 1, and they are {settings['targets']!r}.")
    return tuple(found)


def check(settings: Mapping[str, Scalar]) -> None:
    """Raises ValueError for settings that make no sense."""
    for name in ("calibration_blocks", "test_blocks", "length", "least_features", "draws"):
        if len(whole_numbers(settings, name, least=2 if name == "length" else 1)) > 1:
            raise ValueError(f"{name} takes one number, not {settings[name]!r}.")
    if int(settings["most_features"]) < int(settings["least_features"]):
        raise ValueError(
            f"most_features is {settings['most_features']}, fewer than least_features,"
            f" {settings['least_features']}."
        )
    targets(settings)
    if not all(model_names(settings)):
        raise ValueError(f"models takes names with commas between them: {settings['models']!r}.")


def run(subject: ProbeSubject, request: ProbeRequest, report: Report) -> Iterator[ProbePoint]:
    """Points of one model after another, each layer as it is measured."""
    # torch is not needed to plan and to list.
    from tasks.probes.real_heads import measure_model

    names = (str(request.path),) if request.path else model_names(request.settings)
    for name in names:
        yield from measure_model(subject, request, report, name)


def _why_packaged_is_missing(request: LoadRequest) -> str | None:
    names = model_names(request.data)
    others = [name for name in names if name not in NEEDS]
    if others:
        return (
            f"the source 'packaged' has the models {', '.join(NEEDS)}; for {others[0]!r} take"
            " `--source hub`."
        )
    return _why_missing(request, names)


def _why_hub_is_missing(request: LoadRequest) -> str | None:
    return _why_missing(request, model_names(request.data))


def _why_release_is_missing(request: LoadRequest) -> str | None:
    if request.path is None or not (request.path / "config.json").is_file():
        return f"{request.path} is no folder of a model of transformers: it has no config.json."
    return _why_missing(request, (str(request.path),))


def _why_missing(request: LoadRequest, names: tuple[str, ...]) -> str | None:
    reasons = [*map(why_model_is_missing, names), why_text_is_missing(str(request.data["text"]))]
    return next((reason for reason in reasons if reason), None)


TASK = ProbeTask(
    name="probes/real-qk",
    version=1,
    title="Real queries and keys: their anisotropy, and the features that they need",
    needs="attention",
    run=run,
    check=check,
    presets=(
        ProbePreset(
            name="quick",
            note="GlassLM, 4 layers of 4 heads, up to 1 024 features: a smoke test of a minute.",
            source="packaged",
            settings=DEFAULTS,
            max_time=128,
        ),
        ProbePreset(
            name="small",
            note="GlassLM and SmolLM2-135M, 286 heads, up to 2 048 features: some minutes.",
            source="packaged",
            settings=DEFAULTS
            | {"models": "glassllm,smollm2", "length": 256, "most_features": 2048},
            max_time=256,
        ),
    ),
    sources=(
        ProbeSource(
            name="packaged",
            title="GlassLM and SmolLM2-135M (four-bit weights), from installed packages",
            missing=_why_packaged_is_missing,
        ),
        ProbeSource(
            name="hub",
            title="causal models of transformers, by name or path",
            missing=_why_hub_is_missing,
        ),
        ProbeSource(
            name="release",
            title="a causal model in a folder, as transformers saves it",
            missing=_why_release_is_missing,
        ),
    ),
    paper="arXiv:2603.04127",
)
