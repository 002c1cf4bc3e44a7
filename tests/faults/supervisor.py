"""Starts runs that can be hit: real drivers, fork servers, keepers and trials, begun at once.

Every process is forked from this one, which has imported everything; nothing else differs from
`python -m bench`. This process adopts whatever a run leaves behind, so that none escapes its count.
"""

import atexit
import contextlib
import ctypes
import multiprocessing.util
import os
import signal
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Never

import psutil

import bench.executors.preload
from bench.cli import run_words
from bench.originals import originals

PATIENCE = 120.0
"""Seconds after which a run counts as hung; nothing here is timed."""
FAREWELL = 15.0
"""Seconds after a run's end until what still lives counts as left over."""
_PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 15, 36


def adopt_orphans() -> None:
    """Once, before the first run."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Run:
    """One call of `bench`, in a process of its own; `prepare` is called there first."""

    _codes: ClassVar[dict[int, int]] = {}
    """How every process that was let go has ended, of this run or of one beside it."""

    def __init__(
        self, folder: Path, words: Sequence[str], prepare: Callable[[], object] | None = None
    ) -> None:
        temporary = folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"output-{uuid.uuid4().hex}.txt"
        self._file.touch()
        self.pid = os.fork()
        if self.pid == 0:
            _drive(words, self._file, temporary, prepare)

    @property
    def output(self) -> str:
        """All it has printed so far."""
        return self._file.read_text(errors="replace")

    def find(self, who: str) -> int | None:
        """The driver, its fork server, or the keeper or the process of a trial, if it lives."""
        found = [self.pid]
        for _ in range(("driver", "fork server", "keeper", "trial").index(who)):
            found = [c for pid in found[:1] for c in _children(pid) if _name(c) == "server"]
        return found[0] if found else None

    def poll(self) -> int | None:
        """Its exit code once it is over; processes that have ended are let go."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._codes[ended[0]] = os.waitstatus_to_exitcode(ended[1])
        return self._codes.get(self.pid)

    def wait(self) -> int:
        """The exit code. A run that hangs is ended, and raises."""
        until = time.monotonic() + PATIENCE
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                self.sweep(0.0)
                raise TimeoutError(f"the run hangs:\n{self.output}")
            time.sleep(0.01)
        return code

    def sweep(self, patience: float = FAREWELL) -> int:
        """How many processes are still there a while after the end. They are ended now."""
        until = time.monotonic() + patience
        while (left := psutil.Process().children(recursive=True)) and time.monotonic() < until:
            self.poll()
            time.sleep(0.01)
        for each in left:
            each.kill()
        while psutil.Process().children(recursive=True):
            self.poll()
            time.sleep(0.01)
        return len(left)


def _children(pid: int) -> list[int]:
    """As the kernel lists them for each thread, much faster than by a search of all processes."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, listing.read_text().split())
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _drive(
    words: Sequence[str], output: Path, temporary: Path, prepare: Callable[[], object] | None
) -> Never:
    code = 70
    try:
        os.setsid()
        printed = os.open(output, os.O_WRONLY | os.O_APPEND)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        os.environ["TMPDIR"] = str(temporary)
        sys.argv = ["bench", *words]
        multiprocessing.util.spawnv_passfds = _spawn
        atexit._clear()
        atexit.register(multiprocessing.util._exit_function)
        if prepare is not None:
            prepare()
            # A fault of the machine's, which no method is to blame for.
            originals.cache_clear()
        code = run_words(words)
        atexit._run_exitfuncs()
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _spawn(path: bytes, args: Sequence[str], passfds: Sequence[int]) -> int:
    """In place of a fresh interpreter, for the fork server and the tracker of resources."""
    pid = os.fork()
    if pid:
        return pid
    program = args[-1]
    if "forkserver" in program:
        ctypes.CDLL(None).prctl(_PR_SET_NAME, b"server", 0, 0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for each in os.listdir("/proc/self/fd"):
        if int(each) > 2 and int(each) not in passfds:
            with contextlib.suppress(OSError):
                os.close(int(each))
    # What it registers to be done at the end is registered here.
    sys.modules.pop("bench.executors.preload", None)
    vars(bench.executors).pop("preload", None)
    atexit._clear()
    try:
        exec(program, {"__name__": "__main__"})  # noqa: S102
    except SystemExit:
        pass
    finally:
        atexit._run_exitfuncs()
        os._exit(0)
