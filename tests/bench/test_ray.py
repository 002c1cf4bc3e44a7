"""Laws of running on a Ray cluster: a real one, of this machine."""

import dataclasses
import socket
import sys
import types
from pathlib import Path

import psutil
import pytest

from bench.cli.selection import Selection, plan_selection
from bench.compatibility import Problem
from bench.errors import UsageError
from bench.executors.cluster import demand, require_room
from bench.executors.devices import Device
from bench.executors.local import Job
from bench.executors.pool import Pool
from bench.executors.ray import RayExecutor
from tests.bench.test_interruption import wait_for
from tests.bench.test_pool import Watcher, planned
from tests.bench.test_run import run

pytest.importorskip("ray")
JOB = Job(command="test", threads=1)
CPU = (Device(),)


@pytest.fixture(scope="module")
def ray():
    with RayExecutor(JOB, "cpu", address=None, jobs=2, cpus=1) as executor:
        yield executor
        (raylet,) = [p for p in psutil.Process().children() if p.name() == "raylet"]
        begun = [raylet, *raylet.children(recursive=True)]
    wait_for(lambda: not any(is_alive(process) for process in begun))


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def workers() -> list[psutil.Process]:
    """Ray's processes that are at a trial."""
    below = psutil.Process().children(recursive=True)
    return [p for p in below if "ray::run_on_node" in " ".join(p.cmdline())]


def lra_trials():
    chosen = Selection(
        methods=("no-mixing", "performer"), task=("lra/listops",), controls=False, device="cpu",
        timing=False, set=("steps=3", "num_train=64", "num_test=64"),
    )  # fmt: skip
    return plan_selection(chosen, None).trials


def test_a_cluster_that_loses_a_worker_finds_the_same_to_the_bit_as_this_machine(ray):
    def lose_the_first(_):
        if len(watcher.running) == 1:
            for worker in workers():
                worker.kill()

    watcher = Watcher(lose_the_first)
    trials = lra_trials()
    there = {r.identity.method: r for r in ray.records(trials, watcher)}
    with Pool(JOB, CPU) as pool:
        here = {r.identity.method: r for r in pool.records(trials, Watcher())}
    assert len(watcher.running) > len(trials), "none was begun twice"
    assert set(there) == {"no-mixing", "performer"}
    for method, record in there.items():
        assert record.status == "completed"
        assert record.training == here[method].training
        assert record.metrics == here[method].metrics
        assert record.machine.threads == 1


@pytest.mark.slow
def test_a_trial_whose_worker_is_lost_too_often_has_a_record_that_says_so(ray, monkeypatch):
    monkeypatch.setattr("bench.executors.ray.ATTEMPTS", 1)
    watcher = Watcher(lambda trial: [worker.kill() for worker in workers()])
    trials = planned("no-mixing", devices=CPU, timing=False, set=("steps=5",))
    (record,) = ray.records(trials, watcher)
    assert watcher.running == [0]
    assert record.status == "crashed"
    assert "Ray could not run it. WorkerCrashedError" in record.reason


def test_what_cannot_run_needs_no_cluster(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    problem = Problem(status="unsupported", reason="It never can.")
    trials = [dataclasses.replace(trial, problem=problem) for trial in planned("no-mixing")]
    with RayExecutor(JOB, "cpu", address=None, jobs=2, cpus=1) as executor:
        assert [r.reason for r in executor.records(trials, Watcher())] == ["It never can."]


def test_without_ray_one_sentence_says_what_to_install(monkeypatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = run(tmp_path, "--methods", "no-mixing", "--executor", "ray", "--device", "cpu")
    assert done.returncode == 2
    assert "pip install 'attention-bench[ray]'" in done.stderr


def test_an_address_that_is_silent_is_named_without_asking_again(tmp_path):
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    done = run(tmp_path, "--methods", "no-mixing", "--executor", "ray", "--address", address)
    assert done.returncode == 2
    assert f"There is no Ray cluster at {address}" in done.stderr


def test_a_cluster_that_may_ask_for_a_token_is_named_with_what_to_set(monkeypatch):
    def init(**_):
        raise ConnectionError("Failed to connect")

    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(init=init))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with (
        RayExecutor(JOB, "cpu", address="auto", jobs=None, cpus=1) as executor,
        pytest.raises(UsageError, match=r"at auto: Failed .* set RAY_AUTH_MODE=token"),
    ):
        list(executor.records(planned("no-mixing"), Watcher()))


def test_a_timed_trial_on_processors_asks_for_the_whole_of_a_node():
    (timed,) = planned("no-mixing", devices=CPU)
    (untimed,) = planned("no-mixing", devices=CPU, timing=False)
    assert demand(timed, cpus=2, largest=16, nodes=()) == {"num_cpus": 16}
    assert demand(untimed, cpus=2, largest=16, nodes=()) == {"num_cpus": 2}


def test_a_trial_that_no_node_has_room_for_is_refused():
    nodes = [{"CPU": 16.0}, {"CPU": 4.0, "GPU": 2.0}]
    require_room([{"num_cpus": 16}, {"num_cpus": 4, "num_gpus": 2}], nodes)
    with pytest.raises(UsageError, match="takes 17 processors and 0 GPUs of one node"):
        require_room([{"num_cpus": 16}, {"num_cpus": 17}], nodes)
    with pytest.raises(UsageError, match="nodes of this cluster have 16 and 0, or 4 and 2"):
        require_room([{"num_cpus": 8, "num_gpus": 1}], nodes)


def test_more_processors_than_a_cluster_has_are_refused_before_anything_runs(ray, monkeypatch):
    monkeypatch.setattr(ray, "_cpus", 10_000)
    trials = planned("no-mixing", devices=CPU, timing=False, set=("steps=5",))
    with pytest.raises(UsageError, match="Lower --cpus"):
        list(ray.records(trials, Watcher()))


def test_a_trial_of_a_gpu_asks_for_one_on_a_node_that_has_its_kind():
    (trial,) = planned("no-mixing", devices=(Device(name="cuda:0", kind="Fake GPU"),))
    assert demand(trial, cpus=1, largest=16, nodes=("a", "b")) == {
        "num_cpus": 1,
        "num_gpus": 1,
        "label_selector": {"ray.io/node-id": "in(a,b)"},
    }
