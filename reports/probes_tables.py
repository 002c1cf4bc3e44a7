"""The tables of probes: what was measured beside what theory says, short enough to be read.

Each probe known here has tables of its own; any other has its readings against their richest
coordinate. csv and json have every number.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from reports.figures_catalogue import guessed, of_method, over_spectra, past_poles
from reports.grid import Entry, Grid, Section, plain
from reports.probes import ESTIMATOR, Group, Probes, Reading
from reports.probes_bias import bias_grids
from reports.probes_entries import Reasons, label_entry
from reports.probes_pivot import METHOD, View, pivot_grid
from reports.probes_real import needed_grids


def _whitened(reading: Reading) -> bool:
    return "spectrum" not in reading.where


VIEWS: Final[Mapping[str, tuple[View, ...]]] = {
    "probes/variance": (
        View(
            quantity="second-moment",
            what="second moment of one feature's estimate of exp(q.k)",
            rows=("lambda_max",),
            columns=(ESTIMATOR,),
            chosen=over_spectra,
        ),
        View(
            quantity="second-moment",
            what="second moment where a kernel of its own is whitened",
            rows=(ESTIMATOR,),
            columns=("head_dim", "lambda_max"),
            chosen=_whitened,
        ),
        View(
            quantity="relative-variance",
            what="relative variance of the method's own features, on drawn queries and keys",
            rows=("num_features",),
            columns=(ESTIMATOR,),
            chosen=of_method,
        ),
        View(
            quantity="slope",
            what="slope of the relative variance against features, on logarithms",
            rows=(ESTIMATOR,),
            columns=("spectrum", "condition"),
        ),
        View(
            quantity="excess",
            what="second moment under an estimated proposal over that under the true one",
            rows=("proposal_samples",),
            columns=("shrinkage",),
        ),
    ),
    "probes/equivalence": (
        View(
            quantity="second-moment",
            what="second moment of one number's estimate of exp(q.k), by representation",
            rows=("lambda_max",),
            columns=(ESTIMATOR,),
        ),
        View(
            quantity="ratio-of-second-moments",
            what="positive over trigonometric features, each under its optimal proposal",
            rows=("lambda_max",),
            columns=("spectrum", "condition"),
        ),
        View(
            quantity="mean-over-kernel",
            what="mean of the estimate over the learned kernel",
            rows=(ESTIMATOR,),
            columns=("head_dim",),
        ),
        View(
            quantity="mean-over-softmax",
            what="mean of the estimate over softmax's kernel",
            rows=(ESTIMATOR,),
            columns=("head_dim",),
        ),
    ),
    "probes/attention-error": (
        *(
            View(
                quantity="output-error",
                what=f"relative error of the attention output against {what}",
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
            rows=(METHOD, "dtype"),
            columns=("lambda_max",),
            swept=True,
        ),
    ),
    "probes/real-qk": (
        View(
            quantity="heads-past-pole",
            what="share of heads whose largest eigenvalue reaches the pole",
            rows=("layer",),
            columns=("centred", "pole"),
            chosen=past_poles,
            once=True,
        ),
    ),
}


def probe_grids(probes: Probes) -> list[Grid]:
    """Every table of every setting, then who has no reading and why."""
    grids = [grid for group in probes.groups for grid in _of(group)]
    return grids + _gap_grids(probes)


def _of(group: Group) -> list[Grid]:
    task = group.setting.task
    special = _SPECIAL.get(task)
    grids = special(group) if special else []
    grids += _seen(group, VIEWS.get(task, ()))
    # A setting must not vanish because its readings are others than a view expects.
    return grids or _seen(group, _guessed_views(group))


def _seen(group: Group, views: Sequence[View]) -> list[Grid]:
    return [grid for view in views if (grid := pivot_grid(group, view)) is not None]


_SPECIAL: Final[Mapping[str, Callable[[Group], list[Grid]]]] = {
    "probes/bias": bias_grids,
    "probes/real-qk": needed_grids,
}


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
