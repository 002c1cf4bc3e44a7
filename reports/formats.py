"""A grid for the terminal, Markdown, LaTeX; lines for machines. Text is inert in each."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from reports.grid import Entry, Grid, Section

STYLES: Final = {"best": "bold green", "tied": "green", "faint": "dim", "": ""}
LONGEST_LABEL: Final = 28
"""Longer names of methods are broken where the terminal is narrow."""
LONGEST_REMARK: Final = 16
"""So much of a remark below a number may widen its column."""
_FORMULA: Final = tuple("=+-@\t\r")
"""What a spreadsheet takes for the beginning of a formula."""
_MARKDOWN: Final = str.maketrans({c: f"\\{c}" for c in "\\`*_|<>[]~#"})
_LATEX: Final[Mapping[int, str]] = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "±": r"\(\pm\)",
        "=": r"{=}",
        # After the end of a row these two would be read as its options.
        "[": "{[}",
        "*": "{*}",
    }
)


@dataclass(frozen=True, slots=True)
class TerminalGrid:
    """For a rich console. Columns that do not fit its width go into further tables below.

    Text is never read as markup.
    """

    grid: Grid

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.grid.title, style="bold")
        widths = _widths(self.grid)
        if self.grid.words:
            yield _rich_words(self.grid)
        for columns in () if self.grid.words else _pages(widths, options.max_width):
            yield _rich_table(self.grid, {i: widths[i] for i in columns})
        for mark, text in self.grid.notes:
            yield Text(f"{f'[{mark}] ' if mark else ''}{text}", style="dim")
        yield Text()


def _widths(grid: Grid) -> list[int]:
    """What each column needs."""
    rows = [row for section in grid.sections for row in section.rows]
    widths = [max(len(line) for line in lines) for lines in grid.header]
    for row in rows:
        for i, entry in enumerate(row):
            below = " ".join((entry.remark, *(f"[{ref}]" for ref in entry.refs)))
            needed = max(len(entry.mark + entry.text), min(len(below), LONGEST_REMARK))
            widths[i] = max(widths[i], needed)
    return widths


def _pages(widths: Sequence[int], width: int) -> list[list[int]]:
    """Column numbers without the label's, in groups that fit beside it."""
    left = min(widths[0], LONGEST_LABEL) + 3
    pages: list[list[int]] = [[]]
    used = left
    for i in range(1, len(widths)):
        if pages[-1] and used + widths[i] + 2 > width:
            pages.append([])
            used = left
        pages[-1].append(i)
        used += widths[i] + 2
    return pages


def _rich_table(grid: Grid, widths: Mapping[int, int]) -> Table:
    """These columns. Given widths spare rich from measuring every entry."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False, collapse_padding=True)
    table.add_column(Text(grid.header[0][0]), overflow="fold", vertical="top")
    for i, width in widths.items():
        head = Text("\n".join(line for line in grid.header[i] if line))
        table.add_column(head, justify="right", overflow="fold", width=width)
    for section in grid.sections:
        table.add_section()
        if section.title:
            table.add_row(Text(section.title, style="italic"))
        for row in section.rows:
            table.add_row(_rich_label(row[0]), *(_rich_entry(row[i]) for i in widths))
    return table


def _rich_words(grid: Grid) -> Table:
    """All columns in one table: rich breaks their lines."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False, collapse_padding=True)
    for head in grid.header:
        table.add_column(Text(" ".join(head)), overflow="fold", vertical="top")
    for row in (row for section in grid.sections for row in section.rows):
        table.add_row(*map(_rich_label, row))
        table.add_section()
    return table


def _rich_label(entry: Entry) -> Text:
    refs = "".join(f" [{ref}]" for ref in entry.refs)
    text = Text(entry.text).append(refs, style="dim")
    return text.append(f"\n({entry.remark})" if entry.remark else "", style="dim")


def _rich_entry(entry: Entry) -> Text:
    """The mark in front and all else below, so that numbers stay aligned on the right."""
    text = Text(entry.mark + entry.text, style=STYLES[entry.emphasis])
    refs = " ".join(f"[{ref}]" for ref in entry.refs)
    below = " ".join(word for word in (entry.remark, refs) if word)
    return text.append(f"\n{below}" if below else "", style="dim")


def markdown_grid(grid: Grid) -> str:
    """A table as GitHub writes it, with its notes as a list."""
    width, other = len(grid.header), ":---" if grid.words else "---:"
    heads = (" ".join(_md(line) for line in lines if line) for lines in grid.header)
    lines = [f"**{_md(grid.title)}**", "", _md_line(heads)]
    lines.append("|" + "|".join([":---"] + [other] * (width - 1)) + "|")
    for section in grid.sections:
        if section.title:
            lines.append(_md_line([f"*{_md(section.title)}*"] + [""] * (width - 1)))
        lines += [_md_line(_md_entry(entry) for entry in row) for row in section.rows]
    lines.append("")
    for mark, text in grid.notes:
        lines.append(f"- {_md(f'[{mark}] ') if mark else ''}{_md(text)}")
    return "\n".join(lines) + "\n"


def _md(text: str) -> str:
    return text.translate(_MARKDOWN)


def _md_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _md_entry(entry: Entry) -> str:
    text = _md(entry.text)
    if entry.emphasis == "best":
        text = f"**{text}**"
    text += f" {_md(entry.mark)}" if entry.mark else ""
    text += f" ({_md(entry.remark)})" if entry.remark else ""
    return text + "".join(_md(f" [{ref}]") for ref in entry.refs)


def latex_grid(grid: Grid) -> str:
    """A table for booktabs, with its notes below it."""
    width = len(grid.header)
    height = max(len(lines) for lines in grid.header)
    columns = (
        rf"p{{{0.9 / width:.2f}\linewidth}}" * width if grid.words else "l" + "r" * (width - 1)
    )
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_tex(grid.title)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
    ]
    for i in range(height):
        heads = (_tex(head[i]) if i < len(head) else "" for head in grid.header)
        lines.append(" & ".join(heads) + r" \\")
    for section in grid.sections:
        lines += _tex_section(section, width)
    lines += [r"\bottomrule", r"\end{tabular}", "", r"\footnotesize"]
    for mark, text in grid.notes:
        lines.append((rf"\textsuperscript{{{mark}}} " if mark else "") + _tex(text) + r"\par")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _tex_section(section: Section, width: int) -> list[str]:
    lines = [r"\midrule"]
    if section.title:
        lines.append(rf"\multicolumn{{{width}}}{{l}}{{\emph{{{_tex(section.title)}}}}} \\")
    rows = (" & ".join(_tex_entry(entry) for entry in row) for row in section.rows)
    return lines + [rf"{row} \\" for row in rows]


def _tex(text: str) -> str:
    # Two hyphens would be set as a dash.
    return text.translate(_LATEX).replace("--", "-{}-")


def _tex_entry(entry: Entry) -> str:
    text = _tex(entry.text)
    if entry.emphasis == "best":
        text = rf"\textbf{{{text}}}"
    text += rf"\,{_tex(entry.mark)}" if entry.mark else ""
    text += rf" ({_tex(entry.remark)})" if entry.remark else ""
    return text + "".join(rf"\textsuperscript{{{ref}}}" for ref in entry.refs)


def csv_lines(names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Comma-separated values below these names. A text that a spreadsheet would compute gets an
    apostrophe in front of it; numbers stay as they are."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _inert(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _inert(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
