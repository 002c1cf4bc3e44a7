"""The laws of the places that a store may lie at: a folder, memory, S3, what needs a rename."""

import gzip
import os
import sys
import time
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from results.folders import (
    LEFTOVER_SECONDS,
    LocalFolder,
    StoreError,
    folder_at,
    without_secrets,
)
from results.record import Record
from results.store import UNSENT, Reading, Store
from tests.results.places import new_memory, s3_server
from tests.results.records import fake_identity, fake_record


@pytest.fixture(scope="module")
def bucket():
    with s3_server() as url:
        yield url


class Renames(LocalFileSystem):
    """Where a file grows as it is written, as with sftp: whole only under a name that is moved."""

    protocol = "renames"

    def mv(self, path1, path2, **kwargs):
        if "refused" in path2:
            raise PermissionError(13, "Permission denied")
        super().mv(path1, path2, **kwargs)


@pytest.fixture(scope="module", autouse=True)
def _renames():
    fsspec.register_implementation("renames", Renames, clobber=True)


@pytest.fixture(params=["folder", "file", "memory", "s3", "renames"])
def place(request, tmp_path: Path) -> str:
    match request.param:
        case "folder":
            return str(tmp_path / "some")
        case "file" | "renames":
            return f"{request.param}://{tmp_path}/some"
        case "memory":
            return new_memory()
        case _:
            return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


def test_what_is_written_is_read_back_and_written_again_replaces(place):
    store = Store(place)
    assert store.read().records == ()
    store.write(fake_record(accuracy=0.2))
    store.write(fake_record(fake_identity(seed=1)))
    store.write(fake_record(accuracy=0.3))
    wanted = (fake_record(accuracy=0.3), fake_record(fake_identity(seed=1)))
    reading = store.read()
    assert sorted(reading.records, key=str) == sorted(wanted, key=str)
    assert reading.problems == ()
    assert store.has(fake_identity(seed=1))
    assert not store.has(fake_identity(seed=2))


def test_what_another_writer_adds_is_seen_at_once(place):
    store = Store(place)
    store.write(fake_record())
    before = store.folder.stamps()
    assert store.folder.stamps() == before
    # A file system of its own, as another process has.
    system, root = fsspec.url_to_fs(place, skip_instance_cache=True)
    name = fake_identity(seed=1).file_name()
    system.pipe_file(
        f"{root}/{name}", fake_record(fake_identity(seed=1)).model_dump_json().encode()
    )
    assert store.has(fake_identity(seed=1))
    assert len(store.read().records) == 2
    assert len(store.folder.stamps()) == 2
    assert set(before) < set(store.folder.stamps())


def test_to_see_whether_it_can_be_written_leaves_nothing(place):
    store = Store(place)
    store.check_writable()
    assert store.folder.names() == []


def test_a_damaged_file_is_named_and_a_file_that_is_gone_too(place):
    store = Store(place)
    store.folder.write("a.json", b"{")
    assert [problem.file for problem in store.read().problems] == ["a.json"]
    ((name, error),) = store.folder.read(["gone [1].json"])
    assert name == "gone [1].json"
    assert isinstance(error, FileNotFoundError)


def test_more_files_than_are_read_at_once_come_in_order(place, monkeypatch):
    monkeypatch.setattr("results.remote.READ_AT_ONCE", 2)
    store = Store(place)
    names = [f"{number}.json" for number in range(5)]
    for name in names:
        store.folder.write(name, name.encode())
    assert list(store.folder.read(names)) == [(name, name.encode()) for name in names]


def test_only_old_temporary_files_are_leftovers(tmp_path):
    """Where a rename makes a file whole, by whichever way it is reached."""
    old = tmp_path / ".old.tmp"
    for file in (old, tmp_path / ".young.tmp"):
        file.write_text("{")
    long_ago = time.time() - LEFTOVER_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    for location in (str(tmp_path), f"renames://{tmp_path}"):
        assert folder_at(location).leftovers() == [".old.tmp"]


def test_a_move_that_fails_leaves_nothing_and_is_one_clear_error(tmp_path):
    with pytest.raises(StoreError, match=r"cannot write a record into 'renames://.*Permission"):
        folder_at(f"renames://{tmp_path}").write("refused.json", b"{}")
    assert list(tmp_path.iterdir()) == []


def test_a_url_that_nothing_opens_is_one_clear_error():
    with pytest.raises(StoreError, match="Protocol not known") as caught:
        Store("nonsense://x/y")
    assert "\n" not in str(caught.value)


def test_without_the_package_its_install_command_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(StoreError, match=r"pip install 'attention-bench\[remote\]'"):
        Store("s3://bucket/folder")


