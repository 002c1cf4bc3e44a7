"""Laws of a trial on several devices: it is the same trial, and nothing of it is left behind."""

import contextlib
import json
from dataclasses import replace

import psutil
import pytest
import torch

from bench.compatibility import check_devices
from bench.errors import UsageError
from bench.executors.devices import Device, find_devices
from bench.executors.local import Job, LocalExecutor, Stopped
from bench.executors.ranks import first_cause, meeting_point, together
from bench.runners.checkpoints import FOLDER
from tasks.c4.finetune import TASK as FINETUNE
from tasks.lra.listops import TASK as LISTOPS
from tests.fakes.sharded import MODEL, STOP_AT, as_two, run, stopped, trial, trials
from tests.results.records import failed_record
from tests.tasks.test_tokenizers import save_model, word_tokenizer

NAMES = ("softmax", "performer", "darkformer", "from-scratch")
MARK = "BENCH_TEST_RANKS"
CLOSE = 1e-5
"""Relative: sums of float32 in another order."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharded")
    save_model(
        folder / MODEL,
        word_tokenizer(),
        vocab_size=33,
        hidden_size=20,
        intermediate_size=28,
        num_hidden_layers=2,
        initializer_range=0.2,
    )
    return folder


@pytest.fixture(scope="module")
def one(folder):
    run(stopped(folder), cache=folder / "by-one", stop=True)
    return {name: run(each) for name, each in trials(folder).items()}


@pytest.fixture(scope="module")
def unstopped(folder):
    return run(stopped(folder)).language


@pytest.fixture(scope="module")
def two(folder, one):
    """What each of two processes found."""
    with meeting_point() as port, together(2, as_two, port, folder) as team:
        return [json.loads(member.pipe.recv()) for member in team]


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_learn_what_one_learns(one, two, name):
    alone, shared = one[name].language, two[0][name]["language"]
    assert shared["losses"] == pytest.approx(alone.losses, rel=CLOSE)
    assert shared["before"]["block_losses"] == pytest.approx(alone.before.block_losses, rel=CLOSE)
    assert shared["after"]["block_losses"] == pytest.approx(alone.after.block_losses, rel=CLOSE)
    assert len(shared["after"]["block_hits"]) == 7
    assert alone.losses[-1] < alone.losses[0]


def test_both_processes_find_the_same(two):
    for name in two[0]:
        first, second = (each[name]["language"] | {"tokens_per_second": None} for each in two)
        assert first == second
        peaks = [each[name]["cost"]["peak_memory_bytes"] for each in two]
        assert peaks[0] == peaks[1]


def test_what_is_counted_of_a_step_is_that_of_all_processes(one, two):
    for name in NAMES:
        alone, shared = one[name].cost, two[0][name]["cost"]
        same = ("flops_per_step", "kernels", "parameters", "state_bytes", "tokens_per_step")
        assert {key: shared[key] for key in same} == {key: alone[key] for key in same}
    assert "highest of 2 processes" in shared["memory_method"]


def test_two_go_on_where_one_was_stopped(folder, two, unstopped):
    found = two[0]["begun-by-one"]["language"]
    assert found["resumed"] == 1
    assert found["losses"] == pytest.approx(unstopped.losses, rel=CLOSE)
    assert found["after"]["loss"] == pytest.approx(unstopped.after.loss, rel=CLOSE)
    assert not list((folder / "by-one" / FOLDER).glob("*"))


def test_one_goes_on_where_two_were_stopped(folder, two, unstopped):
    (file,) = (folder / "by-two" / FOLDER).glob("*")
    state = torch.load(file, weights_only=True)["state"]
    assert len(state["run"]["losses"]) == STOP_AT - 1
    assert all(type(x) is torch.Tensor for x in state["model"].values())
    found = run(stopped(folder), cache=folder / "by-two").language
    assert found.resumed == 1
    assert found.losses == pytest.approx(unstopped.losses, rel=CLOSE)
    assert found.after.loss == pytest.approx(unstopped.after.loss, rel=CLOSE)


def endless(folder):
    """With more steps to go than anyone would wait for, and no checkpoint but the last."""
    one = trial(folder, "softmax", decoder=True)
    training = replace(one.preset.training, steps=10**6)
    regime = replace(one.preset.regime, checkpoint_seconds=1e6)
    return replace(one, preset=replace(one.preset, training=training, regime=regime), devices=2)


def the_last(folder) -> psutil.Process:
    """The one begun last; two that were begun in one tick of the clock differ by number."""
    return max(marked(folder.name), key=lambda process: (process.create_time(), process.pid))


def test_a_process_that_is_killed_ends_the_trial_and_all_its_processes(folder):
    killed = []

    def kill(progress):
        if progress.phase == "train" and not killed:
            killed.append(the_last(folder))
            killed[0].kill()

    with LocalExecutor(Job(command="", threads=1)) as executor:
        record = executor.run(endless(folder), kill, environment={MARK: folder.name})
    assert record.status == "crashed"
    assert "Process 2 of the trial's 2 was killed by SIGKILL" in record.reason
    assert record.machine.devices == 2
    assert "2 processes on" in record.machine.name
    assert marked(folder.name) == []


@pytest.mark.slow
def test_two_that_are_stopped_save_the_whole_and_end(folder, tmp_path):
    with LocalExecutor(Job(command="", threads=1, cache=tmp_path)) as executor:

        def stop(progress):
            if progress.phase == "train":
                executor.stop(grace=600)

        with pytest.raises(Stopped):
            executor.run(endless(folder), stop, environment={MARK: folder.name})
    (file,) = (tmp_path / FOLDER).glob("*")
    state = torch.load(file, weights_only=True)["state"]
    assert len(state["run"]["losses"]) >= 1
    assert state["model"]["embedding.weight"].shape == (1024, 32)
    assert marked(folder.name) == []


@pytest.mark.slow
def test_a_process_that_hangs_is_ended_with_the_others(folder, tmp_path):
    with LocalExecutor(Job(command="", threads=1, cache=tmp_path)) as executor:

        def hang(progress):
            if progress.phase == "train":
                the_last(folder).suspend()
                executor.stop(grace=3)

        with pytest.raises(Stopped):
            executor.run(endless(folder), hang, environment={MARK: folder.name})
    assert marked(folder.name) == []


@pytest.mark.parametrize(
    ("statuses", "blamed"),
    [
        (("crashed", "out-of-memory"), 1),
        (("completed", "crashed"), 1),
        (("diverged", "diverged"), 0),
        (("completed", "completed"), 0),
    ],
)
def test_the_record_is_that_of_the_first_cause(statuses, blamed):
    """Where one process fails, the others see no more than that it is gone."""
    found = [failed_record(status=status, reason=str(n)) for n, status in enumerate(statuses)]
    assert first_cause(found).reason == str(blamed)


def marked(mark: str) -> list[psutil.Process]:
    """Processes that a rank's program runs in."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found


