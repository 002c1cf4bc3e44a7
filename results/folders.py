"""Where the files of a store lie: a folder of this machine, or a URL that fsspec opens."""

import contextlib
import hashlib
import os
import re
import socket
import tempfile
import textwrap
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import psutil

from results.foreign import read_bounded

LEFTOVER_SECONDS: Final = 3600.0
"""A temporary file older than this belongs to no write that is still going on."""
LONGEST_REASON: Final = 200
# A password may hold any sign, so the last @ ends it; digits alone before a slash are a port.
SECRET = re.compile(r"(?<=://)[^/@:]*:(?!\d+(?:/|$)).*@")


class StoreError(Exception):
    """Records could not be written or read; the message says why and what to do."""


class Folder(Protocol):
    """Files by name, none of them in a folder below. Its text is the place as it was typed."""

    def names(self) -> list[str]:
        """The name of every file, in order; none where the folder is not there."""

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Each file's content, or why it cannot be read, in the order asked for."""

    def write(self, name: str, content: bytes) -> str:
        """Puts a file there whole, in place of one of that name; says where it lies."""

    def remove(self, name: str) -> None:
        """Deletes the file where it is there and may be deleted."""

    def check_writable(self) -> None:
        """Raises StoreError where nothing could be written."""

    def leftovers(self) -> list[str]:
        """Temporary files of writes that were killed long ago."""

    def stamps(self) -> list[str]:
        """A line for each file, another one when it has changed."""

    def absent(self) -> str:
        """What is wrong with the place where it is no folder; empty where it is one."""


def folder_at(location: str | Path) -> Folder:
    """The folder or URL that a user typed. Raises StoreError where a URL cannot be opened."""
    if isinstance(location, Path) or "://" not in location:
        return LocalFolder(Path(location))
    for local in ("file://", "local://"):
        if location.startswith(local):
            return LocalFolder(Path(location.removeprefix(local)))
    # Free of fsspec until a URL is asked for.
    from results.remote import RemoteFolder

    return RemoteFolder(location)


def without_secrets(text: str) -> str:
    """The same with `***` for a name and password in a URL."""
    return SECRET.sub("***@", text)


def said_by(error: Exception) -> str:
    """What an error says, in one line without a full stop."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return textwrap.shorten(said, LONGEST_REASON).rstrip(".") or type(error).__name__


def temporary_name(name: str) -> str:
    """Another one for each write of this file; readers pass over it. It says whose it is."""
    return f".{name.partition('.')[0]}.{_host()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"


def is_temporary(name: str) -> bool:
    """Whether a write that goes on, or was killed, left this file."""
    return name.startswith(".") and name.endswith(".tmp")


def _is_abandoned(name: str) -> bool:
    """Whether the process of this machine that began this temporary file is no more."""
    *_, host, process, _, _ = ("", "", *name.split("."))
    return host == _host() and process.isdigit() and not psutil.pid_exists(int(process))


def _host() -> str:
    """Of whom a process's number means something: containers may share a machine's name."""
    seen = [socket.gethostname()]
    with contextlib.suppress(OSError):
        seen.append(os.readlink("/proc/self/ns/pid"))
    # Short, since a file's name has 255 bytes at most.
    return hashlib.sha256(" ".join(seen).encode()).hexdigest()[:8]


class LocalFolder:
    """On a disk of this machine or a shared one, where renaming is atomic."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def names(self) -> list[str]:
        """The name of every file, in order; none where the folder is not there."""
        if not self.path.is_dir():
            return []
        with _explained(f"cannot read {str(self)!r}", "Choose another folder with --results."):
            return sorted(os.listdir(self.path))

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Each file's content, or why it cannot be read, in the order asked for."""
        for name in names:
            content: bytes | OSError
            try:
                content = read_bounded(os.path.join(self.path, name))
            except OSError as error:
                content = error
            yield name, content

    def write(self, name: str, content: bytes) -> str:
        """A reader, and whoever looks after a power cut, sees the old file or the new one."""
        target, temporary = self.path / name, self.path / temporary_name(name)
        hint = "Free some space or choose another folder with --results."
        with _explained(f"cannot write a record into {str(self)!r}", hint):
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(target)
            finally:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
            _sync(self.path)
        return str(target)

    def remove(self, name: str) -> None:
        """Deletes the file where it is there and may be deleted."""
        with contextlib.suppress(OSError):
            (self.path / name).unlink()

    def check_writable(self) -> None:
        """Raises StoreError where nothing could be written. What a killed process of this machine
        has left half written is removed."""
        hint = "Choose another folder with --results."
        with _explained(f"cannot write into {str(self)!r}", hint):
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path) as probe:
                probe.write(b"x")
            for name in filter(_is_abandoned, filter(is_temporary, self.names())):
                (self.path / name).unlink(missing_ok=True)

    def leftovers(self) -> list[str]:
        """Temporary files of writes that were killed long ago."""
        found = []
        for name in filter(is_temporary, self.names()):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - (self.path / name).stat().st_mtime > LEFTOVER_SECONDS:
                    found.append(name)
        return found

    def stamps(self) -> list[str]:
        """A line for each file, another one when it has changed."""
        found = []
        for name in self.names():
            with contextlib.suppress(FileNotFoundError):
                seen = (self.path / name).stat()
                found.append(f"{name} {seen.st_size} {seen.st_mtime_ns}")
        return found

    def absent(self) -> str:
        """What is wrong with the place where it is no folder; empty where it is one."""
        if self.path.is_dir():
            return ""
        return "is a file" if self.path.exists() else "does not exist"


@contextlib.contextmanager
def _explained(what: str, hint: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{what}: {said_by(error)}. {hint}") from error


def _sync(folder: Path) -> None:
    """Makes the new name itself durable, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
