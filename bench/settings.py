"""Applies `--set key=value` to a preset: one flat namespace over model, training and data, over the
sweep of a cost task, over the settings of a probe, or over all that a language task says."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from bench.errors import UsageError, nearest
from bench.selector import Scalar, coerce
from tasks.api import ModelShape, Preset, Training
from tasks.language import DecoderShape, LanguagePreset, Regime, Text
from tasks.probe import ProbePreset
from tasks.sweep import CostPreset, Sweep

AnyPreset = Preset | CostPreset | ProbePreset | LanguagePreset
Part = TypeVar("Part", ModelShape, Training, Text, Regime, DecoderShape)


def known_settings(preset: AnyPreset) -> dict[str, Any]:
    """Every name that can be set, with its type."""
    if isinstance(preset, CostPreset):
        return typing.get_type_hints(Sweep)
    if isinstance(preset, ProbePreset):
        return {key: type(value) for key, value in preset.settings.items()}
    if isinstance(preset, LanguagePreset):
        parts = [Text, Training, Regime] + [DecoderShape] * (preset.decoder is not None)
        return {name: kind for part in parts for name, kind in typing.get_type_hints(part).items()}
    types = typing.get_type_hints(ModelShape) | typing.get_type_hints(Training)
    return types | {key: type(value) for key, value in preset.data.items()}


def apply_settings(
    preset: AnyPreset, given: Mapping[str, str]
) -> tuple[AnyPreset, dict[str, Scalar]]:
    """The preset with the settings that it knows, and those settings typed.

    Unknown names are left out: another task of the same run may know them. A sweep that makes no
    sense raises UsageError.
    """
    known = known_settings(preset)
    applied: dict[str, Any] = {
        key: coerce(text, known[key], key=key, owner=f"preset {preset.name!r}")
        for key, text in given.items()
        if key in known
    }
    if isinstance(preset, CostPreset):
        return dataclasses.replace(preset, sweep=_swept(preset, applied)), applied
    if isinstance(preset, ProbePreset):
        return dataclasses.replace(preset, settings={**preset.settings} | applied), applied
    if isinstance(preset, LanguagePreset):
        return _language(preset, applied), applied
    return (
        dataclasses.replace(
            preset,
            model=_replaced(preset.model, applied),
            training=_replaced(preset.training, applied),
            data={**preset.data} | {k: v for k, v in applied.items() if k in preset.data},
        ),
        applied,
    )


def _language(preset: LanguagePreset, applied: Mapping[str, Any]) -> LanguagePreset:
    return dataclasses.replace(
        preset,
        text=_replaced(preset.text, applied),
        training=_replaced(preset.training, applied),
        regime=_replaced(preset.regime, applied),
        decoder=preset.decoder and _replaced(preset.decoder, applied),
    )


def _swept(preset: CostPreset, applied: Mapping[str, Any]) -> Sweep:
    try:
        return dataclasses.replace(preset.sweep, **applied)
    except ValueError as error:
        raise UsageError(f"preset {preset.name!r}: {error}") from error


def check_settings(given: Mapping[str, str], presets: list[AnyPreset]) -> None:
    """Raise for a name that no chosen task knows."""
    known = {name for preset in presets for name in known_settings(preset)}
    for key in given:
        if key not in known:
            raise UsageError(
                f"No chosen task has a setting {key!r}.{nearest(key, known)}"
                f" Known: {', '.join(sorted(known))}."
            )


def resolved_settings(preset: AnyPreset) -> dict[str, Scalar]:
    """The whole protocol as flat values, for the record."""
    if isinstance(preset, CostPreset):
        return dataclasses.asdict(preset.sweep)
    if isinstance(preset, ProbePreset):
        return dict(preset.settings)
    if isinstance(preset, LanguagePreset):
        parts = (preset.text, preset.training, preset.regime, preset.decoder)
        return {key: v for part in parts if part for key, v in dataclasses.asdict(part).items()}
    return {
        **dataclasses.asdict(preset.model),
        **dataclasses.asdict(preset.training),
        **preset.data,
    }


def data_options(
    preset: Preset | ProbePreset | LanguagePreset,
) -> Mapping[str, bool | int | float | str]:
    """What a source is told of the protocol."""
    if isinstance(preset, LanguagePreset):
        return dataclasses.asdict(preset.text)
    return preset.settings if isinstance(preset, ProbePreset) else preset.data


def default_dtype(preset: AnyPreset) -> str:
    """Where the command line names none."""
    return preset.dtype if isinstance(preset, LanguagePreset) else "float32"


def _replaced(part: Part, values: Mapping[str, Scalar]) -> Part:
    names = {f.name for f in dataclasses.fields(part)}
    return dataclasses.replace(part, **{k: v for k, v in values.items() if k in names})  # type: ignore[arg-type]


def head_dim(preset: AnyPreset) -> int | None:
    """The dimension of one head under this protocol; None for a probe of several, or of a model."""
    if isinstance(preset, ProbePreset):
        return preset.head_dim
    if isinstance(preset, CostPreset):
        return preset.sweep.head_dim
    if isinstance(preset, LanguagePreset):
        shape = preset.decoder
        return None if shape is None else shape.d_model // shape.num_heads
    return preset.model.qkv_dim // preset.model.num_heads