def test_only_what_can_be_cut_is_planned_for_several_devices():
    with pytest.raises(UsageError, match="only language tasks"):
        check_devices(2, LISTOPS, LISTOPS.presets[0])
    with pytest.raises(UsageError, match="3 devices do not share 8 blocks"):
        check_devices(3, FINETUNE, FINETUNE.presets[0])
    with pytest.raises(UsageError, match="1 device or more, not 0"):
        check_devices(0, FINETUNE, FINETUNE.presets[0])
    check_devices(4, FINETUNE, FINETUNE.presets[0])


def test_gpus_of_one_kind_are_one_device_together():
    gpus = tuple(
        Device(name=f"cuda:{i}", kind="one" if i < 5 else "other", visible_as=f"GPU-{i}")
        for i in range(7)
    )

    def found(text, per_trial):
        devices = find_devices(text, lambda: gpus, per_trial=per_trial)
        return [(d.name, d.kind, d.visible_as) for d in devices]

    assert found("auto", 2) == [("cuda:0", "one", "GPU-0,GPU-1")]
    assert found("cuda:2", 2) == [("cuda:2", "one", "GPU-2,GPU-3")]
    assert found("all", 2) == [
        ("cuda:0", "one", "GPU-0,GPU-1"),
        ("cuda:2", "one", "GPU-2,GPU-3"),
        ("cuda:5", "other", "GPU-5,GPU-6"),
    ]
    with pytest.raises(ValueError, match=r"6 GPUs of one kind .* more than torch sees"):
        found("auto", 6)
