"""What every part of a record is made of: immutable, strict, without unknown fields."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A part of a record."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        ser_json_inf_nan="constants",
        serialize_by_alias=True,
    )
