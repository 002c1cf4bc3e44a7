"""`bench power`: how many seeds or examples show a difference. Free of torch."""

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bench.cli.records import Filters, Several, only, read_records
from bench.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from reports.pilot import Pilot

ROWS = (1, 2, 3, 5, 10, 20)
"""Seeds of each method that the table tells of."""
ONE_SEED = "One seed of each: about the two models that were trained, not about their methods."


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What is to be seen, how surely."""

    difference: float
    power: float
    alpha: float
    """After division by the number of comparisons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What so many seeds of each method can show."""

    seeds: int
    examples_needed: int | None
    """None: no number of them is enough."""
    power: float | None
    """With the examples that there are; None where nobody said how many."""
    smallest_difference: float | None
    """The same; None also where even all of the scale would not be seen."""


def power_command(
    *,
    difference: float,
    accuracy: float | None = None,
    seed_deviation: float | None = None,
    disagreement: float | None = None,
    examples: int | None = None,
    seeds: int | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
    comparisons: int = 1,
    results: str = "bench-results",
    task: str | None = None,
    methods: Annotated[tuple[str, ...], Several] = (),
    preset: str | None = None,
    paired: bool = True,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Show how many seeds or test examples it takes to see a difference between two methods.

    Either from numbers (--accuracy and what else is known), or from records of a first experiment
    (--task): then examples, and the spread of seeds and examples, are read off them, paired where
    the same seeds met the same examples.

    Examples:

        python -m bench power --difference 0.02 --accuracy 0.5 --seed-deviation 0.01 --examples 2000

        python -m bench power --difference 0.02 --accuracy 0.5 --disagreement 0.1 --seeds 3

        python -m bench power --difference 0.02 --task lra/listops --methods darkformer performer

    Parameters
    ----------
    difference:
        To be seen, as a fraction: 0.02 is two points of accuracy.
    accuracy:
        Of the weaker method, as a fraction. Leaves records unread.
    seed_deviation:
        Standard deviation of one method's accuracy between seeds, as a fraction; without it seeds
        are taken not to differ, which is a lower bound.
    disagreement:
        Share of the examples that only one of both gets right: a paired comparison.
    examples:
        In the test set; records say it themselves.
    seeds:
        Of each method: one more row of the table.
    power:
        The chance to see the difference where it is real.
    alpha:
        The two-sided level of the test: the chance to see one where there is none.
    comparisons:
        Tests of one table: the level is divided by it, which is Holm's first step.
    results:
        The folder of records, one file a trial.
    task:
        The task whose records are the pilot.
    methods:
        The two to compare; without it the mean over all pairs of methods is taken.
    preset:
        The protocol of the pilot, where records are of several.
    paired:
        Compare seed by seed and example by example where the records allow it.
    json_:
        Print as JSON.
    """
    _check(
        difference, power, alpha, {"examples": examples, "seeds": seeds, "comparisons": comparisons}
    )
    goal = Goal(difference=difference, power=power, alpha=alpha / comparisons)
    if (accuracy is None) == (task is None):
        raise UsageError(
            "give either --accuracy, to plan from numbers, or --task, to plan from records."
        )
    filters = Filters(task=(task or "",), methods=methods, preset=(preset,) if preset else ())
    try:
        if accuracy is not None:
            pilot = _told(accuracy, difference, seed_deviation, disagreement, examples)
        else:
            pilot = _read(results, filters, difference, examples, paired=paired)
    except ValueError as error:
        raise UsageError(str(error)) from error
    _show(pilot, goal, seeds, as_json=json_)
    return 0


def _check(difference: float, power: float, alpha: float, counts: dict[str, int | None]) -> None:
    if not 0.0 < difference < 1.0:
        raise UsageError(
            f"--difference {difference:g} cannot be seen: it is a fraction, 0.02 for two points."
        )
    if not 0.0 < alpha < power < 1.0:
        raise UsageError(
            f"--power {power:g} and --alpha {alpha:g} do not go together: both lie between 0 and 1,"
            " and the power above the level."
        )
    for name, count in counts.items():
        least = 2 if name == "examples" else 1
        if count is not None and count < least:
            raise UsageError(f"--{name} {count} is too few: give at least {least}.")


