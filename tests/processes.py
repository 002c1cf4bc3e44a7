"""Runs Python in a fresh process, for laws about imports, memory and exit."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

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
