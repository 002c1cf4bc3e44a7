"""What is said around tables and figures of language tasks: the text, the protocol, the rules."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from reports.accuracy import column_note
from reports.code_notes import code_notes
from reports.grid import Entry, Notes, plain, ranges
from reports.language import Entrant, Group
from reports.tokens import tokens_per_step, tokens_trained
from results.language import LanguageResult
from results.record import Record, Scalar

TRAINED: Final = {
    "all": "all parameters",
    "attention": "the attention layers alone",
    "method": "the method's own parameters alone",
}
TOLD: Final = ("protocol", "learning rate")
"""Of the cards, what the settings say as well."""
HARMLESS: Final = ("micro_batch", "checkpoint_activations", "checkpoint_seconds")
"""Settings that change how a training is carried out, and not what it computes."""


def spaced(number: float) -> str:
    """`204 800`."""
    return f"{number:,.0f}".replace(",", " ")


def rate_text(rate: float) -> str:
    """`3e-4`, and `0.01` where that is as short."""
    plain, (digits, power) = f"{rate:g}", f"{rate:.6e}".split("e")
    scientific = f"{digits.rstrip('0').rstrip('.')}e{int(power)}"
    return min(plain, scientific, key=len) if "e" not in plain else scientific


def text_note(group: Group) -> str:
    """What the text is, and how much of it was tested."""
    # The number of test examples of a data card is that of blocks here, which is said better.
    unnamed = group.facts.stand_in and "stand-in" not in group.facts.title
    facts = replace(group.facts, num_test=None, stand_in=unnamed)
    note = column_note(group.column, facts)
    sizes = {
        (len(outcome.block_hits), language.predictions_per_block)
        for entrant in group.entrants
        for _, language in entrant.completed
        if (outcome := language.after) is not None
    }
    found = [f" Tested on {n} blocks of {each} predictions." for n, each in sorted(sizes)]
    return note + "".join(found)


def parity(group: Group) -> str:
    """What was equal for all, as it was run; what was not is left to `differences`."""
    settings = shared_settings(group)
    parts = [_amount(group, settings)]
    parts.append(TRAINED.get(str(settings.get("train")), "") + " trained" * ("train" in settings))
    parts.append(_optimiser(settings))
    if "schedule" in settings:
        warmup = settings.get("warmup_steps")
        after = f" after a warm-up of {warmup}" if warmup else ""
        parts.append(f"{settings['schedule']} schedule{after}")
    parts.append(rate_choice(group))
    said = ", ".join(part.strip() for part in parts if part.strip())
    return f"Equal for all methods: {said}." if said else ""


def rate_choice(group: Group) -> str:
    """Which learning rate, and who chose it."""
    settings = shared_settings(group)
    if settings.get("learning_rates") and group.kind != "stability":
        return (
            f"the learning rate of each method by itself: of {settings['learning_rates']} the one"
            f" with the least validation loss after {settings.get('search_steps')} steps"
        )
    rate = settings.get("learning_rate")
    if not isinstance(rate, int | float) or group.kind == "stability":
        return ""
    changed = "learning_rate" in json.loads(group.column.settings)
    who = "set by hand" if changed else "the preset's"
    return f"learning rate {rate_text(rate)}, {who}, searched for no method"


def shared_settings(group: Group) -> dict[str, Scalar]:
    """Of the protocol as run, what is the same in all records."""
    found: dict[str, Scalar] = {}
    for record in _measured(group):
        found = found or dict(record.settings_resolved)
    return {name: v for name, v in found.items() if name not in group.facts.differing}


def differences(group: Group) -> list[str]:
    """A warning for each setting that is not the same in all records, and for changed code."""
    searched = bool(shared_settings(group).get("learning_rates"))
    told = [
        f"Beware: the rows differ in {name}: {', '.join(values)}."
        for name, values in group.facts.differing.items()
        if name not in HARMLESS and (name != "learning_rate" or not searched)
    ]
    steps = {tokens_per_step(record) for record in _measured(group)} - {None}
    tokens = _tokens(group)
    if len(tokens) > 1 and len(steps) == 1 and "steps" not in group.facts.differing:
        amounts = ", ".join(spaced(n) for n in sorted(tokens))
        told.append(f"Beware: the rows differ in tokens trained: {amounts}.")
    cells = {entrant.contender.label: entrant.cell for entrant in group.entrants}
    return [*told, *(f"Beware: {text}" for text in code_notes(cells))]


def card_notes(entrants: Iterable[Entrant]) -> list[str]:
    """What the cards say: once where it is the same for all, else with the methods."""
    said: dict[str, dict[str, list[str]]] = {}
    everyone = set()
    for entrant in entrants:
        for _, language in entrant.completed:
            everyone.add(entrant.contender.label)
            for name, text in language.card.items():
                if name in TOLD:
                    continue
                said.setdefault(name, {}).setdefault(text.rstrip("."), []).append(
                    entrant.contender.label
                )
    return [
        f"{name}: {text}." if set(who) == everyone else f"{name} of {_listed(who)}: {text}."
        for name, texts in said.items()
        for text, who in texts.items()
    ]


def rule_of(language: LanguageResult) -> str:
    """By which rule its spikes were counted."""
    found = (text for name, text in language.card.items() if "spike" in name.lower())
    return next(found, "").rstrip(".")


def exact_notes(entrants: Iterable[Entrant]) -> list[str]:
    """Layers whose attention was left as it was."""
    found: dict[str, list[str]] = {}
    for entrant in entrants:
        for _, language in entrant.completed:
            if language.exact_layers:
                layers = "; ".join(language.exact_layers)
                found.setdefault(layers, []).append(entrant.contender.label)
    return [f"Left exact under {_listed(who)}: {layers}." for layers, who in found.items()]


def usual_seeds(group: Group) -> tuple[int, ...]:
    """The seeds that most rows have, so that only the others need say theirs."""
    found = Counter(seeds_of(entrant) for entrant in group.entrants if entrant.completed)
    return found.most_common(1)[0][0] if found else ()


def seeds_of(entrant: Entrant) -> tuple[int, ...]:
    """Those that completed."""
    return tuple(record.identity.seed for record, _ in entrant.completed)


def seeds_remark(entrant: Entrant, usual: tuple[int, ...]) -> str:
    """What a row must say of its seeds."""
    seeds = seeds_of(entrant)
    if len(seeds) < len(entrant.records):
        return f"{len(seeds)} of {len(entrant.records)} seeds" * bool(seeds)
    return "" if seeds == usual else f"seed{'s' * (len(seeds) > 1)} {ranges(seeds)}"


def row_label(entrant: Entrant, usual: tuple[int, ...], *, refs: tuple[str, ...] = ()) -> Entry:
    """The first entry of a row in a table whose sections are not those of roles."""
    role, seeds = entrant.contender.role, seeds_remark(entrant, usual)
    words = (
        "" if role == "method" else role,
        "" if entrant.completed else _endings(entrant),
        seeds,
    )
    remark = ", ".join(filter(None, words))
    return Entry(text=plain(entrant.contender.label, 80), remark=remark, refs=refs)


def _endings(entrant: Entrant) -> str:
    return ", ".join(dict.fromkeys(record.status for record in entrant.records))


def common_notes(group: Group, notes: Notes) -> None:
    """The remarks that hold for every table of a group."""
    notes.general += [parity(group), *differences(group)]
    usual = usual_seeds(group)
    if usual:
        plural = "s" * (len(usual) > 1)
        notes.general.append(f"Seed{plural} {ranges(usual)} unless a row says otherwise.")
    if any(row.dirty for entrant in group.entrants for row in entrant.cell.rows):
        notes.general.append("Some records were made with uncommitted changes in the code.")


def _amount(group: Group, settings: Mapping[str, Scalar]) -> str:
    """How many tokens, where all that completed made the same steps."""
    tokens = _tokens(group)
    words = f"{spaced(max(tokens))} tokens" if len(tokens) == 1 else ""
    words += " at each rate" if words and group.kind == "stability" else ""
    if {"steps", "batch_size"} <= settings.keys():
        steps = f"{settings['steps']} steps of {settings['batch_size']} blocks"
        return f"{words} ({steps})" if words else steps
    return words


def _tokens(group: Group) -> set[int]:
    return {tokens for r in _measured(group) if (tokens := tokens_trained(r)) is not None}


def _optimiser(settings: Mapping[str, Scalar]) -> str:
    if not {"beta1", "beta2", "weight_decay"} <= settings.keys():
        return ""
    clip = settings.get("clip_norm")
    clipped = f", gradients clipped at {clip:g}" if isinstance(clip, int | float) and clip else ""
    return (
        f"Adam with betas {settings['beta1']} and {settings['beta2']} and decoupled weight decay"
        f" {settings['weight_decay']}{clipped}"
    )


def _measured(group: Group) -> list[Record]:
    return [record for entrant in group.entrants for record, _ in entrant.completed]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
