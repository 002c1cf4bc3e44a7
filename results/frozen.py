"""What every part of a record is made of: immutable, strict, without unknown fields."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

LARGEST: Final = 2**63 - 1
"""A larger whole number counts nothing that can be measured, and overflows what is made of it."""
Whole = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Number = Annotated[int, Field(ge=1, le=LARGEST)]
Seconds = Annotated[float, Field(ge=1e-15, le=1e15)]
"""A duration that a clock can have shown: ratios and logarithms of it are numbers."""


class Frozen(BaseModel):
    """A part of a record."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        ser_json_inf_nan="constants",
        serialize_by_alias=True,
    )
