"""Eight writers on one store, and a reader beside them: nothing lost, doubled or half there."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from results.record import Record
from results.store import Store
from tests.processes import ROOT
from tests.results.places import new_memory, s3_server
from tests.results.records import fake_identity, fake_record

WRITERS = 8
PROGRAM = f"""
import multiprocessing, sys
import fsspec, s3fs  # Once, before the processes part.
from tests.results.test_writers import write
fork = multiprocessing.get_context("fork")
location, number = sys.argv[1], int(sys.argv[2])
writers = [fork.Process(target=write, args=(location, w, number)) for w in range({WRITERS})]
for writer in writers:
    writer.start()
for writer in writers:
    writer.join()
sys.exit(sum(writer.exitcode for writer in writers))
"""


def own(writer: int, seed: int) -> Record:
    """A record that this writer alone writes."""
    return fake_record(fake_identity(f"writer-{writer}", seed=seed))


def shared(writer: int, seed: int) -> Record:
    """This writer's outcome of a trial that all of them write."""
    return fake_record(fake_identity(seed=seed), machine=f"Machine {writer}", points=99)


def write(location: str, writer: int, number: int) -> None:
    store = Store(location)
    for seed in range(number):
        store.write(own(writer, seed))
        store.write(shared(writer, seed))


def processes(location: str, number: int) -> Iterator[None]:
    """Eight of them, parted from one that has imported all; yields while they write."""
    words = [sys.executable, "-c", PROGRAM, location, str(number)]
    with subprocess.Popen(words, cwd=ROOT) as running:
        while running.poll() is None:
            yield
            time.sleep(0.2)
    assert running.returncode == 0


def threads(location: str, number: int) -> Iterator[None]:
    running = [
        threading.Thread(target=write, args=(location, writer, number)) for writer in range(WRITERS)
    ]
    for thread in running:
        thread.start()
    while any(thread.is_alive() for thread in running):
        yield
        time.sleep(0.001)


def check(location: str, number: int, writing: Iterator[None]) -> None:
    """Reads while they write, and everything when they are done."""
    store = Store(location)
    for _ in writing:
        reading = store.read()
        assert reading.problems == ()
        assert len({r.identity.digest() for r in reading.records}) == len(reading.records)
    found = {record.identity.digest(): record for record in store.read().records}
    mine = [own(writer, seed) for writer in range(WRITERS) for seed in range(number)]
    assert len(found) == len(mine) + number
    assert len(store.folder.names()) == len(found)
    assert all(found[record.identity.digest()] == record for record in mine)
    for seed in range(number):
        several = [shared(writer, seed) for writer in range(WRITERS)]
        assert found[several[0].identity.digest()] in several


def test_eight_processes_write_to_one_folder(tmp_path: Path):
    location = str(tmp_path / "results")
    check(location, 20, processes(location, 20))


def test_eight_threads_write_to_memory():
    location = new_memory()
    check(location, 20, threads(location, 20))


@pytest.fixture
def bucket():
    with s3_server() as url:
        yield url


def test_eight_processes_write_to_s3(bucket):
    check(f"{bucket}/results", 5, processes(f"{bucket}/results", 5))
