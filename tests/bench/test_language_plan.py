"""Laws of planning language tasks: settings, precision, what trains, and who cannot do them."""

import dataclasses
import json
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.plan import Request, make_plan
from bench.registry import Entry, load_registry
from bench.settings import head_dim, resolved_settings
from methods.api import Capabilities
from tasks.c4.finetune import TASK as FINETUNE
from tasks.c4.pretrain import TASK as PRETRAIN
from tests.bench.test_plan import HERE, chosen
from tests.fakes import tiny_task
from tests.processes import bench

LANGUAGE = ("--task", "c4/finetune", "--methods", "performer", "--no-controls", "--json")


def planned(task, *methods, **changes):
    entry = Entry(value=task, locator="t:TASK", file=Path("m.py"), module=None)
    request = Request(methods=methods or (chosen("m"),), tasks=(entry,), **changes)
    return make_plan(request, HERE).trials


def test_a_setting_reaches_the_part_of_the_protocol_that_it_is_of():
    settings = {
        "model": "smollm2", "length": "64", "steps": "7", "micro_batch": "4", "train": "attention",
        "remote_code": "true",
    }  # fmt: skip
    (trial,) = planned(FINETUNE, settings=settings)
    preset = trial.preset
    assert (preset.text.model, preset.text.length, preset.text.remote_code) == ("smollm2", 64, True)
    assert (preset.training.steps, preset.training.learning_rate) == (7, 1e-3)
    assert (preset.regime.micro_batch, preset.regime.train) == (4, "attention")
    assert trial.identity.settings == {
        **settings, "length": 64, "steps": 7, "micro_batch": 4, "remote_code": True
    }  # fmt: skip


def test_the_decoder_is_set_where_there_is_one():
    (trial,) = planned(PRETRAIN, settings={"d_model": "64"})
    assert trial.preset.decoder.d_model == 64
    assert head_dim(trial.preset) == 16
    assert head_dim(planned(FINETUNE)[0].preset) is None
    with pytest.raises(UsageError, match="No chosen task has a setting 'd_model'"):
        planned(FINETUNE, settings={"d_model": "64"})


def test_the_record_holds_the_whole_protocol():
    (trial,) = planned(PRETRAIN)
    resolved = resolved_settings(trial.preset)
    for name in ("tokenizer", "length", "steps", "learning_rate", "train", "num_layers"):
        assert name in resolved
    assert resolved["mlp_dim"] == 512


@pytest.mark.parametrize(
    ("preset", "asked", "expected"),
    [
        ("quick", None, "float32"),
        ("small", None, "bfloat16"),
        ("small", "float32", "float32"),
        ("quick", "bfloat16", "bfloat16"),
    ],
)
def test_the_precision_is_the_preset_s_own_unless_one_is_asked_for(preset, asked, expected):
    can = Capabilities(causal=True, dtypes=("float32", "bfloat16"))
    (trial,) = planned(FINETUNE, chosen("m", can), preset=preset, dtype=asked)
    assert trial.identity.dtype == expected
    assert trial.problem is None


def test_a_precision_that_the_method_lacks_is_unsupported_where_the_preset_has_it():
    can = Capabilities(causal=True, dtypes=("float32",))
    assert planned(FINETUNE, chosen("m", can), preset="quick")[0].problem is None
    (trial,) = planned(FINETUNE, chosen("m", can), preset="small")
    assert "not in bfloat16" in trial.problem.reason


def test_tasks_that_are_not_of_language_stay_in_float32():
    (trial,) = planned(tiny_task.TASK)
    assert trial.identity.dtype == "float32"


def test_a_whole_mixer_is_for_decoders_from_scratch_only():
    entry = load_registry(("METHOD",)).methods["mamba"]
    mamba = dataclasses.replace(chosen("mamba"), entry=entry)
    (trial,) = planned(FINETUNE, mamba)
    assert trial.problem.status == "unsupported"
    assert "mamba is a whole mixer: a pretrained model keeps" in trial.problem.reason
    assert planned(PRETRAIN, mamba)[0].problem is None


@pytest.mark.parametrize("task", [FINETUNE, PRETRAIN])
@pytest.mark.parametrize(
    ("can", "changes", "word"),
    [
        (Capabilities(bidirectional=True), {}, "m is not causal"),
        (Capabilities(causal=True), {"compile": True}, "Leave --compile out"),
        (Capabilities(causal=True, dtypes=("float16",)), {"dtype": "float16"}, "--dtype bfloat16"),
    ],
)
def test_what_cannot_predict_the_next_token_is_unsupported(task, can, changes, word):
    (trial,) = planned(task, chosen("m", can), **changes)
    assert trial.problem.status == "unsupported"
    assert word in trial.problem.reason


def test_controls_are_added_to_language_tasks_too():
    control = dataclasses.replace(chosen("c"), is_control=True)
    assert len(planned(FINETUNE, chosen("m"), control)) == 2


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"micro_batch": "3"}, "c4/finetune, preset 'quick': micro_batch must divide batch_size"),
        ({"learning_rates": "0.1,x", "search_steps": "3"}, "takes positive numbers"),
        ({"train": "everything"}, "takes train as 'all' | 'attention' | 'method'"),
        ({"trian": "all"}, "Did you mean 'train'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_at_planning(settings, sentence):
    with pytest.raises(UsageError) as caught:
        planned(FINETUNE, settings=settings)
    assert sentence in str(caught.value)


def test_what_trains_has_a_short_form_and_the_trial_is_the_same():
    def identities(*words: str) -> list[dict[str, object]]:
        return json.loads(bench("plan", *LANGUAGE, *words).stdout)

    (short,), (long,) = identities("--train", "method"), identities("--set", "train=method")
    assert short == long
    assert short["settings"] == {"train": "method"}
    assert short["dtype"] == "float32"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--task", "lra/text", "--train", "method"), "No chosen task trains a language model"),
        (
            ("--task", "c4/finetune", "--train", "method", "--set", "train=all"),
            "--train says method and --set says train=all. Give one.",
        ),
        (("--task", "c4/finetune", "--train", "much"), "much"),
        (("--task", "c4/pretrain", "--source", "no/such/path"), "no folder or file of that name"),
    ],
)
def test_what_trains_is_refused_where_it_means_nothing(words, sentence):
    done = bench("plan", "--methods", "performer", *words)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_model_that_does_not_exist_is_unavailable():
    pytest.importorskip("transformers")
    (trial,) = json.loads(bench("plan", *LANGUAGE, "--set", "model=./nowhere").stdout)
    assert (
        trial["state"]
        == "unavailable: there is no folder './nowhere' with a model of transformers."
    )


def test_language_tasks_are_listed_with_their_protocols():
    presets = json.loads(bench("list", "presets", "--json").stdout)
    (small,) = (p for p in presets if (p["task"], p["preset"]) == ("c4/finetune", "small"))
    assert small["model"] == "smollm2"
    assert small["trains"] == "all, in bfloat16"
    assert small["steps"] == "100 x 8 blocks, 204800 tokens"
    registry = load_registry(("TASK", "SUITE"))
    assert [entry.value.name for entry in registry.tasks_named("c4")] == [
        "c4/pretrain", "c4/finetune", "c4/stability",
    ]  # fmt: skip
