"""`bench report`: the file that it writes, and what it says where it cannot."""

import json
import shlex
from pathlib import Path

import pytest

from reports.page import build
from reports.page.trials import repeat
from results.store import Store
from tests.processes import bench
from tests.results.records import failed_record, fake_identity, fake_record

pytest.importorskip("altair")
pytest.importorskip("jinja2")
MEASURED = Path(__file__).parents[2] / "results" / "measured"


@pytest.fixture(autouse=True)
def _without_the_drawing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_bundle", lambda: "window.vegaEmbed = null;")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    Store(folder).write(fake_record())
    Store(folder).write(failed_record(fake_identity("broken")))
    return folder


def test_a_page_is_written_and_named(folder, tmp_path):
    target = tmp_path / "page.html"
    done = bench("report", "--html", str(target), "--results", str(folder))
    assert done.returncode == 0, done.stderr
    assert f"Wrote {target}: 2 records" in done.stdout
    assert target.read_text().startswith("<!DOCTYPE html>")
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_several_folders_share_a_page_and_the_later_record_of_a_trial_counts(folder, tmp_path):
    other = tmp_path / "other"
    Store(other).write(fake_record(started="2002-01-01T00:00:00+00:00", machine="Later CPU"))
    target = tmp_path / "page.html"
    done = bench("report", str(folder), str(other), "--html", str(target))
    assert "2 records" in done.stdout
    assert "Later CPU" in target.read_text()


def test_filters_are_those_of_compare(folder, tmp_path):
    target = tmp_path / "page.html"
    words = ("report", "--html", str(target), "--results", str(folder))
    assert bench(*words, "--methods", "broken").stdout.count("1 records") == 1
    assert "Did you mean 'broken'" in bench(*words, "--methods", "brokn").stderr


def test_files_that_are_no_records_are_named_on_the_page(folder, tmp_path):
    (folder / "foreign.json").write_text('{"not": "ours"}')
    target = tmp_path / "page.html"
    bench("report", "--html", str(target), "--results", str(folder))
    assert "foreign.json: is not a record of this bench" in target.read_text()


@pytest.mark.parametrize(
    ("results", "html", "hint"),
    [
        ("nowhere", "page.html", "does not exist"),
        ("empty", "page.html", "no records here"),
        ("results", "no/such/folder/page.html", "cannot be written"),
        ("results", "empty", "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(folder, tmp_path, results, html, hint):
    (tmp_path / "empty").mkdir()
    words = ("--html", str(tmp_path / html), "--results", str(tmp_path / results))
    done = bench("report", *words)
    assert done.returncode == 2
    assert hint in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_package_is_named_with_how_to_install_it(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "find_spec", lambda name: None if name == "jinja2" else object())
    done = bench("report", "--html", str(tmp_path / "page.html"), "--results", str(folder))
    assert done.returncode == 2
    assert "pip install jinja2" in done.stderr


@pytest.mark.parametrize("name", ["demo", "small", "cost", "probes"])
def test_the_command_on_the_page_plans_the_very_trial(name):
    record = Store(MEASURED / name).read().records[0]
    words = repeat(record).removeprefix("python -m bench run ")
    words = words.split(" --threads")[0]
    done = bench("plan", *shlex.split(words), "--no-controls", "--json")
    assert done.returncode == 0, done.stderr
    (planned,) = json.loads(done.stdout)
    identity = record.identity.model_dump()
    assert {name: planned[name] for name in identity} == identity
