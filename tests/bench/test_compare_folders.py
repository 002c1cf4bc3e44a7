"""Two results folders against each other, and records chosen by machine, commit and time."""

import json
from pathlib import Path

import pytest

from bench.cli import run_words
from bench.cli.compare import compare_command
from bench.cli.records import Filters
from bench.errors import UsageError
from results.store import Store
from tests.results.records import fake_identity, fake_record


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The same trials, those of the second folder half as fast."""
    for name, seconds in (("old", 0.01), ("new", 0.02)):
        for seed in (0, 1, 2):
            identity = fake_identity("performer", seed=seed)
            Store(tmp_path / name).write(fake_record(identity, step_seconds=seconds + seed * 1e-5))
    return tmp_path / "old", tmp_path / "new"


def test_two_folders_are_held_against_each_other(folders, capsys):
    assert compare_command(*folders, format="json") == 0
    found = {row["quantity"]: row["verdict"] for row in json.loads(capsys.readouterr().out)}
    assert found["step_seconds"] == "worse"
    assert found["accuracy"] == "same"


def test_what_became_slower_than_allowed_fails_and_is_named(folders, capsys):
    old, new = folders
    assert compare_command(old, new, fail_over=1.1) == 1
    assert "time of a step 10.0 ms -> 20.0 ms" in capsys.readouterr().err
    assert compare_command(old, new, fail_over=3.0) == 0
    assert compare_command(new, old, fail_over=1.1) == 0
    assert compare_command(old, new, fail_over=1.1, cost=False) == 0


def test_folders_are_words_of_the_command_line(folders, capsys):
    old, new = map(str, folders)
    assert run_words(["compare", old, new, "--task", "lra", "--fail-over", "1.1"]) == 1
    assert run_words(["compare", old, "--format", "csv"]) == 0
    assert "Changes from" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "options", "hint"),
    [
        (3, {}, "takes two"),
        (2, {"part": "ledger"}, "leave out --part"),
        (2, {"against": "published"}, "--against"),
        (2, {"fail_over": 0.5}, "at least 1"),
        (2, {"fail_over": float("nan")}, "at least 1"),
        (1, {"fail_over": 1.1}, "two folders"),
        (0, {"fail_over": 1.1}, "two folders"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(folders, number, options, hint):
    with pytest.raises(UsageError, match=hint):
        compare_command(*([folders[0]] * number), **options)


def test_a_folder_without_records_is_named(folders, tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        compare_command(folders[0], tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({"machine": ("Other",)}, {"1"}),
        ({"machine": ("CPU",)}, {"0", "1"}),
        ({"commit": ("000",)}, {"0", "1"}),
        ({"since": "2020-01-01"}, {"1"}),
        ({"until": "2020-01-01T00:00:00+00:00"}, {"0"}),
    ],
)
def test_records_are_chosen_by_machine_commit_and_time(tmp_path, capsys, filters, kept):
    old = fake_record(fake_identity("a", seed=0), started="2019-05-17T09:00:00+00:00")
    new = fake_record(
        fake_identity("a", seed=1), started="2021-05-17T09:00:00", machine="Other CPU"
    )
    for record in (old, new):
        Store(tmp_path).write(record)
    compare_command(results=tmp_path, filters=Filters(**filters), format="json", cost=False)
    (seeds,) = {r["seeds"] for r in json.loads(capsys.readouterr().out) if r["method"] == "a"}
    assert set(seeds.split()) == kept


@pytest.mark.parametrize(
    ("filters", "hint"),
    [
        ({"machine": ("Abacus",)}, "Fake CPU"),
        ({"commit": ("f00",)}, "000000000"),
        ({"since": "yesterday"}, "2031-05-17"),
        ({"until": "1999-01-01"}, "Leave one of them out"),
    ],
)
def test_a_choice_that_matches_nothing_says_what_there_is(folders, filters, hint):
    with pytest.raises(UsageError, match=hint):
        compare_command(folders[0], filters=Filters(**filters))
