"""The figures of each probe: which number against which coordinate, and the words around it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from reports.figures_axes import Axes
from reports.probes import ESTIMATOR, Group, Reading
from reports.probes_entries import words_of
from reports.probes_heads import short_label
from reports.probes_places import differing, is_number

POLES: Final = ((1 / 6, "1/6"), (1 / 2, "1/2"))
"""Eigenvalues of the scaled covariance from which the variance of isotropic positive features, and
of every proposal's, is infinite."""
POLES_TOLD: Final = (
    "Dashed: from 1/6 on isotropic positive features, from 1/2 on every proposal has an infinite"
    " variance."
)


def anything(_: Reading) -> bool:
    """No reading is left out."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One figure of one probe."""

    name: str
    quantity: str
    x: str
    """The coordinate of the horizontal axis."""
    series: tuple[str, ...] = ()
    """Coordinates that tell series apart, beside the method where there are several."""
    title: str
    axes: Axes
    how_to_read: str = ""
    over: str = ""
    """A coordinate to take the median over, such as the head."""
    spread: Literal["quartiles", "range"] = "quartiles"
    ticks_at_points: bool = False
    chosen: Callable[[Reading], bool] = anything
    swept: bool = False
    """Only lines along the horizontal coordinate: the probe varies one thing at a time."""
    own_heights: bool = False
    """Every panel has a vertical axis of its own, where they lie many powers of ten apart."""
    once: bool = False
    """Of the data, not of the method: one method's readings stand for all."""
    own_widths: bool = False
    """The same of the horizontal axis."""
    headroom: bool = False
    """Room above all points, where names of poles stand."""
    bars: bool = True
    reach: tuple[float, ...] = ()
    """What the horizontal axis must show, whatever was measured."""

    def label(self, reading: Reading, among: Sequence[Reading]) -> str:
        """What a reading's series is called among those of its figure."""
        where = reading.where
        words = [words_of(name, where[name]) for name in self.series if name in where]
        # What is held against softmax is the usual case.
        words = [word for word in words if word != USUAL]
        named = ESTIMATOR in self.series
        several = len({each.contender.label for each in among}) > 1
        several |= any(word.startswith("against") for word in words)
        if not words or (several and not named):
            words.insert(0, short_label(reading.contender.label))
        return ", ".join(words).replace('"', "")


USUAL: Final = "against softmax"
FEATURES: Final = "number of features m"
SPECTRUM: Final = "largest eigenvalue of scaled queries and keys"


def over_spectra(reading: Reading) -> bool:
    """A number of one covariance that concerns no estimated proposal."""
    return "spectrum" in reading.where and "proposal_samples" not in reading.where


def of_theory(reading: Reading) -> bool:
    """Of an estimator that the probe brings along, over all queries and keys."""
    return not reading.own and not on_pairs(reading)


def on_pairs(reading: Reading) -> bool:
    """Of the estimators beside the method's own, on the very pairs that it was measured on."""
    return str(reading.where.get(ESTIMATOR, "")).endswith("these pairs")


def of_method(reading: Reading) -> bool:
    """Of the method's own features, or what stands beside it."""
    return reading.own or on_pairs(reading)


def past_poles(reading: Reading) -> bool:
    """Of queries and keys together, as theory takes them to be alike."""
    return reading.where.get("of") == "both"


def _error(x: str, axis: str, what: str, poles: tuple[tuple[float, str], ...] = ()) -> Drawing:
    """Of the attention output, against one thing at a time."""
    return Drawing(
        name=f"output-error-{x.replace('_', '-')}",
        quantity="output-error",
        x=x,
        series=("dtype", "against"),
        title=f"Relative error of the attention output against {what}",
        axes=Axes(x=axis, y="relative error of the output", poles=poles),
        how_to_read=POLES_TOLD if poles else "",
        ticks_at_points=not poles,
        headroom=bool(poles),
        swept=True,
    )


