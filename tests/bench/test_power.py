"""The power command: from numbers, from records, and what it says where neither will do."""

import json
from pathlib import Path

import pytest

from bench.cli.power import power_command
from bench.errors import UsageError
from results.store import Store
from tests.results.language import fake_language_record
from tests.results.records import failed_record, fake_identity, fake_record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = Store(tmp_path)
    for method, accuracy in (("performer", 0.40), ("fake-other", 0.36), ("third", 0.30)):
        for seed in (0, 1, 2):
            store.write(fake_record(fake_identity(method, seed=seed), accuracy=accuracy))
    store.write(fake_record(fake_identity("fake-floor"), role="floor", accuracy=0.2))
    store.write(failed_record(fake_identity("performer", "lra/text")))
    return tmp_path


def planned(capsys: pytest.CaptureFixture[str], **options: object) -> dict:
    assert power_command(json_=True, **options) == 0
    return json.loads(capsys.readouterr().out)


def test_numbers_alone_make_a_table(capsys):
    assert power_command(difference=0.02, accuracy=0.5, examples=20_000, seeds=7) == 0
    out = capsys.readouterr().out
    assert "it takes 2 seeds of each method" in out
    assert "\n             7 " in out
    assert "lower bound" in out


def test_seeds_that_differ_need_more_of_everything(capsys):
    plain = planned(capsys, difference=0.02, accuracy=0.5, seed_deviation=0.0, examples=20_000)
    apart = planned(capsys, difference=0.02, accuracy=0.5, seed_deviation=0.01, examples=20_000)
    assert apart["seeds_needed"] > plain["seeds_needed"]
    assert apart["choices"][-1]["power"] < plain["choices"][-1]["power"]


def test_a_paired_comparison_needs_fewer_examples(capsys):
    apart = planned(capsys, difference=0.02, accuracy=0.5)
    paired = planned(capsys, difference=0.02, accuracy=0.5, disagreement=0.1)
    assert paired["choices"][0]["examples_needed"] < apart["choices"][0]["examples_needed"] / 4
    assert apart["choices"][0]["power"] is None


def test_many_comparisons_need_more_examples(capsys):
    one = planned(capsys, difference=0.02, accuracy=0.5)
    ten = planned(capsys, difference=0.02, accuracy=0.5, comparisons=10)
    assert ten["alpha"] == pytest.approx(0.005)
    assert ten["choices"][0]["examples_needed"] > one["choices"][0]["examples_needed"]


def test_records_are_a_pilot(folder, capsys):
    plan = planned(capsys, difference=0.05, task="lra/listops", results=folder)
    assert plan["examples"] == 500
    assert plan["spread"]["paired"]
    assert "performer, fake-other, third" in plan["told"]
    assert "fake-floor" not in plan["told"]
    assert "seeds 0-2" in plan["told"]
    assert any("3 seeds tell their standard deviation" in note for note in plan["notes"])


def test_the_pair_can_be_named_and_left_unpaired(folder, capsys):
    options = {"difference": 0.05, "task": "lra/listops", "results": folder}
    pair = planned(capsys, **options, methods=("performer", "fake-floor"))
    assert "performer, fake-floor" in pair["told"]
    assert not planned(capsys, **options, paired=False)["spread"]["paired"]


@pytest.fixture
def unequal(tmp_path: Path) -> Path:
    """A language task on which one method has one seed, and the others three."""
    store = Store(tmp_path)
    for method, seeds in (("performer", 3), ("darkformer", 3), ("lfk", 1)):
        for seed in range(seeds):
            store.write(fake_language_record(method, 0.30, seed=seed))
    return tmp_path


def test_one_pair_of_unequal_seeds_does_not_undo_the_pairing_of_a_pilot(unequal, capsys):
    plan = planned(capsys, difference=0.02, task="c4/finetune", results=unequal)
    assert plan["spread"]["paired"]
    assert plan["unit"] == "blocks"
    assert "3 seeds tell their standard deviation" in plan["notes"][0]
    assert "taken from 1 of 3 pairs" in plan["notes"][0]
    assert plan["seeds_needed"] == 2


def test_pairs_that_share_no_seed_leave_a_pilot_unpaired_and_say_so(unequal, capsys):
    Store(unequal).write(fake_language_record("linformer", 0.30, seed=7))
    plan = planned(capsys, difference=0.02, task="c4/finetune", results=unequal)
    assert plan == planned(
        capsys, difference=0.02, task="c4/finetune", results=unequal, paired=False
    )
    # Blocks of some 0.024 deviation: two proportions of tokens would need a hundred times as many.
    assert 10 < plan["choices"][0]["examples_needed"] < 60


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "either --accuracy"),
        ({"accuracy": 0.5, "task": "lra/listops"}, "either --accuracy"),
        ({"accuracy": 0.99}, "sum is at most 1"),
        ({"accuracy": 0.5, "power": 1.0}, "between 0 and 1"),
        ({"accuracy": 0.5, "alpha": 0.9}, "between 0 and 1"),
        ({"accuracy": 0.5, "examples": 1}, "--examples 1 is too few"),
        ({"accuracy": 0.5, "seeds": 0}, "--seeds 0 is too few"),
        ({"task": "lra/listop"}, "Did you mean 'lra/listops'"),
        ({"task": "lra/listops", "methods": ("performer",)}, "two methods or more"),
        ({"task": "lra/text"}, "two methods or more"),
    ],
)
def test_bad_input_is_a_sentence(folder, options, match):
    with pytest.raises(UsageError, match=match):
        power_command(difference=0.02, results=folder, **options)


def test_a_difference_in_points_is_asked_for_as_a_fraction():
    with pytest.raises(UsageError, match=r"fraction, 0\.02 for two points"):
        power_command(difference=2, accuracy=0.5)


def test_presets_are_never_mixed_into_one_pilot(folder):
    store = Store(folder)
    for method in ("performer", "fake-other"):
        store.write(fake_record(fake_identity(method, preset="small")))
    with pytest.raises(UsageError, match=r"differ in preset \(quick, small\)"):
        power_command(difference=0.05, task="lra/listops", results=folder)
    assert power_command(difference=0.05, task="lra/listops", preset="quick", results=folder) == 0
