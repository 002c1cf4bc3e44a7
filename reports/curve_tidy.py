"""Cost curves for machines: one row a number, in base units, and a row for every gap."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from reports.columns import Contender
from reports.curves import MODES, Circumstances, Costs, Curve, Place, Point, Setting
from reports.peers import pairs_of
from reports.proxy_tables import EVERY_MODE, proxies
from reports.tidy import Tidy
from results.statistics import Interval

_COUNTS: Final = (
    ("allocated_bytes", "B"),
    ("reference_peak_bytes", "B"),
    ("reference_allocated_bytes", "B"),
    ("flops", "1"),
    ("exps", "1"),
    ("bytes_moved", "B"),
    ("least_bytes", "B"),
    ("limit_seconds", "s"),
    ("state_bytes", "B"),
    ("reference_state_bytes", "B"),
)


class _Number(NamedTuple):
    quantity: str
    unit: str
    value: float | None
    interval: Interval | None = None


def curve_values(costs: Costs) -> Iterator[Tidy]:
    """Every cell, a row for each of its numbers; one without a time has a reason in its place."""
    for setting, curves in costs.curves.items():
        for curve in curves:
            for place, point in sorted(curve.points.items(), key=_order):
                for number in _numbers(point):
                    yield _cell(setting, curve, place, point, number)


def absent_values(costs: Costs) -> Iterator[Tidy]:
    """A row without a value for every method without a curve."""
    for each in costs.absent:
        yield _make(
            each.around,
            each.contender,
            _Number("latency_seconds", "s", None),
            status=each.status,
            reason=each.reason,
        )


def crossover_values(costs: Costs) -> Iterator[Tidy]:
    """The status is the verdict; `low` and `high` are the ends of the interval, in tokens."""
    for setting, curves in costs.curves.items():
        for curve in curves:
            for each in curve.crossovers:
                span = f"measured from {each.shortest} to {each.longest}"
                doubt = f", not clear at {each.undecided}" if each.undecided else ""
                yield _in(
                    setting,
                    curve.contender,
                    _Number(f"crossover_{each.quantity}", "tokens", each.above),
                    mode=each.mode,
                    causal=each.causal,
                    low=each.below,
                    high=each.above,
                    status=each.verdict,
                    reason=span + doubt,
                    reference=setting.reference,
                )


def peer_values(costs: Costs) -> Iterator[Tidy]:
    """How many times as long a peer takes as `reference`, which here is the label of ours."""
    for setting, curves in costs.curves.items():
        for pair in pairs_of(curves):
            for length, slower in sorted(pair.slower.items()):
                yield _in(
                    setting,
                    pair.peer,
                    _Number("times_as_long_as_ours", "1", slower.mean, slower),
                    mode=pair.mode,
                    causal=pair.causal,
                    length=length,
                    status="completed",
                    reason=f"through {setting.reference}",
                    reference=pair.ours.label,
                )


def proxy_values(costs: Costs) -> Iterator[Tidy]:
    """What each model of time is worth, and its coefficients; the method is the model."""
    for proxy in proxies(costs):
        for scope in proxy.scopes:
            for fit in scope.fits:
                name = fit.model + (" + constant" if fit.overhead else "")
                model = Contender(label=name, method=name, options="{}", role="proxy", same_as="")
                for number in (
                    _Number("median_error", "fraction", fit.median_error),
                    _Number("rank_correlation", "1", fit.rank_correlation),
                    _Number("log_r2", "1", fit.log_r2),
                    _Number("seconds_per_flop", "s", fit.seconds_per_flop),
                    _Number("seconds_per_byte", "s/B", fit.seconds_per_byte),
                    _Number("seconds_per_call", "s", fit.seconds_per_call),
                ):
                    if number.value is not None:
                        yield _make(
                            proxy.around,
                            model,
                            number,
                            mode="" if scope.name == EVERY_MODE else scope.name,
                            status="completed",
                            reason=f"{scope.cells} cells of {scope.methods} methods",
                        )


def _order(item: tuple[Place, Point]) -> tuple[int, bool, int]:
    mode, causal, length = item[0]
    return MODES.index(mode), not causal, length


def _numbers(point: Point) -> Iterator[_Number]:
    yield _of("latency_seconds", "s", point.seconds)
    if point.reference is not None:
        yield _of("reference_seconds", "s", point.reference)
    if point.ratio is not None:
        yield _of("times_as_fast_as_reference", "1", point.ratio)
    if point.share_of_limit is not None:
        yield _Number("share_of_limit", "fraction", point.share_of_limit)
    if point.peak_bytes is not None:
        yield _Number("peak_bytes", "B", point.peak_bytes)
    for quantity, unit in _COUNTS:
        value = getattr(point.cell, quantity)
        if value is not None:
            yield _Number(quantity, unit, value)


def _of(quantity: str, unit: str, interval: Interval | None) -> _Number:
    return _Number(quantity, unit, interval.mean if interval else None, interval)


def _cell(setting: Setting, curve: Curve, place: Place, point: Point, number: _Number) -> Tidy:
    return _in(
        setting,
        curve.contender,
        number,
        mode=place.mode,
        causal=place.causal,
        length=place.length,
        status=point.cell.status,
        reason="; ".join((*point.flags, point.cell.reason) if point.cell.reason else point.flags),
        reference=setting.reference,
    )


def _in(setting: Setting, contender: Contender, number: _Number, **rest: object) -> Tidy:
    return _make(
        setting.around,
        contender,
        number,
        level=setting.level,
        batch=setting.batch,
        num_heads=setting.num_heads,
        head_dim=setting.head_dim,
        **rest,
    )


def _make(around: Circumstances, contender: Contender, number: _Number, **rest: object) -> Tidy:
    interval = number.interval
    if interval is not None and interval.known:
        rest = {"low": interval.low, "high": interval.high, **rest}
    return Tidy(
        task=around.task,
        task_version=around.task_version,
        preset=around.preset,
        source="generated",
        title="",
        stand_in=False,
        digest="",
        settings=around.settings,
        dtype=around.dtype,
        device=around.device,
        compile=around.compile,
        machine=around.machine,
        threads=around.threads,
        method=contender.method,
        options=contender.options,
        role=contender.role,
        quantity=number.quantity,
        unit=number.unit,
        value=number.value,
        **rest,  # type: ignore[arg-type]
    )
