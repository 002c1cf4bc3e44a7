"""The configurations of a swapped model: its own ones, which say what attention runs."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one module had."""

    module: torch.nn.Module
    config: Any
    """The very object, which other models may share."""
    before: Any
    """A copy of it as it was."""


def take_configs(model: torch.nn.Module) -> list[Taken]:
    """Put copies in the place of the configurations of all modules."""
    # One memory for all: a part of a configuration stays a part of its copy.
    memories: tuple[dict[int, Any], dict[int, Any]] = ({}, {})
    taken = []
    for module in model.modules():
        config = module.__dict__.get("config")
        if config is not None:
            own, before = (copy.deepcopy(config, memory) for memory in memories)
            taken.append(Taken(module=module, config=config, before=before))
            module.config = own
    return taken


def give_back(taken: Sequence[Taken]) -> None:
    """Put back what was there, or where something was changed since, leave the model its own.

    What it had is not written to: another model that shares it would change too.
    """
    for one in taken:
        _run_as(one.module.config, one.before)
    if all(vars(one.module.config) == vars(one.before) for one in taken):
        for one in taken:
            one.module.config = one.config


def _run_as(config: Any, before: Any) -> None:
    config._attn_implementation = before._attn_implementation
    for name in before.sub_configs:
        part, former = getattr(config, name, None), getattr(before, name, None)
        if part is not None and former is not None:
            _run_as(part, former)
