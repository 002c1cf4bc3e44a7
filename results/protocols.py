"""Under which conditions others trained what they published: data, checked on reading."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from results.published import PROTOCOLS, Mark

NEAR: Final = 0.1
"""Examples and steps times batch are the same within this share, which is what the Long Range
Arena allows parameters to differ by (arXiv:2011.04006, section 3.1)."""
NEAR_LENGTH: Final = 0.05
"""Lengths within this share are the same: some pad 2000 tokens to 2048."""


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Conditions(_Checked):
    """Of one task. What is None was not read anywhere."""

    task: str
    length: int | None = None
    """Tokens at most."""
    num_train: int | None = None
    """Training examples."""
    steps: int | None = None
    batch_size: int | None = None
    num_layers: int | None = None
    d_model: int | None = None
    note: str = ""


class Protocol(_Checked):
    """One source's conditions, under the name that published rows give it."""

    name: str
    citation: str
    mark: Mark
    tasks: list[Conditions]

    def of(self, task: str) -> Conditions | None:
        return next((each for each in self.tasks if each.task == task), None)


class _File(_Checked):
    protocols: list[Protocol] = Field(min_length=1)


@cache
def published_protocols() -> Mapping[str, Protocol]:
    """Those whose conditions were read, by name. Rows of other protocols match nothing."""
    file = resources.files("results") / "published" / PROTOCOLS
    found = _File.model_validate_json(file.read_text(encoding="utf-8"))
    return {protocol.name: protocol for protocol in found.protocols}


def near(ours: float, theirs: float, share: float = NEAR) -> bool:
    """Whether they differ by no more than this share of theirs."""
    return abs(ours - theirs) <= share * theirs
