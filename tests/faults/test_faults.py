"""Laws of misfortune: whatever is hit, the account is clean. `soak.py` says what each fault is."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.runners.checkpoints import FOLDER
from bench.runners.found import Found
from bench.runners.language import model_language
from results.folders import temporary_name
from results.store import Store
from tasks.data.partial import partial_path
from tests.bench.test_language import METHODS, trial
from tests.fakes import tiny_language
from tests.faults.scene import COMPLETED, TRAINED, Scene
from tests.processes import ROOT
from tests.results.records import fake_record

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux alone")
MANY = os.environ.get("BENCH_FAULT_MOMENTS", "30")


def account(*words: str) -> str:
    """The table. In a process of its own, since it forks drivers and adopts what they leave."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.soak", *words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@LINUX
def test_a_killed_process_costs_its_own_trial_at_most():
    table = account("--moments", "3", "--only", "^SIGKILL to the (driver|fork server|trial)$")
    assert table.splitlines()[-1].startswith("3 faults")


@LINUX
def test_a_trial_that_holds_the_interpreter_ends_with_its_driver():
    account("--only", "hung without a driver", "--moments", "0")


def test_what_a_killed_process_left_half_written_is_removed(tmp_path, monkeypatch):
    live = tmp_path / temporary_name("record.json")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(socket, "gethostname", lambda: "another machine")
        foreign = tmp_path / temporary_name("record.json")
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    monkeypatch.setattr(os, "getpid", lambda: done.pid)
    dead, damaged = tmp_path / temporary_name("record.json"), partial_path(tmp_path / "data.npz")
    for file in (live, foreign, dead, damaged):
        file.touch()
    Store(str(tmp_path)).check_writable()
    monkeypatch.undo()
    partial_path(tmp_path / "data.npz")
    assert set(tmp_path.iterdir()) == {live, foreign}


@LINUX
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_fault_leaves_a_clean_account():
    assert "SIGTERM to the driver, language" in account("--moments", MANY)


def next_token(one, cache: Path | None = None, *, sigterm_at: int | None = None):
    found, steps = Found(), 0

    def report(progress):
        nonlocal steps
        steps += progress.phase == "train"
        if steps == sigterm_at:
            os.kill(os.getpid(), signal.SIGTERM)

    torch.manual_seed(0)
    task = tiny_language.TASK
    model_language(one, METHODS["performer"], task, cache=cache, report=report, found=found)
    return found.language


@pytest.mark.parametrize("step", [1, 7])
def test_sigterm_saves_the_step_and_the_next_run_comes_to_the_same_bits(tmp_path, step):
    one = trial(steps=12, checkpoint_seconds=3600.0, options={"num_features": 8})
    whole = next_token(one)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit):
        next_token(one, tmp_path, sigterm_at=step)
    assert signal.getsignal(signal.SIGTERM) is before
    (kept,) = (tmp_path / FOLDER).iterdir()
    assert len(torch.load(kept, weights_only=True)["state"]["run"]["losses"]) == step
    resumed = next_token(one, tmp_path)
    assert resumed.resumed == 1
    assert resumed.losses == whole.losses
    assert resumed.after == whole.after
    assert not list((tmp_path / FOLDER).iterdir())


@pytest.fixture
def scene(tmp_path):
    """One record that was there before, and is there now."""
    scene = Scene(tmp_path, TRAINED, {"fake-attention": COMPLETED})
    (tmp_path / "tmp").mkdir()
    Store(str(scene.results)).write(fake_record())
    scene.remember()
    return scene


def test_an_account_without_faults_is_clean(scene):
    assert scene.tally().is_clean


@pytest.mark.parametrize(
    ("harm", "name"),
    [
        (lambda file: file.unlink(), "lost"),
        (lambda file: file.write_bytes(file.read_bytes() + b"\n"), "lost"),
        (lambda file: file.with_name(f"a-{file.name}").write_bytes(file.read_bytes()), "doubled"),
        (lambda file: file.unlink(), "unexplained"),
        (lambda file: (file.parent / ".half.tmp").touch(), "files"),
        (lambda file: (file.parents[1] / "tmp" / "pymp-1").mkdir(), "files"),
    ],
)
def test_an_account_counts_what_goes_wrong(scene, harm, name):
    (file,) = scene.results.iterdir()
    harm(file)
    assert getattr(scene.tally(), name) == 1


def test_an_account_believes_no_status_that_a_fault_does_not_explain(scene):
    (file,) = scene.results.iterdir()
    file.unlink()
    crashed = {"status": "crashed", "reason": "killed by SIGKILL"}
    Store(str(scene.results)).write(fake_record().model_copy(update=crashed))
    assert scene.tally(may_crash=1).unexplained == 0
    assert scene.tally().unexplained == 1
