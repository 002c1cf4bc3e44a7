"""Numbers as text for a reader: counts and sizes with their prefixes, three digits."""

from collections.abc import Sequence


def count(value: float) -> str:
    """`3.21 G`: powers of 1000."""
    return _scaled(value, ("", " k", " M", " G", " T", " P"), 1000.0)


def size(value: float) -> str:
    """`123 MiB`: bytes in powers of 1024."""
    return _scaled(value, (" B", " KiB", " MiB", " GiB", " TiB"), 1024.0)


def digits(value: float) -> str:
    """Three significant digits, `12.0` among them, and no exponent from 0.0001 to a billion."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:#.3g}".removesuffix(".")


def percent(share: float) -> str:
    """`12`, and two digits below ten."""
    return f"{100 * share:.0f}" if abs(share) >= 0.0995 else f"{100 * share:.2g}"


def _scaled(value: float, steps: Sequence[str], factor: float) -> str:
    step = 0
    while abs(value) >= factor and step < len(steps) - 1:
        value /= factor
        step += 1
    return f"{value:.0f}{steps[step]}" if value >= 100 or step == 0 else f"{value:.3g}{steps[step]}"
