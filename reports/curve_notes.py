"""What is said above and below the tables of cost curves."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from reports.curves import FAMILY, Curve, Point, Setting
from reports.grid import plain
from reports.numbers import count
from results.medians import FEWEST


def direction(causal: bool) -> str:
    """A direction's name."""
    return "causal" if causal else "bidirectional"


def setting_title(setting: Setting) -> str:
    """What all cells of a table have in common, the machine last."""
    around = setting.around
    parts = [around.task] if around.task != FAMILY else []
    parts += [f"{setting.level} level", around.dtype, around.device]
    parts += ["compiled"] if around.compile else []
    parts += [f"batch {setting.batch}", f"{setting.num_heads} heads of {setting.head_dim}"]
    parts.append(f"preset {around.preset}")
    parts += [f"changed {around.settings}"] if around.settings != "{}" else []
    threads = f"{around.threads} thread{'s' * (around.threads != 1)}"
    return plain(f"{', '.join(parts)}; {around.machine}, {threads}")


def kernels_note(points: Sequence[tuple[str, Point]]) -> str:
    """Which kernels ran, and for whom; the commonest stands last."""
    kernels: dict[str, set[str]] = defaultdict(set)
    for label, point in points:
        for kernel in point.cell.kernels:
            kernels[kernel].add(label)
    if not kernels:
        return "Kernels that ran: not known."
    by_use = Counter({kernel: len(who) for kernel, who in kernels.items()})
    commonest = min(by_use, key=lambda kernel: (-by_use[kernel], kernel))
    rare = [f"{k} ({', '.join(sorted(who))})" for k, who in kernels.items() if k != commonest]
    others = set().union(*(who for k, who in kernels.items() if k != commonest))
    everyone = {label for label, _ in points}
    # All others is only true of a kernel that ran for nobody named before.
    alone = kernels[commonest] == everyone - others
    who = "all others" if alone and rare else "all" if alone else None
    last = who or ", ".join(sorted(kernels[commonest]))
    return f"Kernels that ran: {'; '.join([*sorted(rare), f'{commonest} ({last})'])}."


def how_to_read(setting: Setting, curves: Sequence[Curve]) -> list[str]:
    """What the numbers of a setting's tables mean, and the ceilings behind the limit."""
    reference = setting.reference
    taken = [x.num_samples for curve in curves for x in curve.points.values() if x.seconds]
    samples = f"{_span(taken, str)} samples" if taken else "no samples"
    methods = sorted({curve.memory_method for curve in curves if curve.memory_method})
    how = f" ({'; '.join(methods)})" if methods else ""
    lines = [
        f"Time: the median of {samples} a cell; ±: the longer side of its 95 % interval from order"
        f" statistics, none below {FEWEST} samples. -: nothing to show, see the first section.",
        f"Times as fast: {reference}'s time over the method's, the median over samples taken in"
        " turn; *: fastest, =: its interval reaches that of the fastest. Floors are not marked.",
        "Peak memory: what one warmed call adds, its result included" + how + ".",
    ]
    ceilings = [each for curve in curves for each in curve.ceilings]
    if ceilings:
        products = _span([each.matrix_product for each in ceilings], count)
        copies = _span([each.memory_copy for each in ceilings], count)
        exps = _span([each.exp for each in ceilings], count)
        lines.append(
            "Limit: counted operations, exponentials and the least bytes, one after another at the"
            f" ceilings measured beside them: {products} operations/s, {exps} exp/s, {copies} B/s."
        )
    return lines


def _span(values: Iterable[float], show: Callable[[float], str]) -> str:
    """One text where all are shown alike, else the least and the greatest."""
    found = sorted(values)
    ends = show(found[0]), show(found[-1])
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