def test_a_bucket_that_is_not_there_is_one_clear_error(bucket):
    with pytest.raises(StoreError, match="'s3://other/x': The specified bucket does not exist"):
        Store("s3://other/x").check_writable()


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "Could not connect"),
        ("AWS_ACCESS_KEY_ID", None, "credentials"),
    ],
)
def test_a_network_that_fails_is_one_clear_error_and_costs_no_record(
    bucket, tmp_path, monkeypatch, variable, value, reason
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.delenv(variable)
    if value is not None:
        monkeypatch.setenv(variable, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    store = Store(f"{bucket}/x")
    try:
        for attempt in (store.read, store.check_writable, lambda: store.write(fake_record())):
            with pytest.raises(StoreError, match=reason) as caught:
                attempt()
            assert "\n" not in str(caught.value)
        assert f"merge {UNSENT} --into {bucket}/x" in str(caught.value)
        assert Store(UNSENT).read().records == (fake_record(),)
    finally:
        fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("s3://bucket/folder", "s3://bucket/folder"),
        ("sftp://host:22/a@b", "sftp://host:22/a@b"),
        ("abfs://container@account/x", "abfs://container@account/x"),
        ("sftp://user:1234@host/x", "sftp://***@host/x"),
        ("sftp://user:p@ss@host/x", "sftp://***@host/x"),
        ("s3://KEY:sec/ret@bucket/x", "s3://***@bucket/x"),
        ("--results=ftp://user:word@host/x", "--results=ftp://***@host/x"),
        ("results-of-june", "results-of-june"),
    ],
)
def test_a_place_is_shown_as_it_was_typed_without_its_secrets(typed, shown):
    assert without_secrets(typed) == shown


def test_an_error_does_not_tell_the_secrets_of_its_url(bucket):
    with pytest.raises(StoreError) as caught:
        Store("s3://nobody:sesame@records/x").read()
    assert "sesame" not in str(caught.value)


def pack(store: Store, record: Record) -> str:
    """The record as it lies there packed, and nothing else of it; says under which name."""
    name = record.identity.file_name()
    store.folder.write(f"{name}.gz", gzip.compress(record.model_dump_json().encode()))
    return f"{name}.gz"


@pytest.mark.parametrize("started", ["2001-01-01T00:00:00Z", "2003-01-01T00:00:00Z"])
def test_a_write_replaces_a_packed_record_whichever_began_first(place, started):
    store, new = Store(place), fake_record(started=started, accuracy=0.3)
    pack(store, fake_record(started="2002-01-01T00:00:00Z", accuracy=0.2))
    store.write(new)
    assert store.folder.names() == [new.identity.file_name()]
    assert store.read() == Reading(records=(new,), problems=())


def test_a_packed_record_that_another_run_has_written_is_found_by_its_name(place):
    store = Store(place)
    assert store.written(fake_identity()) is None
    packed = pack(store, fake_record())
    assert store.written(fake_identity()) == fake_record()
    assert store.written(fake_identity(seed=1)) is None
    store.folder.write(packed, b"no gzip")
    assert store.written(fake_identity()) is None


@pytest.mark.parametrize("later", ["packed", "plain"])
def test_of_a_packed_record_and_a_plain_one_the_later_is_found(tmp_path, later):
    store = Store(tmp_path)
    new = fake_record(started="2003-01-01T00:00:00Z", accuracy=0.3)
    old = fake_record(started="2001-01-01T00:00:00Z", accuracy=0.2)
    plain, packed = (new, old) if later == "plain" else (old, new)
    store.write(plain)
    pack(store, packed)
    assert store.written(fake_identity()) == new == store.find(fake_identity())


def test_to_remove_a_file_that_is_not_there_does_nothing(place):
    store = Store(place)
    store.folder.remove("gone.json")
    store.write(fake_record())
    store.folder.remove("gone.json")
    assert len(store.folder.names()) == 1


class Killed(LocalFolder):
    """Its process ends before it deletes anything."""

    def remove(self, name):
        raise KeyboardInterrupt


def test_a_kill_before_the_packed_record_is_dropped_loses_neither(tmp_path):
    store, new = Store(tmp_path), fake_record(started="2003-01-01T00:00:00Z")
    packed = pack(store, fake_record(started="2001-01-01T00:00:00Z"))
    store.folder = Killed(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        store.write(new)
    reading = Store(tmp_path).read()
    assert reading.records == (new,)
    assert [problem.file for problem in reading.problems] == [packed]


def test_a_packed_record_that_may_not_be_deleted_costs_no_new_one(tmp_path, monkeypatch):
    def refused(self, path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Renames, "rm_file", refused, raising=False)
    store, new = Store(f"renames://{tmp_path}"), fake_record(started="2003-01-01T00:00:00Z")
    pack(store, fake_record(started="2001-01-01T00:00:00Z"))
    store.write(new)
    assert len(store.folder.names()) == 2
    assert store.read().records == (new,)


class Meanwhile(LocalFolder):
    """Another writer writes a trial anew between the listing and the reading."""

    def read(self, names):
        Store(self.path).write(fake_record(accuracy=0.3))
        return super().read(names)


@pytest.mark.parametrize("doubled", [False, True])
def test_whoever_reads_while_a_packed_record_is_replaced_sees_the_new_one(tmp_path, doubled):
    store = Store(tmp_path)
    if doubled:
        store.write(fake_record(accuracy=0.1))
    pack(store, fake_record(accuracy=0.2))
    store.folder = Meanwhile(tmp_path)
    assert store.read() == Reading(records=(fake_record(accuracy=0.3),), problems=())
