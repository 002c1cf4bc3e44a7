"""A page for every task: what is asked, its sources, and each preset as a whole protocol."""

from collections.abc import Iterable, Mapping

from bench.docs.drawings import Drawing, shown
from bench.docs.markdown import Page, block, code, docstring, escaped, facts, linked, table
from bench.registry import AnyTask, Entry, Registry
from bench.settings import AnyPreset, default_dtype, known_settings, resolved_settings
from tasks.api import Suite, TrainedTask
from tasks.language import LanguageTask
from tasks.probe import ProbeTask
from tasks.sweep import CostTask

FOLDER = "reference/tasks"
KINDS: Mapping[type, str] = {
    TrainedTask: "sequence classification: a Transformer is trained and tested",
    LanguageTask: "next-token prediction: a decoder is trained, or a pretrained one is",
    CostTask: "time, memory and counted work on random inputs of growing length",
    ProbeTask: "a measurement of what an estimator estimates; nothing is trained",
}


def task_pages(registry: Registry, drawings: Mapping[str, Drawing]) -> list[Page]:
    """The index, then a page for each task, by name; `drawings` are by name too."""
    entries = dict(sorted(registry.tasks.items()))
    pages = [
        Page(path(name), name, _page(entry, drawings.get(name))) for name, entry in entries.items()
    ]
    index = _index(entries, registry.suites)
    return [Page(f"{FOLDER}/index.md", "All tasks", index), *pages]


def path(name: str) -> str:
    """Of the task's page, below the documentation's folder."""
    return f"{FOLDER}/{name.replace('/', '-')}.md"


def _index(entries: Mapping[str, Entry[AnyTask]], suites: Mapping[str, Entry[Suite]]) -> str:
    rows = [
        (
            f"[{name}]({path(name).rpartition('/')[2]})",
            linked(entry.title),
            str(entry.value.version),
            ", ".join(source.name for source in entry.value.sources),
            ", ".join(preset.name for preset in entry.value.presets),
        )
        for name, entry in entries.items()
    ]
    runs_together = [
        (name, linked(entry.value.title), ", ".join(entry.value.tasks), linked(entry.value.note))
        for name, entry in sorted(suites.items())
    ]
    parts = (
        "# Tasks",
        "Made from the registry, as `python -m bench list tasks` is.",
        table(("task", "what it asks", "version", "sources", "presets"), rows),
        "## Suites",
        "A suite's tasks are run together, and averaged where that makes sense.",
        table(("suite", "title", "tasks", "note"), runs_together),
    )
    return "\n\n".join(parts) + "\n"


def _page(entry: Entry[AnyTask], drawing: Drawing | None) -> str:
    task = entry.value
    parts = [
        f"# {task.name}",
        docstring(entry.module),
        facts("at a glance", _facts(task)),
        "## Sources",
        "Numbers from two sources never share a column.",
        table(("source", "what it is", "stand-in"), _sources(task)),
        "## Presets",
        "Each is a whole protocol; `--set NAME=VALUE` changes one value of it, and the record says"
        " so.",
    ]
    for preset in task.presets:
        parts += _preset(task, preset)
    parts += ["## What was measured", shown(drawing)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(task: AnyTask) -> Iterable[tuple[str, str]]:
    yield "title", linked(task.title)
    yield "kind", KINDS[type(task)]
    if isinstance(task, TrainedTask | LanguageTask):
        better = "higher" if task.metric.higher_is_better else "lower"
        yield "metric", f"{task.metric.name} ({task.metric.unit}), {better} is better"
    if isinstance(task, TrainedTask):
        yield "direction", "causal" if task.causal else "bidirectional"
        yield "lengths", "differ: a method must mask padding" if task.key_padding else "all alike"
    if isinstance(task, ProbeTask):
        yield "needs", {"features": "a feature map", "attention": "any attention"}[task.needs]
    yield "version", str(task.version)
    yield "paper", linked(getattr(task, "paper", ""))


def _sources(task: AnyTask) -> list[tuple[str, str, str]]:
    return [
        (code(s.name), linked(s.title), "yes: not the task's own data" if s.stand_in else "no")
        for s in task.sources
    ] or [(code("generated"), "random queries, keys and values", "no")]


def _preset(task: AnyTask, preset: AnyPreset) -> Iterable[str]:
    yield f"### {escaped(preset.name)}"
    yield linked(preset.note)
    known = known_settings(preset)
    values = [
        (code(name), code(str(value)))
        for name, value in resolved_settings(preset).items()
        if name in known and value != ""
    ]
    seeds = f"seed{'s' * (len(preset.seeds) > 1)} {', '.join(map(str, preset.seeds))}"
    yield f"Unless told otherwise: source `{preset.source}`, {seeds}, {default_dtype(preset)}."
    yield '??? note "Every value"\n\n' + _indented(table(("setting", "value"), values))
    yield block(
        f"python -m bench plan --methods performer --task {task.name} --preset {preset.name}"
    )


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
