"""`bench report`: everything that records say, as one page for a browser."""

import os
import uuid
from pathlib import Path

from bench.cli.pages import check_packages, load
from bench.cli.records import Filters, only
from bench.errors import UsageError
from results.folders import folder_at


def report_command(
    *folders: str,
    html: Path,
    filters: Filters | None = None,
    results: str = "bench-results",
    title: str = "Attention Bench",
) -> int:
    """Write a page with a summary in words, tables, figures, failures and every record.

    One file that needs neither a network nor anything beside it, to be opened in any browser, sent
    to a colleague, or printed. Every number links to the record that it comes from, and every
    record shows the command that repeats it. Needs the extra `report`.

    Examples:

        python -m bench report --html page.html

        python -m bench report --html page.html --task lra --preset small

        python -m bench report results-of-june results-of-july --html both.html

    Parameters
    ----------
    folders:
        Nothing, to show --results; or folders in its place, whose records are shown together.
    html:
        The file to write; one of that name is replaced.
    results:
        The folder of records, one file a trial.
    title:
        What the page is called.
    """
    check_packages()
    chosen = folders or (results,)
    for folder in map(folder_at, chosen):
        if wrong := folder.absent():
            raise UsageError(f"the results folder {str(folder)!r} {wrong}. Name another.")
    records, problems = load(chosen)
    if not records:
        raise UsageError(
            "there are no records here to report. `python -m bench run` makes some; --results"
            " names another folder."
        )
    records = only(records, filters or Filters())
    from reports.page.build import build_page

    page = build_page(records, title=title, problems=problems)
    _write(html, page)
    size = len(page.encode()) / 1e6
    print(f"Wrote {html}: {len(records)} records, {size:.1f} MB.")
    return 0


def _write(target: Path, page: str) -> None:
    """The whole page or none of it: whoever has the old one open never sees half of the new one."""
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(13, "it may not be written to")
        try:
            part.write_text(page, encoding="utf-8")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"the page cannot be written to {str(target)!r}: {error.strerror or error}. Name"
            " another file with --html."
        ) from error
