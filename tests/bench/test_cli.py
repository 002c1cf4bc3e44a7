"""Laws of the commands that only look."""

import json
from pathlib import Path

import pytest

from tests.bench.test_run import TASK
from tests.processes import bench


def test_an_example_method_in_one_file_keeps_the_contract_and_runs(tmp_path: Path):
    checked = bench("check", "examples/my_attention.py")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "keeps the contract" in checked.stdout
    done = bench(
        "run", "--methods", "examples/my_attention.py:temperature=2.0", "--task", TASK,
        "--no-controls", "--threads", "1", "--results", str(tmp_path), "--json",
    )  # fmt: skip
    (record,) = json.loads(done.stdout)
    assert record["status"] == "completed"
    assert record["identity"]["method_options"] == {"temperature": 2.0}


def test_a_method_that_breaks_the_contract_is_named_with_the_law():
    done = bench("check", "tests.fakes.bad_methods:LEAKS")
    assert done.returncode == 1
    assert "NO padding-as-good-as-absent" in done.stdout


def test_a_method_that_cannot_be_checked_here_is_told_with_the_reason():
    done = bench("check", "flash-attention", "--head-dim", "12")
    assert done.returncode == 0, done.stdout
    assert "flash-attention is not checked here: " in done.stdout


@pytest.mark.parametrize(
    ("what", "word"),
    [("methods", "darkformer"), ("tasks", "lra/pathx"), ("suites", "lra"), ("presets", "nystrom")],
)
def test_everything_registered_is_listed(what, word):
    done = bench("list", what, "--json")
    assert word in done.stdout
    assert json.loads(done.stdout)


def test_methods_are_listed_by_family_and_by_what_runs_here():
    def listed(*words: str) -> list[dict[str, str]]:
        return json.loads(bench("list", "methods", "--json", *words).stdout)

    of_family = listed("--family", "random features")
    assert {"performer", "darkformer", "performer-pytorch"} <= {row["name"] for row in of_family}
    assert "softmax" not in {row["name"] for row in of_family}
    assert {row["here"] for row in listed("--available")} == {"available"}
    wrong = bench("list", "methods", "--family", "random feature")
    assert wrong.returncode == 2
    assert "Did you mean 'random features'" in " ".join(wrong.stderr.split())


def test_a_listed_method_says_where_it_runs_and_what_is_missing():
    rows = {row["name"]: row for row in json.loads(bench("list", "methods", "--json").stdout)}
    assert rows["performer"]["runs"] == "on cpu, cuda in float64, float32, bfloat16, float16"
    assert all(row["family"] and row["time"] and row["here"] for row in rows.values())
    missing = [row["here"] for row in rows.values() if " needs " in row["here"]]
    assert all("Install with: " in reason for reason in missing)


def test_a_plan_shows_every_trial_and_runs_none(tmp_path: Path):
    done = bench(
        "plan", "--methods", "performer", "--task", "lra", "--seeds", "0", "1",
        "--results", str(tmp_path / "new"), "--json",
    )  # fmt: skip
    trials = json.loads(done.stdout)
    # Performer, three floors and a ceiling, on five tasks with two seeds.
    assert len(trials) == 5 * 5 * 2
    assert {t["state"] for t in trials} == {"to run"}
    assert not (tmp_path / "new").exists()


def test_a_dry_run_is_a_plan(tmp_path: Path):
    words = ("--methods", "performer", "--task", "lra/text", "--source", "generated")
    done = bench("run", *words, "--dry-run", "--results", str(tmp_path / "new"))
    assert done.returncode == 0
    assert "has no source 'generated'" in " ".join(done.stdout.split())
    assert not (tmp_path / "new").exists()


def test_doctor_tells_the_machine_and_what_is_missing():
    report = json.loads(bench("doctor", "--json").stdout)
    assert report["machine"]["cores"] > 0
    assert report["methods"]["softmax"] == "available"


@pytest.mark.parametrize(
    "words", [(), ("run",), ("plan",), ("list",), ("check",), ("compare",), ("new",)]
)
def test_every_page_of_help_has_an_example(words):
    done = bench(*words, "--help")
    assert done.returncode == 0
    assert "python -m bench" in done.stdout.split("Examples:")[1]


@pytest.mark.parametrize("words", [("frobnicate",), ("list", "everything"), ("run",)])
def test_a_command_line_that_means_nothing_is_answered_with_a_sentence(words):
    done = bench(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
