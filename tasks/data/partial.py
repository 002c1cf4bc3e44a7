"""Names for files and folders that are being written: none under its own name is ever half done."""

import contextlib
import glob
import os
import re
import shutil
import socket
from pathlib import Path

import psutil


def partial_path(target: Path) -> Path:
    """Where this process writes what it then renames to `target`, in a folder that is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_partials(target)
    return target.with_name(f".{target.name}.{_host()}.{os.getpid()}.partial")


def remove_partials(target: Path) -> None:
    """Remove what processes of this machine that are no more have left of `target`."""
    for path in target.parent.glob(f".{glob.escape(target.name)}.{_host()}.*.partial"):
        process = path.name.split(".")[-2]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _host() -> str:
    # Numbers of processes mean nothing on another machine that shares the folder, nor in another
    # container, which may have the machine's name.
    seen = [socket.gethostname()]
    with contextlib.suppress(OSError):
        seen.append(os.readlink("/proc/self/ns/pid"))
    return re.sub("[^A-Za-z0-9]+", "-", "-".join(seen))