def _told(
    accuracy: float,
    difference: float,
    seed_deviation: float | None,
    disagreement: float | None,
    examples: int | None,
) -> "Pilot":
    from reports.pilot import Pilot
    from results.power import spread_of_numbers

    spread = spread_of_numbers(
        accuracy, difference, seed_deviation=seed_deviation or 0.0, disagreement=disagreement
    )
    notes = []
    if seed_deviation is None:
        notes.append(
            "No deviation between seeds was given (--seed-deviation): they are taken not to differ,"
            " so that all of this is a lower bound."
        )
    told = f"accuracy {100 * accuracy:g} %"
    if seed_deviation is not None:
        told += f", seeds of one method vary by {100 * seed_deviation:g} points"
    if disagreement is not None:
        told += f", the methods disagree on {100 * disagreement:g} % of the examples"
    return Pilot(spread=spread, examples=examples, told=told, notes=tuple(notes))


def _read(
    results: str, filters: Filters, difference: float, examples: int | None, *, paired: bool
) -> "Pilot":
    from reports.pilot import pilot_of

    records = only(read_records(results), filters)
    return pilot_of(
        records, filters.methods, difference=difference, examples=examples, paired=paired
    )


def _choices(pilot: "Pilot", goal: Goal, seeds: int | None) -> list[Choice]:
    from results.power import examples_needed, power, smallest_difference

    spread, n, alpha = pilot.spread, pilot.examples, goal.alpha
    return [
        Choice(
            seeds=s,
            examples_needed=examples_needed(
                goal.difference, spread, seeds=s, chance=goal.power, alpha=alpha
            ),
            power=n and power(goal.difference, spread, seeds=s, examples=n, alpha=alpha),
            smallest_difference=n
            and smallest_difference(spread, seeds=s, examples=n, chance=goal.power, alpha=alpha),
        )
        for s in sorted({*ROWS, *([seeds] if seeds else [])})
    ]


def _answer(pilot: "Pilot", goal: Goal) -> tuple[int | None, str]:
    """The seeds needed with the examples that there are, and the sentence that says it."""
    from results.power import seeds_needed

    if pilot.examples is None:
        return None, "Give the size of the test set with --examples to see how many seeds it takes."
    found = seeds_needed(
        goal.difference,
        pilot.spread,
        examples=pilot.examples,
        chance=goal.power,
        alpha=goal.alpha,
    )
    with_these = f"With {pilot.examples} {pilot.unit}"
    if found is None:
        return None, f"{with_these} no number of seeds is enough: the test set is too small."
    return found, f"{with_these} it takes {found} seeds of each method."


def _show(pilot: "Pilot", goal: Goal, seeds: int | None, *, as_json: bool) -> None:
    choices = _choices(pilot, goal, seeds)
    needed, sentence = _answer(pilot, goal)
    notes = (*pilot.notes, ONE_SEED)
    if as_json:
        report = {
            **asdict(goal),
            **asdict(pilot),
            "seeds_needed": needed,
            "choices": [asdict(choice) for choice in choices],
            "notes": notes,
        }
        print(json.dumps(report, indent=2))
        return
    from rich.console import Console

    console = Console()
    paired = "paired" if pilot.spread.paired else "not paired"
    console.print(
        f"To see {100 * goal.difference:g} points with a power of {100 * goal.power:g} % at a"
        f" two-sided level of {100 * goal.alpha:.3g} %, {paired}",
        style="bold",
    )
    console.print(pilot.told, markup=False)
    console.print(_table(pilot, choices))
    console.print(sentence)
    for note in notes:
        console.print(note, style="dim", markup=False)


def _table(pilot: "Pilot", choices: list[Choice]) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    heads = ["seeds of each", f"{pilot.unit} needed"]
    if pilot.examples is not None:
        heads += [f"power with {pilot.examples}", f"points seen with {pilot.examples}"]
    for head in heads:
        table.add_column(head, justify="right")
    for choice in choices:
        row = [str(choice.seeds), str(choice.examples_needed or "never enough")]
        if choice.power is not None:
            least = choice.smallest_difference
            points = "none" if least is None else f"{math.ceil(1e4 * least) / 100:.2f}"
            row += [f"{100 * choice.power:.0f} %", points]
        table.add_row(*row)
    return table
