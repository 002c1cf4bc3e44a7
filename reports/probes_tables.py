"""The tables of probes: what was measured beside what theory says, short enough to be read.

Each probe known here has tables of its own; any other has its readings against their richest
coordinate. csv and json have every number.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from reports.figures_catalogue import guessed, of_method, over_spectra
from reports.grid import Entry, Grid, Section, plain
from reports.numbers import digits
from reports.probes import ESTIMATOR, Group, Probes, Reading
from reports.probes_agreement import JUDGED, agreement_grids
from reports.probes_bias import bias_grids
from reports.probes_entries import Reasons, label_entry
from reports.probes_heads import ERROR, GAP, NEEDED, UNIFORM
from reports.probes_pivot import METHOD, View, pivot_grid
from reports.probes_real import layer_grids, needed_grids
from reports.probes_spectra import SPECTRA, spectra_grids


def _whitened(reading: Reading) -> bool:
    return "spectrum" not in reading.where


def _near_one(value: float) -> str:
    """What differs from 1 in late digits."""
    return f"{value:.5f}" if 0.5 < value < 1.2 else digits(value)


VIEWS: Final[Mapping[str, tuple[View, ...]]] = {
    "probes/variance": (
        View(
            quantity="second-moment",
            what="second moment of one feature's estimate of exp(q.k)",
            part="moments",
            rows=("lambda_max",),
            columns=(ESTIMATOR,),
            chosen=over_spectra,
            least=("head_dim",),
            most_sections=6,
        ),
        View(
            quantity="second-moment",
            what="second moment where a kernel of its own is whitened",
            part="moments",
            rows=(ESTIMATOR,),
            columns=("head_dim", "lambda_max"),
            chosen=_whitened,
        ),
        View(
            quantity="relative-variance",
            what="relative variance of the method's own features, on drawn queries and keys",
            part="variance",
            rows=("num_features",),
            columns=(ESTIMATOR,),
            chosen=of_method,
        ),
        View(
            quantity="slope",
            what="slope of the relative variance against features, on logarithms",
            part="slopes",
            rows=(ESTIMATOR,),
            columns=("spectrum", "condition"),
        ),
        View(
            quantity="excess",
            what="second moment under an estimated proposal over that under the true one",
            part="proposals",
            rows=("proposal_samples",),
            columns=("shrinkage",),
            most_sections=6,
            number=_near_one,
        ),
    ),
    "probes/equivalence": (
        View(
            quantity="second-moment",
            what="second moment of one number's estimate of exp(q.k), by representation",
            part="equivalence",
            rows=("lambda_max",),
            columns=(ESTIMATOR,),
        ),
        View(
            quantity="ratio-of-second-moments",
            what="positive over trigonometric features, each under its optimal proposal",
            part="equivalence",
            rows=("lambda_max",),
            columns=("spectrum", "condition"),
        ),
        View(
            quantity="mean-over-kernel",
            what="mean of the estimate over the learned kernel",
            part="equivalence",
            rows=(ESTIMATOR,),
            columns=("head_dim",),
        ),
        View(
            quantity="mean-over-softmax",
            what="mean of the estimate over softmax's kernel",
            part="equivalence",
            rows=(ESTIMATOR,),
            columns=("head_dim",),
        ),
    ),
    "probes/attention-error": (
        *(
            View(
                quantity="output-error",
                what=f"relative error of the attention output against {what}",
                part="attention",
                rows=(METHOD, "dtype"),
                columns=(name,),
                swept=True,
            )
            for name, what in (
                ("num_features", "the number of features"),
                ("length", "length"),
                ("lambda_max", "scale, as the largest eigenvalue"),
                ("condition", "anisotropy, as the condition number"),
                ("causal", "direction"),
            )
        ),
        View(
            quantity="collapsed-rows",
            what="share of rows whose normaliser underflows, against scale",
            part="attention",
            rows=(METHOD, "dtype"),
            columns=("lambda_max",),
            swept=True,
        ),
    ),
}
SPECIAL: Final[Mapping[str, Mapping[str, Callable[[Group], list[Grid]]]]] = {
    "probes/variance": {"agreement": agreement_grids},
    "probes/equivalence": {"agreement": agreement_grids},
    "probes/bias": {"bias": bias_grids},
    "probes/real-qk": {"needed": needed_grids, "layers": layer_grids, "spectra": spectra_grids},
}
"""Tables of a form of their own, by part."""
BEHIND: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "agreement": JUDGED,
    "bias": {"probes/bias": ("relative-bias", "z", "detectable-bias", "threshold", "largest-z")},
    "needed": {"probes/real-qk": (NEEDED, GAP, ERROR, UNIFORM)},
    "layers": {"probes/real-qk": (NEEDED, GAP)},
    "spectra": {"probes/real-qk": tuple(SPECTRA)},
}
"""The quantities in those, by part and task."""


def probe_grids(probes: Probes, part: str | None = None) -> list[Grid]:
    """Every table of every setting, then who has no reading and why; or one part alone."""
    grids = [grid for group in probes.groups for grid in _of(group, part)]
    return grids if part else grids + _gap_grids(probes)


def quantities_of(part: str) -> frozenset[tuple[str, str]]:
    """Tasks with the quantities that a part of the tables is made of."""
    special = [(task, name) for task, names in BEHIND.get(part, {}).items() for name in names]
    viewed = [
        (t, each.quantity) for t, found in VIEWS.items() for each in found if each.part == part
    ]
    return frozenset([*special, *viewed])


def _of(group: Group, part: str | None) -> list[Grid]:
    task = group.setting.task
    special, views = SPECIAL.get(task, {}), VIEWS.get(task, ())
    grids = [g for name, made in special.items() if part in (None, name) for g in made(group)]
    seen = _seen(group, [view for view in views if part in (None, view.part)])
    # A setting must not vanish because its readings are others than a view expects.
    if part is None and not seen and (views or not grids):
        seen = _seen(group, _guessed_views(group))
    return grids + seen


def _seen(group: Group, views: Sequence[View]) -> list[Grid]:
    return [grid for view in views if (grid := pivot_grid(group, view)) is not None]


def _guessed_views(group: Group) -> tuple[View, ...]:
    """Against the coordinate that a figure would have at its foot; else a row a method."""
    columns = {drawing.quantity: drawing.x for drawing in guessed(group)}
    return tuple(
        View(
            quantity=name,
            what=name.replace("-", " "),
            rows=(METHOD,),
            columns=(columns[name],) if name in columns else (),
        )
        for name in group.quantities
    )


def _gap_grids(probes: Probes) -> list[Grid]:
    reasons = Reasons()
    rows = []
    for gap in probes.gaps:
        where = (gap.setting.task, gap.setting.dtype, gap.setting.preset)
        entries = [Entry(text=plain(text, 40)) for text in where]
        status = Entry(text=gap.status, refs=(reasons.notes.number(gap.reason),))
        rows.append((label_entry(gap.contender.label), status, *entries))
    if not rows:
        return []
    header = (("method",), ("why",), ("task",), ("dtype",), ("preset",))
    section = Section(title="", rows=tuple(dict.fromkeys(rows)))
    notes = reasons.notes.all()
    return [Grid(title="Without a reading", header=header, sections=(section,), notes=notes)]
