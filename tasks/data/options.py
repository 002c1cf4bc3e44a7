"""A preset's data options, checked: whole numbers from zero up, and no unknown names."""

from collections.abc import Mapping

from tasks.api import LoadRequest


def options(request: LoadRequest, defaults: Mapping[str, int]) -> dict[str, int]:
    """The request's options over their defaults."""
    for name, value in request.data.items():
        if name not in defaults:
            raise ValueError(f"no data option is named {name!r}; there are {', '.join(defaults)}.")
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"data option {name} takes a whole number from 0 up, not {value!r}.")
    return {name: int(request.data.get(name, default)) for name, default in defaults.items()}
