"""Settings of probes that hold several values, with commas between them."""

import math
from collections.abc import Mapping

from tasks.api import Scalar


def numbers(settings: Mapping[str, Scalar], name: str, *, least: float = 0.0) -> tuple[float, ...]:
    """Of a setting with commas. Raises ValueError for what is not finite or not `least` or more."""
    try:
        found = tuple(float(text) for text in str(settings[name]).split(","))
    except ValueError:
        found = ()
    if not found or not all(least <= number < math.inf for number in found):
        raise ValueError(
            f"{name} takes numbers of {least:g} or more with commas between them, not"
            f" {settings[name]!r}."
        )
    return found


def words(settings: Mapping[str, Scalar], name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Of a setting with commas. Raises ValueError for one that is not known."""
    found = tuple(text.strip() for text in str(settings[name]).split(","))
    wrong = [word for word in found if word not in known]
    if wrong:
        raise ValueError(f"{name} are among {', '.join(known)}; {wrong[0]!r} is none of them.")
    return found
