"""The reproduce command: its plan, its trials, and what it says of claims it cannot test."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from reports.claims.papers import papers
from results.store import Store
from tests.processes import Done, bench

NAMES = [claim.name for claim in papers()["darkformer"].claims]


def reproduce(folder: Path, *words: str) -> Done:
    place = ("--results", str(folder), "--cache", str(folder / "cache"), "--device", "cpu")
    return bench("reproduce", *words, *place, "--threads", "1")


def planned(folder: Path, *words: str) -> list[dict]:
    done = reproduce(folder, "darkformer", "--dry-run", "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["darkfomer"], "Did you mean 'darkformer'? There are claims of: darkformer."),
        ([], "Name a method. There are claims of: darkformer."),
        (["darkformer", "--only", "equivalense"], "Did you mean 'equivalence'?"),
        (["darkformer", "--preset", "huge"], "huge"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, words: Sequence[str], sentence):
    done = reproduce(tmp_path, *words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("preset", ["quick", "small", "paper"])
def test_every_claim_has_trials_that_can_be_planned(tmp_path, preset):
    assert {row["task"] for row in planned(tmp_path, "--preset", preset)} == {
        "probes/real-qk",
        "probes/variance",
        "probes/equivalence",
        "c4/pretrain",
        "c4/finetune",
        "c4/stability",
        "cost",
    }


def test_a_trial_that_several_claims_need_runs_once(tmp_path):
    assert len(planned(tmp_path, "--only", "anisotropic", "explodes")) == 1


def test_seeds_are_of_trainings_alone(tmp_path):
    rows = planned(tmp_path, "--only", "finetuning", "equivalence", "--seeds", "7", "8")
    seeds = {(row["task"], row["seed"]) for row in rows}
    assert seeds == {("c4/finetune", 7), ("c4/finetune", 8), ("probes/equivalence", 0)}


def test_a_dry_run_shows_the_rules_and_runs_nothing(tmp_path):
    done = reproduce(tmp_path / "records", "darkformer", "--dry-run")
    assert done.returncode == 0, done.stderr
    for claim in papers()["darkformer"].claims:
        assert claim.name in done.stdout
        assert claim.rule in done.stdout
    assert not (tmp_path / "records").exists()


def test_what_takes_a_gpu_is_not_begun_on_a_cpu(tmp_path):
    names = ("anisotropic", "linear-cost")
    words = ("--preset", "paper", "--only", *names, "--json")
    done = reproduce(tmp_path, "darkformer", *words)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {row["claim"] for row in rows} == set(names)
    for row in rows:
        assert row["verdict"] == "not tested here"
        assert "unavailable. It needs a GPU" in row["note"]
        assert row["ran"] == ""


def test_a_claim_is_run_judged_and_not_run_again(tmp_path):
    done = reproduce(tmp_path, "darkformer", "--only", "equivalence")
    assert done.returncode == 0, done.stderr
    assert "proposition 4.1" in done.stdout
    assert "Rule of equivalence" in done.stdout
    (record,) = Store(tmp_path).read().records
    assert record.identity.task == "probes/equivalence"
    again = reproduce(tmp_path, "darkformer", "--only", "equivalence", "--format", "json")
    assert "[1/1]" in done.stderr
    assert "[1/1]" not in again.stderr
    (row,) = json.loads(again.stdout)
    assert row["verdict"] == "reproduced"
    assert row["records"] == [record.identity.file_name()]
