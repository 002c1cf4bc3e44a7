"""Puts the page together. Everything that records say is escaped; no part of it can fetch."""

import base64
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from importlib.util import find_spec
from typing import Any, Final

from reports.page.anchors import KINDS, Anchors
from reports.page.drawings import Drawing, as_script, drawings
from reports.page.scores import score_views
from reports.page.summary import findings, headline
from reports.page.tables import (
    blocks,
    compared,
    cost_views,
    language_views,
    overviews,
    probe_views,
    published_views,
)
from reports.page.trials import Trials
from results.published import published_tables
from results.record import Record

NEEDED: Final = {
    "jinja2": "jinja2",
    "altair": "altair",
    "vl_convert": "vl-convert-python",
}
DRAW: Final = "window.vegaEmbed = vegaEmbed;"
"""Makes the drawing library known to the page's own script."""


def missing_packages() -> str:
    """What to install before a page can be made; empty where nothing is missing."""
    missing = [name for module, name in NEEDED.items() if find_spec(module) is None]
    if not missing:
        return ""
    return (
        f"the page needs {' and '.join(missing)}: `pip install {' '.join(missing)}` or"
        " `pip install 'attention-bench[report]'`."
    )


def build_page(
    records: Iterable[Record],
    *,
    title: str = "Attention Bench",
    problems: Sequence[str] = (),
    live: str = "",
) -> str:
    """The whole page as HTML, of any number of records, none among them.

    `problems`: a line for each file that was passed over. `live`: the state of the folder that the
    page shows; where it is given, the page asks its server for newer ones.
    """
    records = list(records)
    anchors = Anchors(records)
    drawn, left_out = _drawn(records)
    comparisons = compared(records)
    scripts = [_bundle(), _part("page.js")] if drawn else [_part("page.js")]
    return _render(
        title=title,
        headline=headline(records) if records else "There are no records yet.",
        findings=findings(records, comparisons, anchors),
        values={kind: anchors.values[kind] for kind in KINDS},
        overviews=overviews(comparisons, anchors),
        scores=[*score_views(comparisons, anchors)],
        language=language_views(records, anchors),
        cost=cost_views(records, anchors),
        probes=probe_views(records, anchors),
        published=published_views(comparisons, published_tables()),
        trials=Trials(records, anchors),
        drawings=drawn,
        left_out=left_out,
        figures=as_script(drawn),
        problems=[*problems],
        live=live,
        style=_part("page.css"),
        scripts=scripts,
        policy=policy(scripts, _part("page.css"), live=bool(live)),
    )


def policy(scripts: Iterable[str], style: str, *, live: bool) -> str:
    """What a browser lets the page do: run these scripts, show images of its own, fetch nothing.

    Scripts and style are named by their digests, so that no other text can ever run.
    """
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'sha256-{_digest(style)}';"
        f" connect-src '{'self' if live else 'none'}';"
        " img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _drawn(records: Sequence[Record]) -> tuple[list[Drawing], list[str]]:
    from reports.figures import Figure, figures

    found: dict[str, Figure] = {}
    for block in blocks(records):
        for figure in figures(block):
            name = next(name for name in _names(figure.name) if name not in found)
            found[name] = replace(figure, name=name)
    return drawings(found.values())


def _names(name: str) -> Iterator[str]:
    """The name, and then the name with a number."""
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))


@cache
def _bundle() -> str:
    """The drawing library. A tag within it, if there ever were one, would end the script."""
    import vl_convert

    text: str = vl_convert.javascript_bundle(DRAW)
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _part(name: str) -> str:
    return (resources.files("reports.page") / name).read_text(encoding="utf-8")


def _render(**content: Any) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_part),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The definitions at the template's beginning leave empty lines.
    return environment.get_template("page.html.j2").render(**content).lstrip()
