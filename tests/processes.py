"""Runs Python in a fresh process, and our commands in this one."""

import contextlib
import io
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


def run_python(program: str) -> str:
    """What the program prints; its traceback becomes the test's."""
    done = run_command("-c", textwrap.dedent(program))
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python ARGUMENTS...` from the project's folder, on one thread."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


class Done(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def bench(*words: str) -> Done:
    """`python -m bench WORDS...` within this process, which has torch already."""
    from bench.cli import run_words

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_words(words)
    return Done(code, out.getvalue(), err.getvalue())
