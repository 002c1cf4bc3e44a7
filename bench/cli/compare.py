"""`bench compare`: recorded results as tables and figures. Free of torch; slow parts come late."""

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.cli.records import Filters, only, read_records
from bench.errors import UsageError

if TYPE_CHECKING:
    from results.published import Table
    from results.record import Record

Format = Literal["table", "markdown", "csv", "latex", "json"]
Part = Literal[
    "curves",
    "crossovers",
    "peers",
    "proxy",
    "absent",
    "agreement",
    "moments",
    "variance",
    "slopes",
    "proposals",
    "equivalence",
    "attention",
    "bias",
    "needed",
    "layers",
    "spectra",
    "finetuning",
    "pretraining",
    "recovery",
    "stability",
    "ledger",
]
LANGUAGE = ("finetuning", "pretraining", "recovery", "stability")
"""Parts that have a price of their own."""
PIPE_WIDTH = 120
"""Characters in a line of the table where the output is not a terminal."""


def compare_command(
    *folders: str,
    filters: Filters | None = None,
    results: str = "bench-results",
    format: Format = "table",
    against: Literal["published"] | None = None,
    cost: bool = True,
    part: Part | None = None,
    figures: Path | None = None,
    fail_over: float | None = None,
) -> int:
    """Show recorded results: methods against tasks, with intervals, floors and what they cost.

    Two folders, the old one first, are held against each other trial by trial: what became better
    or worse, what is noise, what is in one of them only.

    Scores of two data sources, presets or number formats never share a column, nor do times of two
    machines a table. Cost trials show time, memory and the machine's limit against length; probes
    show what was measured beside what theory says; language tasks show what training recovers.
    Files in the folder that are no sound records are named on stderr and left alone.

    Examples:

        python -m bench compare

        python -m bench compare --results results-of-june --task lra --format markdown

        python -m bench compare --methods performer darkformer --seeds 0 1 2 --no-cost

        python -m bench compare --against published

        python -m bench compare --task cost --part crossovers

        python -m bench compare --task probes/real-qk --part needed

        python -m bench compare --task c4 --part finetuning --format markdown

        python -m bench compare --task lra cost --figures figures

        python -m bench compare results-of-june results-of-july --fail-over 1.1

    Parameters
    ----------
    folders:
        Nothing, to show --results; one folder in its place; or two, the old and the new.
    results:
        The folder of records, one file a trial.
    format:
        For the terminal, Markdown, LaTeX (booktabs); csv and json give one number a row.
    against:
        Put the numbers published for the Long Range Arena beside ours.
    cost:
        Also time, memory, parameters, operations and decoding state, and the cost trials.
    part:
        One part alone. Of cost trials: curves against length, crossovers with the reference, peers
        (implementations of the same mathematics), proxy (whether operations or bytes predict time),
        or who is absent and why. Of probes: agreement (of measured numbers with closed forms),
        moments, variance, slopes, proposals (estimated from data), equivalence (of
        representations), attention (errors of its output), bias; and of real queries and keys
        needed (features), layers (the same by layer), spectra. Of language tasks: finetuning,
        pretraining, recovery (accuracy and loss against tokens trained), stability (against the
        learning rate). Of all that is trained: ledger (parameters, features, state, operations,
        tokens and tuning of everyone, with what differs from softmax flagged).
    figures:
        Also draw the figures of probes and language tasks into this folder, each as SVG and as
        PNG; it is made where there is none, and figures of the same name are replaced. Needs the
        extra `figures`.
    """
    from results.published import published_tables

    filters = filters or Filters()
    _check_folders(folders, fail_over, alone=part or against or figures)
    if len(folders) == 2:
        from bench.cli.changes import show_changes

        return show_changes((folders[0], folders[1]), filters, format, fail_over, cost=cost)
    folder = folders[0] if folders else results
    # Losses of training are most of a record, and figures alone show them.
    records = only(read_records(folder, curves=figures is not None), filters)
    if part is not None:
        _check_part(records, part, cost=cost, against=against)
    drawn = None if figures is None else _draw(records, figures)
    _show(records, format, cost=cost, part=part, against=published_tables() if against else ())
    if drawn is not None:
        sys.stderr.write("".join(f"Wrote {path}\n" for path in drawn))
    return 0


def _check_folders(folders: tuple[str, ...], fail_over: float | None, *, alone: object) -> None:
    """Raises UsageError where they are too many, or come with what is not for them."""
    if len(folders) > 2:
        raise UsageError(
            f"{len(folders)} folders were named; compare takes two, the old and the new."
        )
    if len(folders) == 2 and alone:
        raise UsageError(
            "two folders are held against each other trial by trial: leave out --part, --against"
            " and --figures, or name one folder."
        )
    if fail_over is None:
        return
    if len(folders) != 2:
        raise UsageError("--fail-over needs two folders, the old and the new.")
    if not 1 <= fail_over < float("inf"):
        raise UsageError(f"--fail-over is a ratio of at least 1, such as 1.1, not {fail_over:g}.")


def _draw(records: "list[Record]", folder: Path) -> list[Path]:
    """The files written. Raises UsageError where nothing can be drawn, before a table is shown."""
    from reports.figures import figures, missing_packages, write_figures

    missing = missing_packages()
    if missing:
        raise UsageError(missing)
    found = figures(records)
    if not found:
        raise UsageError(
            "these records have nothing to draw: figures are made of two methods or more on one"
            " task, of cost trials, of probes and of language tasks. `python -m bench run --task"
            " probes` measures some; without --figures all that there is is shown."
        )
    try:
        return write_figures(found, folder)
    except OSError as error:
        raise UsageError(
            f"the figures cannot be written to {str(folder)!r}: {error.strerror}. Name another"
            " folder with --figures."
        ) from error


def _check_part(records: "list[Record]", part: Part, *, cost: bool, against: str | None) -> None:
    """Raises UsageError where nothing could be shown."""
    from reports.table import has_part

    if against or not (cost or part in LANGUAGE):
        raise UsageError(
            "--part shows one part alone: leave out --against, and --no-cost but for parts of"
            " language tasks, or --part."
        )
    if not has_part(records, part):
        raise UsageError(
            f"these records have nothing to show for --part {part}. `python -m bench run --task"
            " cost` measures cost curves, --task probes what random features estimate, --task c4"
            " language models; without --part all that there is is shown."
        )


def _show(
    records: "list[Record]",
    format: Format,
    *,
    cost: bool,
    part: Part | None,
    against: "tuple[Table, ...]",
) -> None:
    from rich.console import Console

    from reports.table import render, renderable

    if isinstance(sys.stdout, io.TextIOWrapper):
        # An output in ASCII gets a question mark for the plus-minus sign, not a traceback.
        sys.stdout.reconfigure(errors="replace")
    if format == "table":
        console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
        console.print(renderable(records, cost=cost, part=part, against=against))
    else:
        sys.stdout.write(render(records, format, cost=cost, part=part, against=against))
