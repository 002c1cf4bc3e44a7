"""Laws of the main job, end to end: real processes, a tiny task, methods that fail on purpose."""

import json
import subprocess
from pathlib import Path

import pytest

from results.store import Store
from tests.processes import Done, bench

TASK = "tests/fakes/tiny_task.py"
BAD = "tests.fakes.bad_methods"


def run(folder: Path, *words: str) -> Done:
    return bench(
        "run", "--task", TASK, "--results", str(folder), "--no-controls", "--threads", "1", *words
    )


def status(folder: Path) -> dict[str, tuple[str, str]]:
    records = Store(folder).read().records
    return {r.identity.method: (r.status, r.reason) for r in records}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    return folder, run(folder, "--methods", "performer:num_features=8", "no-mixing", "--json")


def test_a_trial_records_its_accuracy_and_its_price(good):
    folder, done = good
    assert done.returncode == 0, done.stderr
    record = next(r for r in Store(folder).read().records if r.identity.method == "performer")
    assert record.status == "completed"
    assert record.metrics[0].proportion.trials == 128
    assert record.metrics[0].value > 0.7
    cost = record.cost
    assert len(cost.step_seconds) == 37
    for price in (
        cost.tokens_per_step, cost.peak_memory_bytes, cost.parameters, cost.flops_per_step,
        cost.bytes_moved_per_step, cost.state_bytes,
    ):  # fmt: skip
        assert price > 0
    assert 0 <= cost.collapsed_rows <= 1
    assert record.machine.name
    assert record.data.digest
    assert len(record.training.evaluations) == 10


def test_json_goes_to_stdout_alone(good):
    _, done = good
    assert {r["identity"]["method"] for r in json.loads(done.stdout)} == {"performer", "no-mixing"}


def test_lines_tell_the_progress_where_there_is_no_terminal(good):
    _, done = good
    assert "[2/2]" in done.stderr


def test_what_is_on_record_is_not_run_again(good):
    folder, _ = good
    before = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    again = run(folder, "--methods", "performer:num_features=8", "no-mixing")
    assert "2 of 2 trials were on record" in again.stdout
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == before


def test_the_same_seed_gives_the_same_accuracy_and_curve(good, tmp_path):
    folder, _ = good
    run(tmp_path, "--methods", "performer:num_features=8")
    (again,) = Store(tmp_path).read().records
    first = next(r for r in Store(folder).read().records if r.identity == again.identity)
    assert again.training == first.training
    assert again.metrics == first.metrics


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    names = ("CRASHES", "DIES", "EXPLODES", "DEVOURS", "LEAKS")
    run(folder, "--methods", f"{BAD}:HANGS", "--time-limit", "2")
    methods = [f"{BAD}:{name}" for name in names]
    return folder, run(folder, "--methods", *methods, "no-mixing")


@pytest.mark.parametrize(
    ("method", "expected", "word"),
    [
        ("fake-crashes", "crashed", "RuntimeError: boom <b>with</b> [red]markup[/red]"),
        ("fake-dies", "crashed", "SIGSEGV"),
        ("fake-hangs", "timed-out", "2 s"),
        ("fake-explodes", "diverged", "loss"),
        ("fake-devours", "out-of-memory", "memory"),
        ("fake-leaks", "failed-gate", "padding"),
        ("no-mixing", "completed", ""),
    ],
)
def test_every_failure_leaves_a_record_and_the_run_goes_on(bad, method, expected, word):
    folder, done = bad
    assert done.returncode == 1, done.stderr
    found, reason = status(folder)[method]
    assert found == expected
    assert word in reason


def test_no_process_is_left_over(bad):
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    folder, _ = bad
    assert str(folder) not in listing.stdout


def test_a_folder_that_cannot_be_written_is_named_before_any_work():
    done = run(Path("/proc/nothing"), "--methods", "performer")
    assert done.returncode == 2
    assert "cannot write into '/proc/nothing'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--methods", "darkfomer"], "Did you mean 'darkformer'"),
        (["--methods", "performer:num_featurs=3"], "num_features"),
        (["--methods", "performer:num_features=x"], "takes num_features as int"),
        (["--methods", "performer", "--set", "stps=3"], "Did you mean 'steps'"),
        (["--methods", "performer", "--preset", "quik"], "Did you mean 'quick'"),
        (["--methods", "performer", "--source", "no/such/folder"], "no folder"),
        (["--methods", "performer", "--device", "cuda:9"], "cuda"),
        (["--methods", "./missing.py"], "no file"),
        (["--methods", "performer", "--seeds", "one"], "seeds"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, words, sentence):
    done = run(tmp_path, *words)
    assert done.returncode == 2, done.stdout
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_record_whose_method_has_changed_since_is_pointed_out(tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text(Path("examples/my_attention.py").read_text())
    run(tmp_path / "records", "--methods", str(file), "--set", "steps=5")
    file.write_text(file.read_text() + "# changed\n")
    again = run(tmp_path / "records", "--methods", str(file), "--set", "steps=5")
    assert "source of exponential-features, or what it shares" in again.stdout
    third = run(tmp_path / "records", "--methods", str(file), "--set", "steps=5", "--rerun")
    assert "source of exponential-features" not in third.stdout


def test_a_trial_that_passes_its_memory_limit_is_out_of_memory(tmp_path: Path):
    limited = ("--methods", f"{BAD}:GORGES", "--set", "steps=2", "--memory-limit")
    run(tmp_path / "tight", *limited, "0.5")
    assert status(tmp_path / "tight")["fake-gorges"][0] == "out-of-memory"
    # Freed blocks are kept, and small ones may settle in them: each call can need a new GiB.
    run(tmp_path / "wide", *limited, "12")
    assert status(tmp_path / "wide")["fake-gorges"] == ("completed", "")
