"""What `bench new` writes works as it is, and nothing is overwritten."""

import json
import re
from pathlib import Path

import pytest

from bench.cli.new import LONGEST_NAME, place_of
from bench.errors import UsageError
from results.store import Store
from tests.processes import ROOT, Done, bench, run_command

LONG = "a-name-as-long-as-a-name-may-b"
assert len(LONG) == LONGEST_NAME
METHODS = {"my-map": "feature_map", "recurrent": "mixer", LONG: "attention"}
"""A name that is an import's without its ending, and the longest one."""
TASKS = {"my-task": "trained", "my-family/my-probe": "probe", "starting-point-2": "cost"}


def stem(name: str) -> str:
    return name.rpartition("/")[2].replace("-", "_")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """One of each."""
    folder = tmp_path_factory.mktemp("new") / "made"
    for name, rung in METHODS.items():
        assert new("method", name, "--rung", rung, folder=folder).returncode == 0
    for name, kind in TASKS.items():
        assert new("task", name, "--kind", kind, folder=folder).returncode == 0
    return folder


def new(*words: str, folder: Path) -> Done:
    return bench("new", *words, "--folder", str(folder))


def test_every_written_test_passes(written):
    files = [str(path) for path in sorted(written.glob("test_*.py"))]
    done = run_command("-m", "pytest", "-q", "-p", "no:cacheprovider", *files)
    assert done.returncode == 0, done.stdout
    assert len(files) == len(METHODS) + len(TASKS)
    assert "25 passed" in done.stdout


@pytest.mark.parametrize("name", METHODS)
def test_a_written_method_keeps_the_contract(written, name):
    done = bench("check", str(written / f"{stem(name)}.py"), "--json")
    assert done.returncode == 0, done.stdout
    (laws,) = json.loads(done.stdout).values()
    assert sum(not law["skipped"] for law in laws) > 8


@pytest.mark.parametrize("name", METHODS)
def test_a_written_method_can_be_run_on_the_arena(written, name):
    file = str(written / f"{stem(name)}.py")
    done = bench("plan", "--methods", file, "--task", "lra/listops", "--no-controls", "--json")
    (trial,) = json.loads(done.stdout)
    assert (trial["method"], trial["state"]) == (name, "to run")


def test_a_written_method_runs_on_a_written_task(written, tmp_path):
    done = bench(
        "run", "--methods", str(written / "recurrent.py"), "--task", str(written / "my_task.py"),
        "--no-controls", "--set", "steps=3", "--threads", "1", "--results", str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (record,) = Store(tmp_path).read().records
    assert (record.status, record.identity.method) == ("completed", "recurrent")
    assert record.identity.task == "my-task"


def test_a_written_probe_and_a_written_cost_task_measure(written, tmp_path):
    tasks = {"my_probe.py": ("lengths=5", "draws=1"), "starting_point_2.py": ("lengths=8",)}
    for file, settings in tasks.items():
        done = bench(
            "run", "--methods", "softmax", "--task", str(written / file), "--no-controls",
            "--set", *settings, "--threads", "1", "--results", str(tmp_path),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    records = {r.identity.task: r for r in Store(tmp_path).read().records}
    assert {r.status for r in records.values()} == {"completed"}
    assert records["my-family/my-probe"].probe.points[0].value < 1e-5
    assert records["starting-point-2"].curve.cells


def test_nothing_of_the_template_s_own_name_is_left(written):
    for path in written.glob("*.py"):
        text = path.read_text(encoding="utf-8").replace("starting-point-2", "")
        text = text.replace("starting_point_2", "")
        assert not re.search("starting.?point|bench[.]templates", text, re.IGNORECASE), path


def test_a_written_line_is_never_too_long(written):
    lines = [line for path in written.glob("*.py") for line in path.read_text().splitlines()]
    assert max(map(len, lines)) <= 100


def test_nothing_is_ever_overwritten(tmp_path):
    for taken in ("my_attention.py", "test_my_attention.py"):
        folder = tmp_path / taken.removesuffix(".py")
        folder.mkdir()
        (folder / taken).write_text("mine")
        done = new("method", "my-attention", folder=folder)
        assert done.returncode == 2
        assert "is there already, and is left as it is" in done.stderr
        assert [path.read_text() for path in folder.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("method", "performer"), "is taken by methods.performer:METHOD"),
        (("task", "lra/listops"), "is taken by tasks.lra.listops:TASK"),
        (("task", "lra"), "is taken by tasks.lra.suite:SUITE"),
        (("method", "My-Method"), "names are lowercase words with hyphens"),
        (("method", "my_method"), "names are lowercase words with hyphens"),
        (("method", "my--method"), "names are lowercase words with hyphens"),
        (("method", "2fast"), "names are lowercase words with hyphens"),
        (("method", "../away"), "names are lowercase words with hyphens"),
        (("method", "family/name"), "names are lowercase words with hyphens"),
        (("task", "a/b/c"), "names are lowercase words with hyphens"),
        (("task", "x" * (LONGEST_NAME + 1)), "of 30 characters at most"),
        (("method", "torch"), "could not be imported under its name"),
        (("method", "class"), "could not be imported under its name"),
        (("method", "conftest"), "could not be imported under its name"),
        (("method", "mine", "--kind", "probe"), "--kind is for tasks"),
        (("task", "mine", "--rung", "mixer"), "--rung is for methods"),
    ],
)
def test_what_cannot_be_written_is_answered_with_a_sentence(tmp_path, words, sentence):
    done = new(*words, folder=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    done = new("method", "my-attention", folder=tmp_path / "file")
    assert done.returncode == 2
    assert "is a file. Name a folder" in done.stderr


def test_in_the_registry_s_folder_a_test_goes_where_tests_are():
    place = place_of("method", "my_attention", ROOT / "methods")
    assert place.registered
    assert place.module == "methods.my_attention"
    assert place.test == ROOT / "tests" / "methods" / "test_my_attention.py"
    assert place_of("task", "mine", ROOT / "tasks" / "lra").module == "tasks.lra.mine"


@pytest.mark.parametrize("folder", [ROOT / "methods" / "core", ROOT / "methods" / "nowhere"])
def test_a_folder_that_the_registry_looks_past_is_refused(folder):
    with pytest.raises(UsageError, match="is not registered"):
        place_of("method", "my_attention", folder)


def test_a_command_that_comes_next_is_told_and_means_the_file(tmp_path):
    done = new("method", "my-attention", folder=tmp_path)
    assert f"python -m bench check {tmp_path}/my_attention.py" in done.stdout
