"""Laws of what a store tells a plan: how trials ended, in little, and never more than is there."""

from pathlib import Path

from results.store import Store
from tests.results.records import failed_record, fake_identity, fake_record


def test_heads_say_of_each_trial_how_it_ended_and_how_long_it_took(tmp_path: Path):
    store = Store(tmp_path)
    done, refused = fake_record(), failed_record(fake_identity("other"))
    store.write(done)
    store.write(refused)
    heads = store.heads()
    assert heads[done.identity.digest()] == (done.identity, "completed", False, 12.5)
    assert heads[refused.identity.digest()].status == "unsupported"


def test_heads_of_some_trials_are_those_alone(tmp_path: Path):
    store = Store(tmp_path)
    for seed in range(3):
        store.write(fake_record(fake_identity(seed=seed)))
    asked = [fake_identity(seed=1), fake_identity(seed=9)]
    assert list(store.heads(asked)) == [asked[0].digest()]
    assert store.heads([]) == {}
    assert Store(tmp_path / "absent").heads() == {}


def test_a_damaged_file_has_no_head_and_of_two_copies_the_newer_counts(tmp_path: Path):
    store = Store(tmp_path)
    store.write(fake_record(fake_identity(seed=1)))
    (tmp_path / fake_identity(seed=2).file_name()).write_text('{"schema": ')
    newer = failed_record(fake_identity(seed=1), status="crashed")
    later = newer.provenance.model_copy(update={"started": "2001-02-04T04:05:06+00:00"})
    newer = newer.model_copy(update={"provenance": later})
    (tmp_path / "a copy.json").write_text(newer.model_dump_json())
    (head,) = store.heads().values()
    assert head.status == "crashed"


def test_a_record_that_another_run_has_written_is_found_by_its_name(tmp_path: Path):
    store, identity = Store(tmp_path / "results"), fake_identity()
    assert store.written(identity) is None
    Store(tmp_path / "results").write(fake_record(identity))
    assert store.written(identity) == fake_record(identity)
    (tmp_path / "results" / identity.file_name()).write_text("{")
    assert store.written(identity) is None