DRAWINGS: Final[Mapping[str, tuple[Drawing, ...]]] = {
    "probes/variance": (
        Drawing(
            name="second-moment",
            quantity="second-moment",
            x="lambda_max",
            series=(ESTIMATOR,),
            title="Second moment of the kernel estimate as queries and keys grow towards the poles",
            axes=Axes(x=SPECTRUM, y="second moment, one feature", poles=POLES),
            how_to_read=POLES_TOLD,
            chosen=over_spectra,
            reach=(1 / 6, 0.6),
            own_heights=True,
        ),
        Drawing(
            name="features",
            quantity="relative-variance",
            x="num_features",
            series=(ESTIMATOR,),
            title="Relative variance of the kernel estimate against the number of features",
            axes=Axes(x=FEATURES, y="variance / expected squared kernel"),
            ticks_at_points=True,
            chosen=lambda reading: over_spectra(reading) and of_theory(reading),
        ),
        Drawing(
            name="method",
            quantity="relative-variance",
            x="num_features",
            series=(ESTIMATOR,),
            title="Relative variance of the methods' own features on the same queries and keys",
            axes=Axes(x=FEATURES, y="variance / expected squared kernel"),
            ticks_at_points=True,
            chosen=of_method,
        ),
        Drawing(
            name="proposal",
            quantity="excess",
            x="proposal_samples",
            series=("shrinkage",),
            title="What estimating the proposal costs: second moment over that of the true optimum",
            axes=Axes(x="samples that the proposal is estimated from", y="second moment, ratio"),
            ticks_at_points=True,
            own_heights=True,
        ),
    ),
    "probes/equivalence": (
        Drawing(
            name="second-moment",
            quantity="second-moment",
            x="lambda_max",
            series=(ESTIMATOR,),
            title="Second moments of representations of one kernel, optimally sampled or not",
            axes=Axes(x=SPECTRUM, y="second moment, one feature", poles=POLES),
            how_to_read=POLES_TOLD,
            chosen=over_spectra,
            reach=(1 / 6, 0.6),
            own_heights=True,
        ),
    ),
    "probes/attention-error": (
        _error("num_features", FEATURES, "the number of features"),
        _error("length", "length in tokens", "length"),
        _error("lambda_max", SPECTRUM, "the scale of queries and keys", poles=POLES),
        _error("condition", "condition number of the covariance", "anisotropy"),
        Drawing(
            name="collapsed-rows",
            quantity="collapsed-rows",
            x="lambda_max",
            series=("dtype",),
            title="Share of attention rows whose normaliser underflows",
            axes=Axes(x=SPECTRUM, y="share of rows", log_y=False, poles=POLES),
            how_to_read=POLES_TOLD,
            headroom=True,
            swept=True,
        ),
    ),
    "probes/real-qk": (
        Drawing(
            name="features-needed",
            quantity="features-needed",
            x="layer",
            series=("against",),
            title="Features that real queries and keys need, layer by layer",
            axes=Axes(x="layer", y="features, median over heads", log_x=False, joined=False),
            over="head",
            own_widths=True,
            ticks_at_points=True,
        ),
        Drawing(
            name="output-error",
            quantity="output-error",
            x="num_features",
            series=("against",),
            title="Relative error of the attention output on real queries and keys",
            axes=Axes(x=FEATURES, y="relative error, median over layers"),
            over="layer",
            bars=False,
            ticks_at_points=True,
        ),
        Drawing(
            name="lambda-max",
            quantity="largest-eigenvalue",
            x="layer",
            series=("centred",),
            title="Largest eigenvalue of real queries and keys against the poles of the variance",
            axes=Axes(x="layer", y="largest eigenvalue, scaled", log_x=False, levels=POLES),
            how_to_read=POLES_TOLD,
            over="kv_head",
            own_widths=True,
            ticks_at_points=True,
            spread="range",
            chosen=past_poles,
            once=True,
        ),
        Drawing(
            name="effective-rank",
            quantity="effective-rank",
            x="layer",
            series=("of",),
            title="Effective rank of real queries and keys about their mean",
            axes=Axes(x="layer", y="(sum of eigenvalues)^2 / sum of squares", log_x=False),
            over="kv_head",
            own_widths=True,
            ticks_at_points=True,
            spread="range",
            chosen=lambda reading: reading.where.get("of") != "both",
            once=True,
        ),
    ),
}
"""Bias has a figure of another kind."""


def guessed(group: Group) -> list[Drawing]:
    """For a probe without figures of its own: each quantity against its richest coordinate."""
    return [found for name in group.quantities if (found := _guess(name, group.of(name)))]


def _guess(quantity: str, readings: Sequence[Reading]) -> Drawing | None:
    numbers = {
        name: {reading.where.get(name) for reading in readings}
        for name in differing(readings)
        if all(is_number(reading.where.get(name)) for reading in readings)
    }
    rich = {name: values for name, values in numbers.items() if len(values) > 2}
    if not rich:
        return None
    x = max(rich, key=lambda name: len(rich[name]))
    positive = all(isinstance(at, int | float) and at > 0 for at in rich[x])
    values = [reading.value for reading in readings if reading.value is not None]
    name = quantity.replace("-", " ")
    return Drawing(
        name=quantity,
        quantity=quantity,
        x=x,
        title=f"{name.capitalize()} against {x.replace('_', ' ')}",
        axes=Axes(
            x=x.replace("_", " "),
            y=name,
            log_x=positive,
            log_y=bool(values) and min(values) > 0,
        ),
    )
