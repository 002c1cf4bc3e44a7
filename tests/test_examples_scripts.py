"""The scripts under examples/ do what the documents say, with a scheduler's variables faked."""

import os
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from results.store import Store
from tests.processes import ROOT, bench

SWEEP = (
    "--methods", "performer", "flash-attention", "--task", str(ROOT / "tests/fakes/tiny_task.py"),
    "--no-controls", "--seeds", "0-2", "--set", "steps=1", "--threads", "1",
)  # fmt: skip
"""Performer learns; the other needs a GPU, so that its trials cannot run here."""


@pytest.fixture
def asked(tmp_path: Path):
    """Runs a script where `python` and its like only say what they are called with."""
    for name, program in {
        "python": 'printf "%s\\n" "${0##*/} $*"',
        "srun": 'printf "%s\\n" "srun $*"',
        "ray": 'printf "%s\\n" "ray $*"',
        "scontrol": 'printf "node-1\\nnode-2\\n"',
        "getent": 'printf "10.0.0.1 STREAM %s\\n" "$2"',
    }.items():
        stub = tmp_path / "bin" / name
        stub.parent.mkdir(exist_ok=True)
        stub.write_text(f"#!/bin/sh\n{program}\n")
        stub.chmod(stub.stat().st_mode | stat.S_IXUSR)

    def run(script: str, *words: str, **variables: str) -> list[list[str]]:
        path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [ROOT / "examples" / script, *words],
            cwd=tmp_path,
            env={"PATH": path, **variables},
            capture_output=True,
            text=True,
            check=True,
        )
        return [shlex.split(line) for line in done.stdout.splitlines()]

    return run


def test_the_jobs_of_an_array_leave_a_record_of_every_trial_each_in_one_part(asked, tmp_path):
    for index in range(3):
        folder = tmp_path / f"results-{index}"
        words = (*SWEEP, "--results", str(folder), "--cache", str(tmp_path / "cache"))
        (called,) = asked("slurm_array.sh", *words, SHARDS="3", SLURM_ARRAY_TASK_ID=str(index))
        assert called[:3] == ["python", "-m", "bench"]
        done = bench(*called[3:])
        assert done.returncode == 0, done.stderr
    parts = [Store(tmp_path / f"results-{index}").read().records for index in range(3)]
    assert [len(part) for part in parts] == [2, 2, 2]
    trials = {(r.identity.method, r.identity.seed, r.status) for part in parts for r in part}
    assert {t[:2] for t in trials} == {
        (method, seed) for method in ("performer", "flash-attention") for seed in range(3)
    }
    assert {t[2] for t in trials if t[0] == "performer"} == {"completed"}
    assert {t[2] for t in trials if t[0] == "flash-attention"} <= {"unavailable", "unsupported"}


def test_the_script_with_ray_runs_the_plan_once_on_the_cluster_that_it_starts(asked):
    ((*words,),) = asked(
        "slurm_ray.sh", *SWEEP, SLURM_JOB_NODELIST="n[1-2]", SLURM_JOB_NUM_NODES="2"
    )
    cut = words.index("--")
    started, run = words[:cut], words[cut + 1 :]
    assert started[:3] == ["srun", "ray", "symmetric-run"]
    assert started[3:] == ["--address", "10.0.0.1:6379", "--min-nodes", "2"]
    assert run[:4] == ["python", "-m", "bench", "run"]
    assert run[-4:] == ["--executor", "ray", "--address", "10.0.0.1:6379"]


def test_a_week_is_measured_anew_and_compared_with_the_last(asked, tmp_path):
    first = asked("weekly.sh", *SWEEP, WEEK="2031-20")
    assert [words[3] for words in first] == ["run", "report"]
    second = asked("weekly.sh", *SWEEP, WEEK="2031-21")
    assert [words[3] for words in second] == ["run", "run", "report", "compare"]
    estimate, run, report, compare = second
    assert estimate[-4:] == ["--results", "sweeps/2031-20", "--rerun", "--dry-run"]
    assert run[-4:] == ["--results", "sweeps/2031-21", "--time-limit", "3600"]
    assert report[-3:] == ["sweeps/2031-21", "--html", "sweeps/2031-21.html"]
    assert compare[-2:] == ["sweeps/2031-20", "sweeps/2031-21"]
    assert (tmp_path / "sweeps" / "latest").readlink() == Path("2031-21")


def test_the_script_that_the_documents_print_is_the_one_in_examples():
    text = (ROOT / "docs/how-to/run-on-a-cluster.md").read_text(encoding="utf-8")
    (printed,) = (block for block in text.split("```sh\n")[1:] if block.startswith("#!"))
    script = (ROOT / "examples/slurm_array.sh").read_text(encoding="utf-8").splitlines()
    assert set(printed.split("```")[0].splitlines()) <= set(script)
