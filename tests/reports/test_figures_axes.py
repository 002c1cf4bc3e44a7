"""Axes of figures: round ticks, and room for everything they hold."""

import pytest

from reports.figures_axes import ends_of, ticks_of


@pytest.mark.parametrize(
    ("ends", "ticks"),
    [
        ((0.9, 25.0), [1, 2, 5, 10, 20]),
        ((0.9, 1.1e4), [1, 10, 100, 1e3, 1e4]),
        ((0.13, 39.0), [0.3, 1, 3, 10, 30]),
        ((0.045, 0.081), [0.05, 0.06, 0.07, 0.08]),
    ],
)
def test_ticks_of_a_logarithmic_axis_are_round(ends, ticks):
    assert ticks_of(ends) == ticks


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("values", [[3e-4, 2e5], [0.5], [1.0, 10.0]])
def test_an_axis_has_room_beyond_everything_it_holds(values, log):
    low, high = ends_of(values, log=log)
    assert low < min(values) <= max(values) < high


def test_an_axis_without_values_still_has_ends():
    assert ends_of([], log=True) == (0.1, 10.0)
