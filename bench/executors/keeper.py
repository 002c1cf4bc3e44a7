"""The process between the driver and a trial: whatever a trial leaves running ends with it.

It runs nothing of the trial's, so that a trial that hangs, with the interpreter locked or not, is
ended all the same, also when the driver is gone. On Linux it adopts what a trial's processes leave
behind, whatever group or session they moved to; elsewhere such a process can escape.
"""

import contextlib
import ctypes
import os
import signal
import sys
from multiprocessing.connection import Connection, wait
from typing import Never

import psutil

SAVE = b"save"
"""What the driver sends for a trial to save what it can and end."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
"""From Linux's prctl.h."""


def keep(pipe: Connection) -> None:
    """Fork: the child returns, to run the trial; the parent never does.

    The parent ends as the child ended, once nothing that descends from it is left. It passes SAVE
    on as SIGTERM, and ends the child when the driver's end of the pipe closes.
    """
    # A session of its own: Ctrl-C reaches the driver alone.
    os.setsid()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    keeper = os.getpid()
    ended, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    # Before the fork, so that no end is missed.
    before = signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup)
    trial = os.fork()
    if trial != 0:
        _watch(pipe, ended, trial)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, before)
    os.close(ended)
    os.close(wakeup)
    os.setsid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(pipe: Connection, ended: int, trial: int) -> Never:
    status: int | None = None
    while status is None:
        ready = wait([pipe, ended])
        if ended in ready:
            os.read(ended, 65536)
        if pipe in ready:
            _obey(pipe, trial)
        status = _reap(trial)
    _end_descendants()
    _end_as(os.waitstatus_to_exitcode(status))


def _obey(pipe: Connection, trial: int) -> None:
    """What the driver asks for; without a driver, the end."""
    wanted = signal.SIGKILL
    with contextlib.suppress(EOFError, OSError):
        if pipe.recv_bytes(len(SAVE)) == SAVE:
            wanted = signal.SIGTERM
    os.kill(trial, wanted)
    if wanted == signal.SIGKILL:
        # The pipe stays readable from now on; a killed process may take a while to give back
        # its memory.
        os.waitid(os.P_PID, trial, os.WEXITED | os.WNOWAIT)


def _reap(trial: int) -> int | None:
    """The trial's exit status if it has ended; adopted processes that have ended are let go."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == trial:
                return ended[1]
    return None


def _end_descendants() -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            for each in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            # What these leave behind becomes a child of this process: until there is none.
            os.waitpid(-1, 0)


def _end_as(code: int) -> Never:
    if code < 0:
        import resource

        # One memory image, the trial's own, is enough.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _prctl(option: int, value: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
