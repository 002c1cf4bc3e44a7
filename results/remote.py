"""A store behind a URL: S3 and whatever else fsspec opens."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from results.folders import (
    LEFTOVER_SECONDS,
    SECRET,
    StoreError,
    is_temporary,
    said_by,
    temporary_name,
    without_secrets,
)

OBJECT_STORES: Final = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "memory"})
"""Protocols of stores where an object appears whole or not at all. Others need a rename."""
READ_AT_ONCE: Final = 256
STAMP: Final = ("size", "ETag", "etag", "LastModified", "updated", "mtime", "created")
"""What file systems tell of a file that changes with it, each by some of these names."""
PROBE: Final = ".writable"
BUILT_IN: Final = (
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Errors of Python's own with which file systems meet an address, an answer or a wish that they
were not made for."""


class RemoteFolder:
    """Whatever fsspec opens. No listing is kept: what other writers add is seen."""

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            import fsspec
        except ImportError as error:
            raise StoreError(
                f"{str(self)!r} needs the package fsspec: `pip install 'attention-bench[remote]'`."
            ) from error
        self._protocol = url.partition("://")[0].rpartition("::")[2]
        with self._explained("cannot open"):
            self._system, root = fsspec.url_to_fs(url)
        self._root = root.rstrip("/")

    def __str__(self) -> str:
        return without_secrets(self._url)

    def names(self) -> list[str]:
        """The name of every file, in order; none where the folder is not there."""
        return sorted(self._entries())

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Many at a time where the file system can; what is no file's own fault is raised."""
        for start in range(0, len(names), READ_AT_ONCE):
            some = names[start : start + READ_AT_ONCE]
            with self._explained("cannot read"):
                contents = self._system.cat_ranges([*map(self._path, some)], None, None)
                for content in contents:
                    if isinstance(content, Exception) and not isinstance(content, OSError):
                        raise content
            yield from zip(some, contents, strict=True)

    def write(self, name: str, content: bytes) -> str:
        """Puts a file there whole, in place of one of that name; says where it lies."""
        with self._explained("cannot write a record into"):
            self._put(name, content)
        return f"{self}/{name}"

    def remove(self, name: str) -> None:
        """Deletes the file where it is there and may be deleted."""
        path = self._path(name)
        with contextlib.suppress(*_failures()):
            self._system.invalidate_cache()
            # Asked for first: a bucket that keeps versions would note the deletion of nothing.
            if self._system.exists(path):
                self._system.rm_file(path)

    def check_writable(self) -> None:
        """Raises StoreError where nothing could be written."""
        with self._explained("cannot write into"):
            self._put(PROBE, b"x")
        # Some may write and not delete: then one small file of this name stays.
        self.remove(PROBE)

    def leftovers(self) -> list[str]:
        """Temporary files of writes that were killed long ago."""
        if self._protocol in OBJECT_STORES:
            return []
        return sorted(
            name for name, entry in self._entries().items() if is_temporary(name) and _is_old(entry)
        )

    def stamps(self) -> list[str]:
        """A line for each file, another one when it has changed."""
        return [
            " ".join([name, *(str(entry[key]) for key in STAMP if key in entry)])
            for name, entry in sorted(self._entries().items())
        ]

    def absent(self) -> str:
        """Nothing: a prefix without objects is an empty folder."""
        return ""

    def _entries(self) -> dict[str, dict[str, Any]]:
        with self._explained("cannot read"):
            self._system.invalidate_cache()
            try:
                found = self._system.ls(self._root, detail=True)
            except FileNotFoundError:
                found = []
        files = {e["name"].rpartition("/")[2]: e for e in found if e["type"] == "file"}
        # Consoles mark a folder by an object whose name ends in a slash.
        files.pop("", None)
        return files

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _put(self, name: str, content: bytes) -> None:
        if self._protocol in OBJECT_STORES:
            self._system.pipe_file(self._path(name), content)
            return
        temporary = temporary_name(name)
        self._system.makedirs(self._root, exist_ok=True)
        with contextlib.ExitStack() as undo:
            undo.callback(self.remove, temporary)
            self._system.pipe_file(self._path(temporary), content)
            self._system.mv(self._path(temporary), self._path(name))
            undo.pop_all()

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except ImportError as error:
            raise StoreError(
                f"{str(self)!r} needs a package that is not installed: {self._reason(error)}. For"
                " S3: `pip install 'attention-bench[remote]'`."
            ) from error
        except _failures() as error:
            raise StoreError(
                f"{what} {str(self)!r}: {self._reason(error)}. Check the address, the network and"
                " your credentials, or choose another place with --results."
            ) from error

    def _reason(self, error: Exception) -> str:
        """In one line, free of the secrets of the URL."""
        wordless = isinstance(error, NotImplementedError) and not str(error)
        text = "it is of a kind that does not do that" if wordless else said_by(error)
        for secret in SECRET.findall(self._url):
            text = text.replace(secret.rstrip("@"), "***")
        return text


def _failures() -> tuple[type[Exception], ...]:
    """What a place raises that cannot be used: what each protocol's package calls an error, there
    being some fifty, and these of Python. An assertion or an unknown name is none of them."""
    theirs = (each for each in Exception.__subclasses__() if each.__module__ != "builtins")
    return *BUILT_IN, *theirs


def _is_old(entry: dict[str, Any]) -> bool:
    """Whether it was written long ago; not where the file system does not say."""
    moment = entry.get("mtime")
    if isinstance(moment, datetime):
        moment = moment.timestamp()
    return isinstance(moment, int | float) and time.time() - moment > LEFTOVER_SECONDS
