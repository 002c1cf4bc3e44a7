"""The laws of the store: whole or not at all, named and skipped, never deleted."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import migrations, record
from results.folders import LEFTOVER_SECONDS, StoreError
from results.record import Identity, Record
from results.store import Store
from tests.results.records import failed_record, fake_identity, fake_record


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "made" / "on-demand")


def written(store: Store, record: Record) -> Path:
    return Path(store.write(record))


def reasons(store: Store) -> dict[str, str]:
    return {problem.file: problem.reason for problem in store.read().problems}


def test_what_is_written_is_read_back(store):
    written = [fake_record(fake_identity(seed=seed)) for seed in (0, 1)] + [
        failed_record(fake_identity("other"))
    ]
    for each in written:
        store.write(each)
    reading = store.read()
    assert sorted(reading.records, key=str) == sorted(written, key=str)
    assert reading.problems == ()


def test_a_file_carries_its_schema_under_that_name(store):
    document = json.loads(written(store, fake_record()).read_text())
    assert document["schema"] == record.SCHEMA
    assert "schema_" not in document


@given(
    st.dictionaries(
        st.text(max_size=5), st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False))
    )
)
def test_an_identity_keeps_its_digest_through_json(options):
    identity = fake_identity(options=options)
    again = Identity.model_validate_json(identity.model_dump_json())
    assert again.digest() == identity.digest()


def test_a_folder_that_is_not_there_is_empty(tmp_path):
    reading = Store(tmp_path / "nowhere").read()
    assert (reading.records, reading.problems) == ((), ())
    assert not (tmp_path / "nowhere").exists()


def test_writing_again_replaces(store):
    store.write(failed_record())
    store.write(fake_record())
    assert [r.status for r in store.read().records] == ["completed"]


def test_a_stored_trial_is_found_and_another_is_not(store):
    store.write(fake_record(fake_identity(seed=7)))
    assert store.has(fake_identity(seed=7))
    assert not store.has(fake_identity(seed=8))


def test_many_trials_are_found_at_once(store):
    for seed in (0, 1, 2):
        store.write(fake_record(fake_identity(seed=seed)))
    wanted = [fake_identity(seed=seed) for seed in (1, 2, 3)]
    assert store.find_all(wanted).keys() == {identity.digest() for identity in wanted[:2]}


def test_a_truncated_record_is_named_skipped_kept_and_not_counted_as_done(store):
    path = written(store, fake_record())
    path.write_bytes(path.read_bytes()[:200])
    assert "not whole JSON" in reasons(store)[path.name]
    assert not store.has(fake_identity())
    assert path.exists()


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b'{"a": 1}', b"\xff\xfe", b"[" * 100_000])
def test_a_foreign_file_is_named_and_skipped(store, content):
    store.write(fake_record())
    (store.folder.path / "foreign.json").write_bytes(content)
    assert reasons(store).keys() == {"foreign.json"}
    assert len(store.read().records) == 1


def test_files_that_are_no_json_do_not_concern_the_store(store):
    store.write(fake_record())
    (store.folder.path / "page.html").write_text("<p>")
    (store.folder.path / "folder.json.d").mkdir()
    assert store.read().problems == ()


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_newer_schema_is_named_and_the_bench_is_to_be_updated(store):
    path = written(store, fake_record())
    change(path, schema=record.SCHEMA + 1, novelty=1)
    assert "update the bench" in reasons(store)[path.name]


def test_an_older_schema_without_migration_is_named(store):
    path = written(store, fake_record())
    change(path, schema=0)
    assert "no migration is known" in reasons(store)[path.name]


def test_a_record_that_does_not_fit_its_schema_is_named_with_the_field(store):
    path = written(store, fake_record())
    change(path, status="splendid")
    assert "status" in reasons(store)[path.name]


def test_migration_goes_step_by_step_and_leaves_its_argument():
    steps = {0: lambda d: d | {"b": d["a"]}, 1: lambda d: d | {"c": d["b"]}}
    old = {"schema": 0, "a": 5}
    assert migrations.migrate(old, steps=steps, current=2) == {"schema": 2, "a": 5, "b": 5, "c": 5}
    assert old == {"schema": 0, "a": 5}


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("Fake CPU, 1 cores, 8 GiB", "Fake CPU, 1 core, 8 GiB"),
        ("Fake GPU, 8 GiB, with Fake CPU, 1 cores", "Fake GPU, 8 GiB, with Fake CPU, 1 core"),
        ("Fake CPU, 11 cores, 8 GiB", "Fake CPU, 11 cores, 8 GiB"),
    ],
)
def test_a_machine_of_one_core_has_one_name_in_records_old_and_new(store, then, now):
    path = written(store, fake_record(machine=then))
    change(path, schema=1)
    (found,) = store.read().records
    assert found.machine.name == now


@pytest.mark.parametrize("machine", [None, "Fake CPU, 1 cores, 8 GiB", {"name": 1}])
def test_a_machine_that_is_none_is_left_to_the_schema(machine):
    old = {"schema": 1, "machine": machine}
    assert migrations.migrate(old)["machine"] == machine


@pytest.mark.parametrize("schema", [None, "1", True, 1.0])
def test_a_schema_that_is_no_number_is_refused(schema):
    with pytest.raises(migrations.MigrationError, match="not a version number"):
        migrations.migrate({"schema": schema})


def test_of_a_trial_stored_twice_the_newest_counts_and_the_other_is_named(store):
    path = written(store, fake_record(started="2001-01-01T00:00:00Z", accuracy=0.2))
    old = path.rename(path.with_name(f"copy of {path.name}"))
    newest = fake_record(started="2001-01-01T00:30:00+00:00", accuracy=0.3)
    path = written(store, newest)
    assert reasons(store) == {old.name: f"is the same trial as {path.name}, which is used"}
    assert store.read().records == (newest,)


def test_of_two_equal_copies_the_one_under_its_own_name_counts(store):
    path = written(store, fake_record())
    copy = shutil.copy(path, path.with_name(f"a-{path.name}"))
    assert reasons(store).keys() == {Path(copy).name}


def test_a_file_named_after_another_trial_is_named_and_skipped(store):
    path = written(store, fake_record(fake_identity(seed=0)))
    path.rename(store.folder.path / fake_identity(seed=1).file_name())
    assert "another trial" in next(iter(reasons(store).values()))
    assert not store.has(fake_identity(seed=1))


def test_dropping_curves_keeps_the_result(store):
    store.write(fake_record(points=33))
    full, light = store.read().records[0], store.read(curves=False).records[0]
    assert light.training.curve == []
    assert light.training.outcomes == full.training.outcomes
    assert light.metrics == full.metrics


def test_only_old_temporary_files_are_named(store):
    store.write(fake_record())
    (store.folder.path / ".young.tmp").write_text("{")
    old = store.folder.path / ".old.tmp"
    old.write_text("{")
    long_ago = old.stat().st_mtime - LEFTOVER_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    assert reasons(store).keys() == {".old.tmp"}
    assert old.exists()


def test_a_folder_that_is_a_file_is_one_clear_error(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreError, match="cannot write a record into") as caught:
        Store(tmp_path / "taken").write(fake_record())
    assert "\n" not in str(caught.value)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from results.folders import StoreError
from results.store import Store
from tests.results.records import fake_record
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    Store(Path(sys.argv[1])).write(fake_record())
except StoreError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no file size limit on this system")
def test_when_the_disk_takes_no_more_nothing_half_written_remains(tmp_path):
    """A limit on file size stops the write midway, as a full disk does."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert "cannot write a record" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_without_permission_there_is_one_clear_error(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="ermission"):
            Store(tmp_path).write(fake_record())
    finally:
        tmp_path.chmod(0o700)


def test_a_file_name_fits_any_file_system_and_ends_in_the_digest():
    identity = fake_identity("x" * 500, "y/" + "z" * 500)
    name = identity.file_name()
    assert len(f".{name}.12345678.tmp".encode()) < 255
    assert re.search(rf"--{identity.digest()}\.json$", name)


def test_an_unknown_field_in_a_record_is_refused():
    document = json.loads(fake_record().model_dump_json()) | {"surprise": 1}
    with pytest.raises(ValueError, match="surprise"):
        Record.model_validate_json(json.dumps(document))


def test_a_packed_record_is_read_like_any_other(store):
    path = written(store, fake_record())
    path.with_suffix(".json.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert store.read().records == (fake_record(),)
    assert store.has(fake_record().identity)


@pytest.mark.parametrize(
    "damage", [b"no gzip", gzip.compress(b"{}" * 99)[:-4]], ids=["no gzip", "cut"]
)
def test_a_damaged_packed_file_is_named_and_skipped(store, damage):
    store.folder.path.mkdir(parents=True)
    (store.folder.path / "a.json.gz").write_bytes(damage)
    assert reasons(store) == {"a.json.gz": "is not a whole gzip file"}
