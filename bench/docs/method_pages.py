"""A page for every method: what it is, what it can do, its options, what it costs by formula."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.docs.drawings import Drawing, shown
from bench.docs.markdown import Page, block, code, docstring, escaped, facts, linked, table
from bench.registry import Entry, Registry
from bench.selector import describe
from methods.api import Capabilities, Method

FOLDER = "reference/methods"
ROOT = Path(__file__).resolve().parents[2]
LETTERS = (
    "In formulas T is time in tokens, d the head dimension, m the number of features (or of rows or"
    " landmarks that stand for the keys), n the size of a state; other words are options of that"
    " name. Constants are left out: trials of the task `cost` measure them."
)
ABILITIES = {
    "causal": "each position sees itself and what came before",
    "bidirectional": "each position sees all others",
    "cross": "queries of one sequence, keys and values of another",
    "key_padding": "batches of sequences of different lengths",
    "stepwise": "decodes token by token from a state of constant size",
    "grouped_query": "fewer heads of keys and values than of queries",
}


def method_pages(registry: Registry, drawings: Mapping[str, Drawing]) -> list[Page]:
    """The index, then a page for each method, by name; `drawings` are by name too."""
    entries = dict(sorted(registry.methods.items()))
    pages = [
        Page(f"{FOLDER}/{name}.md", name, _page(entry, entries, drawings.get(name)))
        for name, entry in entries.items()
    ]
    return [Page(f"{FOLDER}/index.md", "All methods", _index(entries)), *pages]


def _index(entries: Mapping[str, Entry[Method]]) -> str:
    families: dict[str, list[Entry[Method]]] = {}
    for entry in entries.values():
        families.setdefault(entry.value.family, []).append(entry)
    parts = [
        "# Methods",
        "Made from the registry, as `python -m bench list methods` is. " + LETTERS,
    ]
    for family in sorted(families):
        rows = [
            (
                f"[{entry.value.name}]({entry.value.name}.md)",
                linked(entry.title),
                code(entry.value.time),
                code(entry.value.state) or "-",
                linked(entry.value.paper),
            )
            for entry in families[family]
        ]
        head = ("method", "what it is", "operations", "decoding state", "paper")
        parts += [f"## {family.capitalize()}", table(head, rows)]
    return "\n\n".join(parts) + "\n"


def _page(
    entry: Entry[Method], entries: Mapping[str, Entry[Method]], drawing: Drawing | None
) -> str:
    method = entry.value
    parts = [
        f"# {method.name}",
        linked(entry.title),
        facts("at a glance", _facts(entry, entries)),
        LETTERS,
        docstring(method.implementation),
        "## What it can do",
        _abilities(method.can),
        "## Where it runs",
        facts("needs", _surroundings(method.can)),
        *_by_option(method.can),
        "## Options",
        _options(method),
        "## Try it",
        block(f"python -m bench check {method.name}", _run(method)),
        "## Time against length",
        shown(drawing),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(entry: Entry[Method], entries: Mapping[str, Entry[Method]]) -> Iterable[tuple[str, str]]:
    method = entry.value
    yield "paper", linked(method.paper)
    yield "family", method.family
    yield "operations", code(method.time)
    yield "decoding state, numbers a head", code(method.state) or _stateless(method.can)
    if method.same_as:
        yield "same mathematics as", f"[{method.same_as}]({method.same_as}.md)"
    others = [name for name, other in entries.items() if other.value.same_as == method.name]
    yield "other implementations", ", ".join(f"[{name}]({name}.md)" for name in others)
    yield "role", "" if method.role == "method" else f"{method.role}: added to every run"
    yield "given as", _rung(method)
    yield "source", code(_source(entry))


def _stateless(can: Capabilities) -> str:
    if can.stepwise:
        return "of constant size, and no formula is told"
    return "none: it does not go step by step"


def _rung(method: Method) -> str:
    if method.feature_map is not None:
        return "a feature map: normalising, causality, padding and decoding are the core's"
    if method.attention is not None:
        return "attention over queries, keys and values"
    return "a whole mixer, with projections of its own"


def _source(entry: Entry[Method]) -> str:
    """Where its file lies; a plug-in's is named by its import path, which is the same anywhere."""
    if entry.file.is_relative_to(ROOT):
        return entry.file.relative_to(ROOT).as_posix()
    return entry.locator


def _abilities(can: Capabilities) -> str:
    rows = [
        (code(name), "yes" if getattr(can, name) else "no", meaning)
        for name, meaning in ABILITIES.items()
    ]
    return table(("capability", "has it", "meaning"), rows) + (
        "\n\nWhat says yes is tested by the contract. What says no raises an error, and never"
        " computes something else."
    )


def _surroundings(can: Capabilities) -> Iterable[tuple[str, str]]:
    yield "devices", ", ".join(can.devices)
    yield "number formats", ", ".join(can.dtypes)
    asked = [f"at least {can.least_head_dim}"] * (can.least_head_dim > 1)
    asked += [f"at most {can.largest_head_dim}"] * (can.largest_head_dim is not None)
    asked += [f"a multiple of {can.head_dim_multiple}"] * (can.head_dim_multiple > 1)
    yield "head dimension", " and ".join(asked) or "any"
    if can.compute_capability is not None:
        yield "compute capability", f"{'.'.join(map(str, can.compute_capability))} or newer"
    yield "packages", ", ".join(map(code, can.packages))
    yield "installed by", code(can.install)


def _by_option(can: Capabilities) -> Iterable[str]:
    for (option, value), changed in can.by_option.items():
        told = "; ".join(f"{name} is {code(_plain(to))}" for name, to in changed.items())
        yield f"With `{option}={value}`: {told}."


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _options(method: Method) -> str:
    if not method.options:
        return "It has none."
    rows = [
        (code(o.name), code(describe(o.annotation)), code(_typed(o.default)))
        for o in method.options.values()
    ]
    return table(("option", "takes", "default"), rows)


def _typed(value: object) -> str:
    """As one would type it on the command line."""
    return str(value).lower() if isinstance(value, bool | None) else str(value)


def _run(method: Method) -> str:
    given = [f"{o.name}={_typed(o.default)}" for o in method.options.values()][:2]
    chosen = escaped(method.name) + (f":{','.join(given)}" if given else "")
    return f"python -m bench run --methods {chosen} --task lra/listops"
