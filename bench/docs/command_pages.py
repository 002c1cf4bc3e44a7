"""A page for every command: its own help, as `--help` prints it."""

from bench.cli import COMMANDS, build_app
from bench.docs.markdown import Page, escaped, table

FOLDER = "reference/commands"


def command_pages() -> list[Page]:
    """The index, then a page for each command, in the order of `--help`."""
    rows = [(f"[{name}]({name}.md)", escaped(text)) for name, text in COMMANDS.items()]
    index = (
        "# Commands",
        "Made from each command's own help: `python -m bench COMMAND --help` prints the same.",
        table(("command", "what it does"), rows),
        "Exit codes: 0 all is well, 1 a trial failed or a law is broken, 2 bad input, 130 stopped.",
    )
    pages = [Page(f"{FOLDER}/{name}.md", name, _page(name)) for name in COMMANDS]
    return [Page(f"{FOLDER}/index.md", "All commands", "\n\n".join(index) + "\n"), *pages]


def _page(name: str) -> str:
    """The help as Markdown, under the words that one types."""
    text = build_app(name)[name].generate_docs(output_format="markdown")
    typed = f"python -m bench {name}"
    return text.replace(f"```console\n{name}", f"```text\n{typed}", 1)
