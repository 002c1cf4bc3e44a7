"""Laws of a language trial: what it measures, and that it goes on where it was stopped."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.plan import Trial
from bench.runners.checkpoints import FOLDER, Checkpoint
from bench.runners.found import Found
from bench.runners.language import model_language
from bench.runners.text_training import order
from bench.runners.train import Diverged
from methods.performer import METHOD as PERFORMER
from methods.softmax import METHOD as SOFTMAX
from results.record import Identity
from results.spikes import spikes
from results.store import Store
from tasks.api import SourceUnavailableError
from tests.bench.test_interruption import wait_for
from tests.fakes import tiny_language
from tests.processes import ROOT, bench

FILE = Path(tiny_language.__file__)
METHODS = {"performer": PERFORMER, "softmax": SOFTMAX}
OFTEN = 1e-9
"""Seconds between checkpoints that make every step leave one."""


class PulledError(Exception):
    """The plug is pulled."""


def trial(method="performer", *, task=tiny_language.TASK, seed=0, options=None, **changes) -> Trial:
    preset = task.presets[0]
    for part in ("text", "training", "regime"):
        own = getattr(preset, part)
        fields = {k: v for k, v in changes.items() if hasattr(own, k)}
        preset = replace(preset, **{part: replace(own, **fields)})
    return Trial(
        identity=Identity(
            method=method,
            method_options=options or {},
            task=task.name,
            task_version=1,
            preset=preset.name,
            source="packaged",
            settings=changes,
            seed=seed,
        ),
        method_locator="",
        method_file=FILE,
        task_locator="",
        task_file=FILE,
        preset=preset,
        device="cpu",
        role="method",
        same_as=None,
    )


def run(one: Trial, *, task=tiny_language.TASK, cache=None, stop_at=None) -> Found:
    found, steps = Found(), 0

    def report(progress):
        nonlocal steps
        steps += progress.phase == "train"
        if steps == stop_at:
            raise PulledError

    torch.manual_seed(one.identity.seed)
    method = METHODS[one.identity.method]
    model_language(one, method, task, cache=cache, report=report, found=found)
    return found


@pytest.fixture(scope="module")
def whole():
    return run(trial("softmax"))


def test_what_can_be_learned_is_learned(whole):
    result = whole.language
    assert result.before.accuracy < 0.2
    assert result.after.accuracy > 0.6
    assert result.after.loss < result.before.loss
    assert [e.step for e in whole.training.evaluations] == [0, 20, 40, 60, 80]


def test_the_outcome_of_the_test_is_kept_by_block_and_by_prediction(whole):
    result, accuracy = whole.language, whole.metrics[0]
    assert result.predictions_per_block == 15
    assert len(result.after.block_hits) == 8
    assert sum(result.after.block_hits) == accuracy.proportion.successes
    assert accuracy.proportion.trials == 8 * 15
    assert np.mean(result.after.block_losses) == pytest.approx(result.after.loss)
    assert [m.name for m in whole.metrics] == ["accuracy", "loss", "perplexity"]
    assert whole.metrics[2].value == pytest.approx(np.exp(result.after.loss))


def test_the_price_is_that_of_a_whole_step(whole):
    cost = whole.cost
    assert cost["tokens_per_step"] == 8 * 16
    parts = run(trial("softmax", steps=1, micro_batch=8)).cost
    assert cost["flops_per_step"] == pytest.approx(parts["flops_per_step"], rel=0.02)
    assert cost["parameters"] - cost["non_embedding_parameters"] == 32 * (1024 + 16)
    assert whole.language.tokens_per_second > 0


def test_gradients_of_parts_of_a_batch_add_up_to_its_own():
    losses = {
        micro: run(trial("softmax", steps=5, micro_batch=micro)).language.losses for micro in (1, 8)
    }
    # Dropout draws other numbers for other shapes, from the first step on.
    assert losses[1][0] == pytest.approx(losses[8][0], rel=0.05)


def test_parts_of_a_batch_give_the_same_curve_without_dropout(monkeypatch):
    shape = replace(tiny_language.PRESET.decoder, dropout=0.0)
    preset = replace(tiny_language.PRESET, decoder=shape)
    monkeypatch.setattr(tiny_language, "TASK", replace(tiny_language.TASK, presets=(preset,)))
    task = tiny_language.TASK
    curves = [
        run(trial("softmax", task=task, steps=6, **changes), task=task).language.losses
        for changes in ({"micro_batch": 2}, {"micro_batch": 8}, {"checkpoint_activations": True})
    ]
    assert curves[0] == pytest.approx(curves[1], rel=1e-5)
    assert curves[0] == pytest.approx(curves[2], rel=1e-5)


@pytest.mark.parametrize("stop_at", [1, 7, 23])
def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path, stop_at):
    one = trial(options={"num_features": 8, "redraw_every": 3}, steps=25, checkpoint_seconds=OFTEN)
    expected = run(one).language
    with pytest.raises(PulledError):
        run(one, cache=tmp_path, stop_at=stop_at)
    found = run(one, cache=tmp_path)
    assert found.language.losses == expected.losses
    assert found.language.after == expected.after
    assert found.language.before == expected.before
    assert found.language.resumed == (stop_at > 1)
    assert not list((tmp_path / FOLDER).glob("*"))


@pytest.mark.parametrize("stop_at", [3, 7, 14])
def test_a_stopped_search_goes_on_to_the_same_bits(tmp_path, stop_at):
    changes = {"learning_rates": "1e-3,1e-2", "search_steps": 5, "checkpoint_seconds": OFTEN}
    one = trial("softmax", steps=8, **changes)
    expected = run(one).language
    with pytest.raises(PulledError):
        run(one, cache=tmp_path, stop_at=stop_at)
    found = run(one, cache=tmp_path).language
    assert found.losses == expected.losses
    assert found.runs == expected.runs
    assert found.after == expected.after


def test_a_search_takes_the_rate_of_the_lowest_loss_and_starts_afresh():
    changes = {"learning_rates": "1e-5,1e-2", "search_steps": 10}
    result = run(trial("softmax", steps=6, **changes)).language
    assert [r.learning_rate for r in result.runs] == [1e-5, 1e-2]
    assert result.runs[1].loss < result.runs[0].loss
    assert "0.01, best on validation of 2" in result.card["learning rate"]
    plain = run(trial("softmax", steps=6, learning_rate=1e-2)).language
    assert result.before == plain.before
    assert result.losses[0] == pytest.approx(plain.losses[0], rel=0.05)


def test_another_configurations_checkpoint_is_refused_in_a_sentence(tmp_path):
    def checkpoint(about):
        return Checkpoint(tmp_path, "name", about, every=1.0)

    checkpoint("one").save({"step": 3})
    assert checkpoint("one").load(torch.device("cpu")) == {"step": 3}
    with pytest.raises(SourceUnavailableError, match=r"of another configuration.*delete it"):
        checkpoint("two").load(torch.device("cpu"))


DAMAGED = {
    "pickle": {"about": "one", "state": Path},
    "a tensor": torch.zeros(3),
    "no state": {"about": "one", "state": [1]},
}


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", *DAMAGED])
def test_a_damaged_checkpoint_is_refused_and_runs_no_code(tmp_path, content):
    file = tmp_path / FOLDER / "name.pt"
    file.parent.mkdir()
    if content in DAMAGED:
        torch.save(DAMAGED[content], file)
    else:
        file.write_bytes(content)
    with pytest.raises(SourceUnavailableError, match="is damaged"):
        Checkpoint(tmp_path, "name", "one", every=1.0).load(torch.device("cpu"))


def test_a_last_update_that_ruins_the_model_is_a_divergence():
    ruin = {"steps": 1, "learning_rate": 1e30, "schedule": "constant", "warmup_steps": 0}
    with pytest.raises(Diverged, match="at step 1 of 1"):
        run(trial("softmax", **ruin))


def test_a_grid_counts_divergences_and_keeps_every_run():
    task = tiny_language.GRID
    found = run(trial("softmax", task=task), task=task)
    rates = found.language.runs
    assert [r.learning_rate for r in rates] == [1e-3, 1e-2, 1e9]
    assert [r.diverged_at is None for r in rates] == [True, True, False]
    assert rates[2].loss is None
    assert len(rates[0].losses) == 12
    names = {m.name: m.value for m in found.metrics}
    assert names["divergences"] == 1
    assert names["loss"] == min(r.loss for r in rates[:2])
    assert "robust deviations" in found.language.card["spikes"]


def test_only_what_shall_learn_does():
    result = run(trial("softmax", steps=2, train="attention")).language
    assert result.trained_parameters == 4 * 32 * 32
    assert result.method_parameters == 0


def test_an_epoch_holds_every_block_once_and_depends_on_the_seed():
    def epoch(seed, batch):
        return [int(i) for step in range(1, 40 // batch + 1) for i in order(40, batch, step, seed)]

    assert sorted(epoch(0, 8)) == list(range(40))
    assert epoch(0, 8) == epoch(0, 5)
    assert epoch(0, 8) != epoch(1, 8)
    assert len(order(3, 8, 2, 0)) == 8


def test_spikes_are_steps_far_above_their_past_and_neighbours_are_one():
    calm = [3 - 0.01 * i + 0.02 * (i % 3) for i in range(40)]
    assert spikes(calm) == []
    wild = list(calm)
    wild[20] = wild[21] = 9.0
    wild[35] = float("inf")
    assert spikes(wild) == [21]
    assert spikes([9.0, *calm]) == []


def test_sigkill_loses_no_step_and_changes_no_bit(tmp_path):
    words = ["run", "--methods", "performer:num_features=8", "--task", str(FILE), "--no-controls",
             "--threads", "1", "--set", "steps=60", f"checkpoint_seconds={OFTEN}",
             "--cache", str(tmp_path / "cache")]  # fmt: skip
    driver = subprocess.Popen(
        [sys.executable, "-m", "bench", *words, "--results", str(tmp_path / "killed")],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: list((tmp_path / "cache" / FOLDER).glob("[!.]*.pt")))
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    time.sleep(0.5)
    for folder in ("killed", "whole"):
        done = bench(*words, "--results", str(tmp_path / folder))
        assert done.returncode == 0, done.stderr
    killed, whole = (Store(tmp_path / f).read().records[0] for f in ("killed", "whole"))
    assert killed.language.resumed == 1
    assert whole.language.resumed == 0
    assert killed.language.losses == whole.language.losses
    assert killed.metrics == whole.metrics
