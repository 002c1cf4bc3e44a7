"""What predicts time: the fit finds the law behind the times, and judges by methods left out."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, stats

from reports.curves import gather
from reports.proxy import Fit, Timed, compare_fits, fit_models
from reports.proxy_tables import proxies, verdict
from reports.table import render
from results.record import Record
from tests.results.curves import failed_cell, fake_cell, fake_cost_record

PER_FLOP, PER_BYTE, PER_CALL = 2e-12, 1.5e-10, 4e-5


def cells(
    *, per_flop: float = PER_FLOP, per_byte: float = PER_BYTE, noise: float = 0.0, seed: int = 0
) -> list[Timed]:
    """Twelve cells of each of five methods; operations and bytes are only loosely related."""
    rng = np.random.default_rng(seed)
    found = []
    for method in "abcde":
        intensity = 10 ** rng.uniform(-1, 1)
        for flops in 10 ** rng.uniform(7, 12, 12):
            moved = flops * intensity / 30
            law = per_flop * flops + per_byte * moved + PER_CALL
            seconds = law * np.exp(noise * rng.normal())
            found.append(
                Timed(
                    method=method,
                    mode="forward",
                    seconds=float(seconds),
                    flops=int(flops),
                    bytes_moved=int(moved),
                )
            )
    return found


def fits(timed: list[Timed]) -> dict[tuple[str, bool], Fit]:
    return {(fit.model, fit.overhead): fit for fit in fit_models(timed)}


def test_the_law_behind_the_times_is_found():
    fit = fits(cells())["both", True]
    assert fit.seconds_per_flop == pytest.approx(PER_FLOP, rel=1e-3)
    assert fit.seconds_per_byte == pytest.approx(PER_BYTE, rel=1e-3)
    assert fit.seconds_per_call == pytest.approx(PER_CALL, rel=1e-3)
    assert fit.median_error < 1e-3
    assert fit.log_r2 > 1 - 1e-6


@pytest.mark.parametrize(
    ("law", "better"),
    [({"per_flop": 0.0}, "bytes moved"), ({"per_byte": 0.0}, "operations")],
    ids=["bytes", "operations"],
)
def test_what_the_time_follows_predicts_better(law, better):
    found = fits(cells(noise=0.1, **law))
    errors = {name: found[name, True].median_error for name in ("operations", "bytes moved")}
    assert min(errors, key=errors.get) == better
    assert errors[better] < 0.12


def test_the_fit_is_the_least_squares_of_log_time():
    timed = cells(noise=0.7, seed=3)
    fit = fits(timed)["both", True]
    work = np.array([[c.flops, c.bytes_moved, 1.0] for c in timed])
    logs = np.log([c.seconds for c in timed])

    def loss(log_coefficients: np.ndarray) -> float:
        return float(((np.log(work @ np.exp(log_coefficients)) - logs) ** 2).sum())

    mine = np.log([fit.seconds_per_flop, fit.seconds_per_byte, fit.seconds_per_call])
    best = optimize.minimize(loss, mine + 0.3, method="Nelder-Mead", options={"maxiter": 4000})
    assert loss(mine) <= best.fun * (1 + 1e-6)


def test_no_share_is_ever_negative():
    timed = cells(noise=1.5, per_byte=0.0, seed=5)
    for fit in fit_models(timed):
        shares = (fit.seconds_per_flop, fit.seconds_per_byte, fit.seconds_per_call)
        assert all(share is None or share >= 0 for share in shares)


def test_a_method_is_judged_by_a_fit_that_never_saw_it():
    timed = cells(per_byte=0.0)
    # Ten times as slow as its operations say, which the others cannot know.
    strange = [
        Timed(**{**each_fields(c), "method": "strange", "seconds": 10 * c.seconds})
        for c in timed
        if c.method == "a"
    ]
    fit = fits([*timed, *strange])["operations", True]
    assert fit.errors["strange"] == pytest.approx(0.9, abs=0.03)


def each_fields(cell: Timed) -> dict[str, object]:
    return {name: getattr(cell, name) for name in Timed.__slots__}


def test_the_rank_correlation_is_spearmans_with_ties():
    flops, seconds = (1, 3, 3, 2, 9), (1.0, 2.0, 2.5, 3.0, 3.0)
    # Methods with equal cells have equal fits, so that predictions are in proportion to counts.
    timed = [
        Timed(method=method, mode="forward", seconds=s, flops=f, bytes_moved=f)
        for method in "abc"
        for s, f in zip(seconds, flops, strict=True)
    ]
    expected = stats.spearmanr(flops * 3, seconds * 3).statistic
    assert fits(timed)["operations", False].rank_correlation == pytest.approx(expected)


def test_counts_that_say_nothing_have_no_rank_correlation():
    rng = np.random.default_rng(0)
    timed = [
        Timed(method=m, mode="decode", seconds=float(s), flops=int(1e6 / s), bytes_moved=1)
        for m in "abc"
        for s in rng.uniform(1, 2, 9)
    ]
    # Time falls as operations rise, so the share of the operations is none and all is constant.
    fit = fits(timed)["operations", True]
    assert fit.seconds_per_flop == 0.0
    assert np.isnan(fit.rank_correlation)


def test_counts_of_nothing_are_an_error_of_all_and_no_crash():
    timed = [*cells(), Timed(method="z", mode="forward", seconds=1e-4, flops=0, bytes_moved=8)]
    fit = fits(timed)["operations", False]
    assert fit.errors["z"] == pytest.approx(1.0, abs=1e-3)
    assert np.isfinite(fit.log_r2)


def test_two_methods_are_too_few():
    with pytest.raises(ValueError, match="needs 3 methods"):
        fit_models([c for c in cells() if c.method in "ab"])


def test_the_sign_test_counts_methods_not_cells():
    found = fits(cells(per_flop=0.0))
    wins, methods, p_value = compare_fits(found["bytes moved", True], found["operations", True])
    assert (wins, methods) == (5, 5)
    assert p_value == pytest.approx(2 * 0.5**5)


def records(**law: float) -> list[Record]:
    by_method: dict[str, list[Timed]] = {}
    for cell in cells(noise=0.05, **law):
        by_method.setdefault(cell.method, []).append(cell)
    return [
        fake_cost_record(
            method,
            [
                fake_cell(
                    length=256 + i,
                    seconds=[c.seconds] * 7,
                    reference_seconds=[],
                    flops=c.flops,
                    bytes_moved=c.bytes_moved,
                )
                for i, c in enumerate(found)
            ],
        )
        for method, found in by_method.items()
    ]


@pytest.mark.parametrize(
    ("law", "sentence"),
    [
        ({"per_flop": 0.0}, "bytes moved predict better than operations"),
        ({"per_byte": 0.0}, "operations predict better than bytes moved"),
    ],
    ids=["bytes", "operations"],
)
def test_the_sentence_follows_from_the_numbers(law, sentence):
    (proxy,) = proxies(gather(records(**law)))
    (scope,) = proxy.scopes
    assert sentence in verdict(scope)
    assert "5 of 5 methods (sign test p = 0.062, which may be chance)" in verdict(scope)


def test_a_count_that_the_better_fit_does_not_use_is_not_said_to_predict():
    (proxy,) = proxies(gather(records()))
    (scope,) = proxy.scopes
    unused = [
        replace(fit, seconds_per_flop=0.0, median_error=0.01) if fit.model == "operations" else fit
        for fit in scope.fits
    ]
    words = verdict(replace(scope, fits=tuple(unused)))
    assert words.startswith("Forward: neither operations nor bytes moved predict better than a con")


def test_cells_that_cannot_be_counted_are_left_out_and_told():
    blind = [fake_cell(length=n, flops=None) for n in (256, 512)]
    also = [fake_cost_record("blind", [*blind, failed_cell(1024), fake_cell(length=2048)])]
    text = render([*records(), *also], "markdown", part="proxy")
    assert "forward: 61 cells of 6 methods" in text
    assert "2 cells left out, whose operations or bytes are not counted: blind (2)." in text


def test_floors_are_no_attention_and_fit_nothing():
    floor = fake_cost_record("floor", [fake_cell()], role="floor")
    text = render([*records(), floor], "markdown", part="proxy")
    assert "60 cells of 5 methods" in text


def test_each_machine_and_number_format_has_a_fit_of_its_own():
    other = [
        r.model_copy(update={"identity": r.identity.model_copy(update={"dtype": "bfloat16"})})
        for r in records()
    ]
    text = render([*records(), *other], "markdown", part="proxy")
    assert text.count("What predicts time") == 2
    assert text.count("60 cells of 5 methods") == 2


def test_a_mode_with_too_few_methods_is_named():
    decode = fake_cost_record("a", [fake_cell("decode")], options={"x": 1})
    text = render([*records(), decode], "markdown", part="proxy")
    assert "Not fitted, with fewer than 3 methods: decode." in text
