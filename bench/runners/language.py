"""Runs a trial of next-token prediction: text, model, training at one rate or several, test."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.decoder import NextTokenModel
from bench.memory import PeakMemory
from bench.plan import RELEASE, Trial
from bench.provenance import method_digest, task_digest, training_digest
from bench.runners.checkpoints import Checkpoint
from bench.runners.distributed import ALONE, Ranks, make_whole
from bench.runners.found import Found
from bench.runners.price import after_training, price_of_step, sizes
from bench.runners.text_model import Asked, Built, build
from bench.runners.text_results import (
    as_rate_run,
    as_training,
    best_rate,
    data_card,
    measured_loss,
    metrics,
    protocol,
)
from bench.runners.text_training import Run, Workplace, block_loss, outcome, train_run
from bench.runners.train import Diverged, Progress, Report
from methods.api import Method, UnsupportedError
from results.language import LanguageResult
from results.record import Measured
from results.spikes import RULE, spikes
from tasks.language import LanguagePreset, LanguageTask, Trains, learning_rates


def model_language(
    trial: Trial,
    method: Method,
    task: LanguageTask,
    *,
    cache: Path | None,
    report: Report,
    found: Found,
    ranks: Ranks = ALONE,
) -> None:
    """Everything that a trial of a language task measures, put into `found`.

    ranks: this process among those of the trial; each finds the same.
    """
    report(Progress("data"))
    preset = _preset(trial)
    given = trial.identity.source
    source = task.source(given.split(":")[0])
    assert source is not None, "the plan checked the source"
    path = Path(given.removeprefix(RELEASE)) if given.startswith(RELEASE) else None
    ranks.join(torch.device(trial.device))
    with PeakMemory(trial.device) as memory:
        asked = Asked(
            preset=preset,
            options=trial.identity.method_options,
            path=path,
            cache=cache,
            seed=trial.identity.seed,
            device=torch.device(trial.device),
            report=report,
        )
        built = build(method, source, asked)
        found.data = data_card(source, built.corpus, built.vocab_size)
        _Trial(trial, task, preset, built, cache, report, found, ranks).run()
    among = f", the highest of {ranks.size} processes" if ranks.size > 1 else ""
    found.cost |= {
        "peak_memory_bytes": ranks.highest(memory.bytes),
        "memory_method": memory.method + among,
    }


class _Trial:
    """One trial from the built model on. What it finds goes into `found` as it is found."""

    def __init__(
        self,
        trial: Trial,
        task: LanguageTask,
        preset: LanguagePreset,
        built: Built,
        cache: Path | None,
        report: Report,
        found: Found,
        ranks: Ranks,
    ) -> None:
        self._task, self._preset, self._found = task, preset, found
        self._corpus, self._model = built.corpus, built.model
        trained = _freeze(built.model, preset.regime.train, trial.identity.method)
        self._here = Workplace(
            model=built.model,
            corpus=built.corpus,
            plan=preset.training,
            micro_batch=preset.regime.micro_batch,
            device=torch.device(trial.device),
            dtype=trial.identity.dtype,
            seed=trial.identity.seed,
            report=report,
            ranks=ranks,
        )
        ranks.shard(built.model, self._here.device, trial.identity.seed)
        self._result: dict[str, Any] = {
            "predictions_per_block": built.corpus.test.shape[1] - 1,
            "trained_parameters": trained,
            "method_parameters": sum(p.numel() for p in built.model.method_parameters()),
            "exact_layers": list(built.exact_layers),
            "card": built.card
            | {"spikes": RULE, "protocol": protocol(preset, built.corpus.train.shape[1])},
        }
        about = _about(trial, built.corpus.digest)
        every = preset.regime.checkpoint_seconds
        # A timed trial does not go on from times that were taken beside others.
        name = trial.identity.digest() + ("" if trial.timing else "-untimed")
        self._checkpoint = Checkpoint(cache, name, about, every=every)

    def run(self) -> None:
        """Search or grid first, if there is one; then the main run, its test and its price."""
        # What each device takes a part of is read whole by the processor.
        alone = self._here.ranks.size == 1
        saved = self._checkpoint.load(self._here.device if alone else torch.device("cpu"))
        self._result["resumed"] = 0 if saved is None else saved["resumed"] + 1
        with self._checkpoint.last_on_sigterm():
            self._price()
            self._result["before"] = saved["before"] if saved else self._test().model_dump()
            self._keep()
            searched = self._searched(saved)
            if self._task.measures == "stability":
                self._conclude_stability(searched)
            else:
                self._main(searched, saved)
        self._checkpoint.forget()

    def _searched(self, saved: Mapping[str, Any] | None) -> list[Run]:
        """One run for each rate of the grid, all from the same start."""
        rates, stability = learning_rates(self._preset.regime), self._task.measures == "stability"
        plan = self._preset.training
        steps = plan.steps if stability else self._preset.regime.search_steps
        done = [Run(**run) for run in saved["done"]] if saved else []
        self._result["runs"] = [as_rate_run(one) for one in done]
        if not rates:
            return done
        start = {name: x.clone() for name, x in self._model.state_dict().items()}
        for number, rate in enumerate(rates[len(done) :], start=len(done)):
            run = Run(
                rate=rate,
                steps=steps,
                recovery=False,
                earlier=number * steps,
                later=(len(rates) - 1 - number) * steps + (0 if stability else plan.steps),
            )
            resumes = saved is not None and len(saved["done"]) == number
            if resumes and saved is not None:
                run = Run(**saved["run"])
            self._model.load_state_dict(start)
            train_run(
                self._here, run, self._checkpoint, self._notes(done), saved if resumes else None
            )
            done.append(run)
            self._result["runs"] = [as_rate_run(one) for one in done]
            self._keep()
        self._model.load_state_dict(start)
        return done

    def _main(self, searched: list[Run], saved: Mapping[str, Any] | None) -> None:
        plan = self._preset.training
        rate = best_rate(searched) if searched else plan.learning_rate
        self._result["card"]["learning rate"] = f"{rate:g}" + (
            f", best on validation of {len(searched)} tried" if searched else ", not searched for"
        )
        earlier = sum(one.steps for one in searched)
        run = Run(rate=rate, steps=plan.steps, earlier=earlier)
        resumes = saved is not None and len(saved["done"]) == len(searched)
        if resumes and saved is not None:
            run = Run(**saved["run"])
        try:
            train_run(
                self._here, run, self._checkpoint, self._notes(searched), saved if resumes else None
            )
        finally:
            self._note_run(run)
        if run.diverged_at:
            self._checkpoint.forget()
            raise Diverged(
                f"The loss was beyond every bound at step {run.diverged_at} of {run.steps}. Try a"
                " lower learning_rate, a longer warm-up or clip_norm with --set."
            )
        self._conclude(run)

    def _note_run(self, run: Run) -> None:
        self._result["losses"] = [loss for loss in run.losses if np.isfinite(loss)]
        self._result["spikes"] = spikes(run.losses)
        tokens = self._preset.training.batch_size * self._corpus.train.shape[1]
        if run.seconds:
            self._result["tokens_per_second"] = tokens / float(np.median(run.seconds))
        self._found.cost |= {"step_seconds": run.seconds, "tokens_per_step": tokens}
        self._keep()

    def _conclude(self, run: Run) -> None:
        self._here.report(Progress("test"))
        after, right = self._outcome(self._corpus.test)
        self._result["after"] = after
        self._keep()
        self._found.training = as_training(run, self._preset.training, right)
        self._found.metrics = metrics(after, right, self._task.metric)
        one = torch.from_numpy(self._corpus.validation[:1].astype(np.int64)).to(self._here.device)
        make_whole(self._model)
        self._found.cost |= after_training(
            self._model, lambda: self._model(one), device=self._here.device, dtype=self._here.dtype
        )

    def _conclude_stability(self, runs: list[Run]) -> None:
        finished = [run for run in runs if not run.diverged_at]
        counts = {
            "spikes": sum(len(spikes(run.losses)) for run in runs),
            "divergences": len(runs) - len(finished),
        }
        best = min((run.evaluations[-1][1] for run in finished), default=None)
        self._found.metrics = [] if best is None else measured_loss(best)[:1]
        self._found.metrics += [
            Measured(name=name, unit="1", higher_is_better=False, value=count)
            for name, count in counts.items()
        ]

    def _price(self) -> None:
        plan, here = self._preset.training, self._here
        micro = self._corpus.train[: min(here.micro_batch, plan.batch_size // here.ranks.size)]
        self._found.cost |= sizes(self._model, self._model.tables())
        cost = price_of_step(
            self._model,
            lambda model: block_loss(model, micro, here.device, here.dtype),
            device=here.device,
            dtype=here.dtype,
        )
        parts = plan.batch_size // len(micro)
        for name in ("flops_per_step", "bytes_moved_per_step"):
            cost[name] = None if cost[name] is None else cost[name] * parts
        cost["flops_method"] += f"; of {len(micro)} blocks, times {parts}"
        self._found.cost |= cost

    def _test(self) -> Any:
        self._here.report(Progress("test before training"))
        return self._outcome(self._corpus.test)[0]

    def _outcome(self, blocks: np.ndarray) -> Any:
        return outcome(self._here, blocks)

    def _notes(self, done: list[Run]) -> dict[str, Any]:
        return {
            "done": [asdict(run) for run in done],
            "before": self._result["before"],
            "resumed": self._result["resumed"],
        }

    def _keep(self) -> None:
        self._found.language = LanguageResult(**self._result)


def _about(trial: Trial, corpus: str) -> str:
    """What a checkpoint must agree with to go on from it."""
    about = {
        "identity": trial.identity.model_dump(),
        "method": method_digest(trial.method_file),
        "task": task_digest(trial.task_file),
        "corpus": corpus,
        "training": training_digest(),
        "torch": torch.__version__,
    }
    return json.dumps(about, sort_keys=True)


def _freeze(model: NextTokenModel, trains: Trains, method: str) -> int:
    """Only what shall learn keeps its gradient; how many parameters those are."""
    chosen = list[Tensor](model.parameters())
    if trains != "all":
        attention = trains == "attention"
        chosen = model.attention_parameters() if attention else model.method_parameters()
    ours = {id(p) for p in chosen}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in ours)
    if not chosen:
        raise UnsupportedError(
            f"{method} has no parameters of its own: with train={trains} nothing would learn."
        )
    return sum(p.numel() for p in chosen)


def _preset(trial: Trial) -> LanguagePreset:
    assert isinstance(trial.preset, LanguagePreset), "a language task has presets of its kind"
    return trial.preset
