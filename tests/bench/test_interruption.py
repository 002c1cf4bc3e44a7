"""Laws of stopping: nothing finished is lost, nothing left running, the next run does the rest."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from results.store import Store
from tests.bench.test_run import TASK, run
from tests.processes import ROOT

PATIENCE = 90.0
"""Seconds after which a wait counts as a failure; nothing here is timed."""
METHODS = ("no-mixing", "tests.fakes.bad_methods:HANGS")


class Driver:
    """A run that finishes one trial and hangs in the next, in a process that can be hit."""

    def __init__(self, folder: Path) -> None:
        self.mark = uuid.uuid4().hex
        self.folder = folder
        command = [sys.executable, "-m", "bench", "run", "--methods", *METHODS, "--task", TASK,
                   "--no-controls", "--threads", "1", "--results", str(folder)]  # fmt: skip
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "BENCH_TEST_MARK": self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_until_hanging(self) -> None:
        """One record is there, and the trial after it has forked its sleeping child."""
        wait_for(lambda: list(self.folder.glob("[!.]*.json")) and len(self.alive()) >= 4)

    def alive(self) -> list[psutil.Process]:
        """Every process that came from this run."""
        return [p for p in psutil.process_iter() if mark_of(p) == self.mark]


def mark_of(process: psutil.Process) -> str | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.environ().get("BENCH_TEST_MARK")
    except psutil.Error:
        return None


def wait_for(condition) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    driver = Driver(tmp_path / "records")
    yield driver
    for process in driver.alive():
        process.kill()
    driver.process.communicate()


def finished(folder: Path) -> set[str]:
    reading = Store(folder).read()
    assert not reading.problems
    return {r.identity.method for r in reading.records}


def test_a_killed_run_loses_nothing_finished_and_leaves_nothing_running(driver):
    driver.wait_until_hanging()
    driver.process.send_signal(signal.SIGKILL)
    wait_for(lambda: not driver.alive())
    assert finished(driver.folder) == {"no-mixing"}
    before = {p: p.stat().st_mtime_ns for p in driver.folder.iterdir()}
    rest = run(driver.folder, "--methods", *METHODS, "--time-limit", "2")
    assert "1 of 2 trials were on record" in rest.stdout
    assert finished(driver.folder) == {"no-mixing", "fake-hangs"}
    assert all(p.stat().st_mtime_ns == then for p, then in before.items())


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_go_on(driver, signum):
    driver.wait_until_hanging()
    driver.process.send_signal(signum)
    output, _ = driver.process.communicate(timeout=PATIENCE)
    assert driver.process.returncode == 130
    assert "1 of 2 trials are on record" in output
    assert "the same command goes on from there" in output
    assert "Traceback" not in output
    wait_for(lambda: not driver.alive())


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_what_is_stopped_before_a_trial_begins_says_so_in_a_word(tmp_path, command, signum):
    begun = tmp_path / "begun"
    task = tmp_path / "slow_task.py"
    task.write_text(f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(600)\n")
    words = [sys.executable, "-m", "bench", command, "--methods", "softmax", "--task", str(task)]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        wait_for(begun.exists)
        process.send_signal(signum)
        _, said = process.communicate()
    assert process.returncode == 130
    assert said == "Stopped.\n"
