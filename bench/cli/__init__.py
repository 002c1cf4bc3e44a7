"""The command line. Commands are loaded when called, so that help is quick and free of torch."""

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from cyclopts import App, CycloptsError

from bench.errors import UsageError
from results.folders import StoreError

HELP = "Compare attention methods on the same data, with the same stopwatch, with error bars."
EXAMPLES = """Examples:

    python -m bench run --methods darkformer performer --task lra

    python -m bench compare --against published

    python -m bench check ./my_attention.py
"""

COMMANDS = {
    "run": "Train and measure methods on tasks, and record every trial.",
    "plan": "Show what a run would do, without doing it.",
    "list": "List methods, tasks, suites or presets.",
    "new": "Write a starting file for a method or a task, and its test.",
    "check": "Run the contract on a method: a registered one, a file or an import path.",
    "compare": "Show recorded results as a table of methods against tasks.",
    "report": "Write recorded results as one page for a browser.",
    "serve": "Show that page on this machine, live while a run goes on.",
    "merge": "Copy the records of several folders into one, and name what they disagree on.",
    "power": "Show how many seeds or examples it takes to see a difference.",
    "reproduce": "Run what tests a paper's claims, and say of each whether it holds here.",
    "doctor": "Show this machine, its packages, and what is unavailable here and why.",
}


def build_app(asked: str = "") -> App:
    """The application with every command, none of them imported.

    The list of commands shows a line each, which needs no import; the page of the command that is
    asked for shows its own docstring.
    """
    app = App(
        name="python -m bench",
        help=HELP,
        help_epilogue=EXAMPLES,
        help_format="markdown",
        version=_version,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    for name, help_text in COMMANDS.items():
        app.command(
            f"bench.cli.{name}:{name}_command",
            name=name,
            help=None if name == asked else help_text,
            help_epilogue="",
        )
    return app


def run_words(words: Sequence[str]) -> int:
    """Run a command line. Exit codes: 0 done, 1 something failed, 2 bad input, 130 stopped."""
    try:
        _check_words(words)
        app = build_app(words[0] if words else "")
        code: int | None = app([*words], exit_on_error=False, print_error=False)
    except (UsageError, StoreError, CycloptsError) as error:
        from results.foreign import printable

        print(printable(f"Error: {error}"), file=sys.stderr)
        code = 2
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has seen enough.
        sys.stderr.close()
        code = 0
    return code or 0


def _check_words(words: Sequence[str]) -> None:
    """Records are UTF-8, and what was typed becomes part of them."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"{word!r} is not UTF-8: rename it, or type it anew.") from error


def _version() -> str:
    try:
        return version("attention-bench")
    except PackageNotFoundError:
        return "not installed"
