"""What a record may say about where it comes from."""

import shutil
import subprocess
from pathlib import Path

import pytest

from bench.provenance import command_line, commit_and_dirty, describe_provenance, source_digest

HEX_DIGITS = 64
git_only = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@b.invalid", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "api.py").write_text("X = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "Begin")
    return tmp_path


@git_only
def test_a_clean_checkout_names_its_commit(checkout: Path) -> None:
    assert commit_and_dirty(checkout) == (git(checkout, "rev-parse", "HEAD"), False)


@git_only
@pytest.mark.parametrize("name", ["api.py", "new.py"])
def test_source_that_differs_from_the_commit_is_dirty(checkout: Path, name: str) -> None:
    (checkout / "methods" / name).write_text("X = 2\n")
    assert commit_and_dirty(checkout)[1] is True


@git_only
def test_results_lying_about_are_not_dirt(checkout: Path) -> None:
    (checkout / "table.md").write_text("numbers")
    assert commit_and_dirty(checkout)[1] is False


@git_only
def test_a_package_below_somebody_s_repository_does_not_take_its_commit(checkout: Path) -> None:
    assert commit_and_dirty(checkout / "methods") == (None, None)


def test_a_folder_without_a_repository_has_no_commit(tmp_path: Path) -> None:
    assert commit_and_dirty(tmp_path) == (None, None)


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_and_dirty(tmp_path / "absent") == (None, None)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in which `methods/one.py` imports `methods.core.shared`."""
    for name, text in {
        "methods/api.py": "A = 1\n",
        "methods/one.py": "from methods.core import shared\n",
        "methods/other.py": "B = 1\n",
        "methods/core/__init__.py": "",
        "methods/core/shared.py": "def f():\n    from methods.deeper import C\n",
        "methods/deeper.py": "C = 1\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def digest_of_one(project: Path) -> str:
    file = project / "methods" / "one.py"
    return source_digest(file, "methods", shared="methods/core/*.py", root=project)


@pytest.mark.parametrize("name", ["one.py", "api.py", "core/shared.py", "deeper.py"])
def test_whatever_a_source_rests_on_changes_its_digest(project: Path, name: str) -> None:
    before = digest_of_one(project)
    with (project / "methods" / name).open("a") as file:
        file.write("# changed\n")
    assert digest_of_one(project) != before


def test_another_method_does_not_change_the_digest(project: Path) -> None:
    before = digest_of_one(project)
    (project / "methods" / "other.py").write_text("B = 2\n")
    assert digest_of_one(project) == before


def test_the_digest_is_the_same_wherever_the_project_lies(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = digest_of_one(project)
    moved = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(project, moved)
    assert digest_of_one(moved) == before


def test_line_ends_do_not_change_the_digest(project: Path) -> None:
    before = digest_of_one(project)
    path = project / "methods" / "one.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert digest_of_one(project) == before


def test_a_source_that_vanished_raises_nothing() -> None:
    found = describe_provenance(
        method_file=Path("no-such-method.py"),
        task_file=None,
        command="python -m bench run",
        started="2026-01-02T03:04:05+00:00",
        seconds=1.5,
    )
    assert len(found.method_digest) == len(found.task_digest) == HEX_DIGITS


def test_a_command_is_written_as_a_reader_types_it() -> None:
    written = command_line(["run", "--methods", "performer:num_features=64", "--set", "a b"])
    assert written == "python -m bench run --methods performer:num_features=64 --set 'a b'"


def test_a_command_shows_neither_home_nor_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(tmp_path))
    written = command_line(["run", "--results", f"{work}/out", "--source", f"{tmp_path}/lra data"])
    assert written == "python -m bench run --results out --source ~/'lra data'"
