"""The laws of URLs that cannot be used: one clear error, whatever their protocol raises."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest

from results.folders import StoreError, folder_at
from tests.processes import ROOT

NOBODY = "http://127.0.0.1:9"
"""No server listens there."""
PROGRAM = """
import sys
import fsspec
from results.folders import StoreError
from results.store import Store
from tests.results.records import fake_record

def refused(attempt):
    try:
        attempt()
    except StoreError as error:
        assert "\\n" not in str(error), error
        return True
    return False

for protocol in fsspec.available_protocols():
    for url in (f"{protocol}://127.0.0.1:9/x/y", f"{protocol}://::{sys.argv[1]}"):
        try:
            store = Store(url)
        except StoreError:
            print("refused", protocol)
            continue
        store_it = lambda: store.folder.write("a.json", b"{}")
        attempts = store.read, store.folder.stamps, store.check_writable, store_it
        print(*("refused" if refused(each) else "done" for each in attempts), protocol)
        store.folder.remove("a.json")
"""


class Broken(fsspec.AbstractFileSystem):
    """Each call of it raises what it is told to."""

    protocol = "broken"
    error: ClassVar[Exception]

    def ls(self, *args, **kwargs):
        raise self.error

    makedirs = pipe_file = rm_file = invalidate_cache = cat_ranges = ls


@pytest.fixture(scope="module", autouse=True)
def _broken():
    fsspec.register_implementation("broken", Broken, clobber=True)


class OddError(Exception):
    """An error of a package's own."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OddError("the\nserver sulks"), "the server sulks"),
        (zipfile.BadZipFile("no zip"), "no zip"),
        (NotImplementedError(), "of a kind that does not do that"),
        (KeyError("FileStatuses"), "FileStatuses"),
        (TypeError("unexpected option"), "unexpected option"),
        (AttributeError("no attribute"), "no attribute"),
        (ImportError("install this"), "a package that is not installed: install this"),
    ],
    ids=lambda case: type(case).__name__,
)
def test_whatever_a_protocol_raises_is_one_clear_error(monkeypatch, error, said):
    monkeypatch.setattr(Broken, "error", error, raising=False)
    folder = folder_at("broken://x/y")
    attempts = (
        folder.names,
        folder.check_writable,
        lambda: folder.write("a.json", b"{}"),
        lambda: [*folder.read(["a.json"])],
    )
    for attempt in attempts:
        with pytest.raises(StoreError, match=r"^[^\n]*'broken://x/y'[^\n]*$") as caught:
            attempt()
        assert said in str(caught.value)


def test_a_mistake_in_the_code_is_no_error_of_the_place(monkeypatch):
    monkeypatch.setattr(Broken, "error", NameError("misspelt"), raising=False)
    with pytest.raises(NameError, match="misspelt"):
        folder_at("broken://x/y").names()


def test_no_protocol_that_fsspec_lists_shows_a_traceback(tmp_path: Path):
    """Without a network: all that is asked for is at an address of this machine that is silent."""
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.json", "{")
    proxies = {f"{name}_proxy": NOBODY for name in ("http", "https", "all", "HTTP", "HTTPS", "ALL")}
    keys = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"}
    silent = {"AWS_ENDPOINT_URL": NOBODY, "AWS_MAX_ATTEMPTS": "1", "HF_ENDPOINT": NOBODY}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(archive)],
        cwd=tmp_path,
        env=os.environ | proxies | keys | silent | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = done.stdout.splitlines()
    assert {line.split()[-1] for line in seen} == {*fsspec.available_protocols()}
    assert "refused refused refused refused data" in seen
    assert "done done refused refused zip" in seen
    assert "done done done done memory" in seen
