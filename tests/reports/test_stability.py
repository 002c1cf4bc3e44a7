"""The table of stability: losses, spikes and divergences at each learning rate."""

from tests.reports.language_tables import row, shown, values
from tests.results.language import RATES, fake_stability_record
from tests.results.records import failed_record, fake_identity


def test_stability_shows_losses_spikes_divergences_and_the_best_rate():
    records = [
        fake_stability_record("darkformer"),
        fake_stability_record(
            "performer",
            dict(zip(RATES, (3.4, 3.2, None, None, None), strict=True)),
            spikes={1e-4: (3, 9), 1e-2: (4,)},
        ),
    ]
    text = shown(records, "stability")
    cells = row(text, "darkformer")
    assert cells[1:] == [
        *("3.400", "3.100", "3.000", "3.050", "diverged"),
        *("1e-3", "3 of 5", "0", "1 of 5"),
    ]
    cells = row(text, "performer")
    assert cells[1:] == [
        *("3.400 (2 spikes)", "3.200", "diverged", "diverged", "diverged (1 spike)"),
        *("3e-4", "1 of 5", "3", "3 of 5"),
    ]
    assert "within 0.1 nat of the method's own best" in text
    assert "spikes: a step whose loss is made up." in text


def test_a_rate_at_which_one_seed_diverged_is_no_mean_of_the_others():
    records = [
        fake_stability_record("lfk", {1e-3: 3.0, 1e-2: loss}, seed=seed)
        for seed, loss in enumerate((3.0, None))
    ]
    cells = row(shown(records, "stability"), "lfk")
    assert cells[2] == "diverged 1 of 2"
    assert cells[-1] == "1 of 4"


def test_a_method_that_diverges_everywhere_has_no_best_rate():
    records = [fake_stability_record("lfk", dict.fromkeys(RATES)), fake_stability_record("ok")]
    cells = row(shown(records, "stability"), "lfk")
    assert cells[1:] == ["diverged"] * 5 + ["-", "0 of 5", "0", "5 of 5"]
    (best,) = (v for v in values(records, "best-learning-rate") if v["method"] == "lfk")
    assert (best["value"], best["status"]) == (None, "diverged")


def test_a_method_without_runs_has_its_reason_in_the_table_of_stability():
    identity = fake_identity("linformer", "c4/stability", source="packaged")
    lost = failed_record(identity, reason="it cannot be causal.")
    text = shown([fake_stability_record(), lost], "stability")
    assert row(text, "linformer")[1] == "unsupported"
    assert "it cannot be causal." in text
