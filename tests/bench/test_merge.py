"""Laws of `bench merge`: what it says, and with which exit code."""

import json
from pathlib import Path

import pytest

from results.store import Store
from tests.processes import bench
from tests.results.records import fake_identity, fake_record


@pytest.fixture
def places(tmp_path: Path) -> tuple[str, str]:
    """A source with a record that the destination lacks, and one that it has otherwise."""
    source, into = str(tmp_path / "june"), str(tmp_path / "summer")
    for seed in (0, 1):
        Store(source).write(fake_record(fake_identity(seed=seed), accuracy=0.5))
    Store(into).write(fake_record(fake_identity(seed=1), accuracy=0.25))
    return source, into


def test_what_is_copied_is_counted_and_a_conflict_says_what_differs(places):
    source, into = places
    done = bench("merge", source, "--into", into)
    assert done.returncode == 1
    assert f"Copied into {into}: 1. There already: 0." in done.stdout
    assert "fake-attention lra/listops quick seed 1" in done.stdout
    assert "accuracy 0.5 in the source, 0.25 at the destination: undecided" in done.stdout
    assert len(Store(into).read().records) == 2


def test_a_conflict_that_is_decided_is_no_failure(places):
    source, into = places
    done = bench("merge", source, "--into", into, "--prefer", "source")
    assert done.returncode == 0
    assert "the source stands" in done.stdout
    assert bench("merge", source, "--into", into).returncode == 0


def test_json_holds_the_same(places):
    source, into = places
    done = bench("merge", source, "--into", into, "--json")
    report = json.loads(done.stdout)
    assert (report["copied"], report["same"]) == (1, 0)
    assert report["conflicts"][0]["differs"]["accuracy"] == ["0.5", "0.25"]
    assert report["conflicts"][0]["kept"] is None


def test_a_dry_run_makes_no_folder(places, tmp_path):
    done = bench("merge", places[0], "--into", str(tmp_path / "new"), "--dry-run")
    assert done.returncode == 0
    assert done.stdout.startswith("Would copy into ")
    assert not (tmp_path / "new").exists()


def test_damaged_files_go_to_stderr(places):
    source, into = places
    (Path(source) / "foreign.json").write_text("{")
    done = bench("merge", source, "--into", into)
    assert f"Passed over {source}/foreign.json: is not whole JSON" in done.stderr


@pytest.mark.parametrize(
    ("sources", "reason"),
    [
        ([], "name the folders to merge"),
        (["nowhere"], "'nowhere' does not exist"),
        (["{source}", "{into}/../summer"], "is both a source and the destination"),
    ],
)
def test_bad_input_is_one_sentence(places, sources, reason):
    source, into = places
    words = [word.format(source=source, into=into) for word in sources]
    done = bench("merge", *words, "--into", into)
    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_places_behind_urls_are_merged_with_folders(places):
    source, _ = places
    done = bench("merge", source, "--into", "memory://merged/all")
    assert done.returncode == 0
    assert len(Store("memory://merged/all").read().records) == 2
    back = bench("merge", "memory://merged/all", "--into", source)
    assert "There already: 2." in back.stdout
