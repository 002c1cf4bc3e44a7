"""The laws of merging: nothing is lost, nothing is replaced unasked."""

import gzip
import json
from pathlib import Path

import pytest

from results.folders import LocalFolder
from results.merging import merge
from results.store import Store
from tests.results.records import fake_identity, fake_record

OLD, NEW = "2001-01-01T00:00:00+00:00", "2002-01-01T00:00:00+00:00"


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Store, Store, Store]:
    """Two sources and a destination."""
    return Store(tmp_path / "a"), Store(tmp_path / "b"), Store(tmp_path / "into")


def contents(store: Store) -> dict[str, bytes]:
    return dict(store.folder.read(store.folder.names()))


def test_every_record_is_copied_byte_for_byte_under_its_own_name(stores):
    a, b, into = stores
    for seed in (0, 1):
        a.write(fake_record(fake_identity(seed=seed)))
    path = Path(b.write(fake_record(fake_identity(seed=2))))
    spaced = json.dumps(json.loads(path.read_bytes()), indent=3).encode()
    path.write_bytes(spaced)
    path.rename(path.with_name("renamed.json"))
    done = merge([a, b], into)
    assert (done.copied, done.same, done.conflicts, done.problems) == (3, 0, [], [])
    assert contents(into) == contents(a) | {path.name: spaced}


def test_merging_again_copies_nothing(stores):
    a, _, into = stores
    a.write(fake_record())
    merge([a], into)
    done = merge([a], into)
    assert (done.copied, done.same, done.conflicts) == (0, 1, [])


def test_a_record_of_the_same_content_is_the_same_however_it_is_written_and_packed(stores):
    a, b, into = stores
    path = Path(a.write(fake_record()))
    b.write(fake_record())
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(json.dumps(json.loads(path.read_bytes()), indent=1).encode()))
    path.unlink()
    done = merge([a, b], into)
    assert (done.copied, done.same) == (1, 1)
    assert contents(into) == {packed.name: packed.read_bytes()}


def test_another_outcome_of_a_trial_is_a_conflict_that_replaces_nothing(stores):
    a, _, into = stores
    a.write(fake_record(started=NEW, accuracy=0.3))
    into.write(fake_record(started=OLD, accuracy=0.2))
    before = contents(into)
    (conflict,) = merge([a], into).remaining
    assert conflict.differs == {"started": (NEW, OLD), "accuracy": ("0.3", "0.2")}
    assert contents(into) == before


def test_two_sources_that_disagree_are_a_conflict_too(stores):
    a, b, into = stores
    a.write(fake_record(started=OLD))
    b.write(fake_record(started=NEW))
    done = merge([a, b], into)
    assert (done.copied, len(done.remaining)) == (1, 1)
    assert contents(into) == contents(a)


@pytest.mark.parametrize(
    ("prefer", "first", "second", "stands"),
    [
        ("newest", OLD, NEW, "source"),
        ("newest", NEW, OLD, "destination"),
        ("source", NEW, OLD, "source"),
        ("destination", OLD, NEW, "destination"),
    ],
)
def test_what_is_preferred_decides(stores, prefer, first, second, stands):
    a, _, into = stores
    into.write(fake_record(started=first))
    a.write(fake_record(started=second))
    wanted = contents(a if stands == "source" else into)
    done = merge([a], into, prefer=prefer)
    assert [conflict.kept for conflict in done.conflicts] == [stands]
    assert not done.remaining
    assert contents(into) == wanted


def test_of_two_that_began_at_once_none_is_the_newest(stores):
    a, _, into = stores
    into.write(fake_record(accuracy=0.2))
    a.write(fake_record(accuracy=0.3))
    assert len(merge([a], into, prefer="newest").remaining) == 1


@pytest.mark.parametrize("packed", ["source", "destination"])
def test_the_file_that_is_replaced_is_the_one_that_lies_there(stores, packed):
    a, _, into = stores
    paths = {
        "source": Path(a.write(fake_record(started=OLD, accuracy=0.3))),
        "destination": Path(into.write(fake_record(started=NEW, accuracy=0.2))),
    }
    path = paths[packed]
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    merge([a], into, prefer="source")
    assert len(contents(into)) == 1
    assert into.read().records == a.read().records


def test_a_trial_that_lies_there_twice_is_left_to_its_owner(stores):
    a, _, into = stores
    path = Path(into.write(fake_record(started=OLD)))
    path.rename(path.with_name("copy.json"))
    into.write(fake_record(started=NEW))
    a.write(fake_record(started=OLD, accuracy=0.1))
    (conflict,) = merge([a], into, prefer="source").remaining
    assert conflict.differs["files"] == ("one", "several of this trial")


def test_damaged_files_are_named_and_left(stores):
    a, _, into = stores
    a.write(fake_record(fake_identity(seed=0)))
    path = Path(a.write(fake_record(fake_identity(seed=1))))
    path.write_bytes(path.read_bytes()[:99])
    done = merge([a], into)
    assert done.copied == 1
    assert [problem.file for problem in done.problems] == [str(path)]
    assert path.name not in contents(into)


def test_a_damaged_file_at_the_destination_is_replaced_only_when_asked(stores):
    a, _, into = stores
    a.write(fake_record())
    path = Path(into.write(fake_record()))
    path.write_bytes(b"{")
    done = merge([a], into)
    assert len(done.remaining) == 1
    assert path.read_bytes() == b"{"
    assert not merge([a], into, prefer="newest").remaining
    assert contents(into) == contents(a)


def test_a_dry_run_says_the_same_and_copies_nothing(stores):
    a, b, into = stores
    a.write(fake_record(started=OLD))
    b.write(fake_record(started=NEW))
    said = merge([a, b], into, dry_run=True)
    assert not contents(into)
    assert said == merge([a, b], into)


def test_an_older_schema_is_copied_as_it_is_and_read_as_ever(stores):
    a, _, into = stores
    path = Path(a.write(fake_record()))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 2}))
    merge([a], into)
    assert contents(into) == contents(a)
    assert into.read().records == (fake_record(),)


class Restless(LocalFolder):
    """Another writer replaces each of its files as soon as it was read."""

    def read(self, names):
        for name, content in super().read(names):
            yield name, content
            self.write(name, content + b" ")


def test_a_file_that_changes_while_it_is_merged_is_named_and_not_copied(stores):
    a, _, into = stores
    path = Path(a.write(fake_record()))
    a.folder = Restless(path.parent)
    (problem,) = merge([a], into).problems
    assert "merge again" in problem.reason
    assert not into.folder.names()
