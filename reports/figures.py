"""Figures of records as SVG and PNG, without a browser and without a network."""

import importlib.util
import itertools
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reports.cells import compare
from reports.columns import Column
from reports.curves import gather
from reports.figures_axes import DARK, GREY, LIGHT
from reports.figures_cast import Drawn
from reports.figures_language import language_sketches
from reports.figures_lengths import length_drawings
from reports.figures_panels import Specification
from reports.figures_pareto import pareto_drawings
from reports.figures_probes import Sketch, sketches
from reports.figures_roofline import roofline_drawings
from reports.figures_training import training_drawings
from reports.frame import rows
from reports.grid import ranges
from reports.language import Group as Trained
from reports.language import gather_language
from reports.png import compressed
from reports.probes import Group, Setting, gather_probes
from reports.probes_entries import changed, options_text
from reports.table import scored_records
from results.record import Record

NEEDED: Final = {"altair": "altair", "vl_convert": "vl-convert-python"}
SCALE: Final = 2.0
"""Pixels of a PNG for one of its SVG: fit for print at the usual width."""
FONT: Final = "Liberation Sans, Arial, Helvetica, DejaVu Sans, sans-serif"
CONFIG: Final = {
    # Every mark's numbers in words would be a third of the file, and an image's are not read out.
    "aria": False,
    "font": FONT,
    "view": {"stroke": LIGHT},
    "axis": {
        "gridColor": "#EEEEEE",
        "domainColor": GREY,
        "tickColor": GREY,
        "labelColor": DARK,
        "titleColor": DARK,
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 11,
        "titleLimit": 400,
        "labelLimit": 380,
    },
    "legend": {"labelFontSize": 12, "labelColor": DARK, "symbolStrokeWidth": 1.5},
}
LINE: Final = 6.1
"""Pixels that a letter of a subtitle takes."""
MOST_SOURCE_LINES: Final = 8
SHORT: Final = 12
"""Digits of a digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure, ready to be written."""

    name: str
    """Of its files, without a suffix."""
    specification: Specification
    """In Vega-Lite, its data within it."""


def missing_packages() -> str:
    """What to install before any figure can be drawn; empty where nothing is missing."""
    missing = [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]
    if not missing:
        return ""
    return (
        f"figures need {' and '.join(missing)}: `pip install {' '.join(missing)}` or"
        " `pip install 'attention-bench[figures]'`."
    )


def figures(records: Iterable[Record]) -> list[Figure]:
    """Every figure that these records have data for, in the order of their tasks."""
    records = list(records)
    found: dict[str, Figure] = {}
    for group in gather_probes(records).groups:
        for sketch in sketches(group):
            name = _name(group.setting, sketch, found)
            found[name] = _figure(name, sketch, _source(group, sketch))
    for trained in gather_language(records).groups:
        for sketch in language_sketches(trained):
            name = _name(trained.column, sketch, found)
            found[name] = _figure(name, sketch, _language_source(trained, sketch))
    for drawn in (*_scores(records), *_costs(records)):
        name = _unused("-".join((*drawn.words, drawn.sketch.name)), found)
        found[name] = _figure(name, drawn.sketch, drawn.source)
    return [*found.values()]


def _scores(records: Sequence[Record]) -> list[Drawn]:
    """Of trials that ended with a score: those of language tasks have curves of their own."""
    scored = compare(rows(scored_records(records)))
    languages = gather_language(records).comparison
    return [
        *pareto_drawings(scored),
        *pareto_drawings(languages),
        *training_drawings(scored, records),
    ]


def _costs(records: Sequence[Record]) -> list[Drawn]:
    """Of what cost trials measured."""
    costs = gather(records)
    return [*length_drawings(costs), *roofline_drawings(costs)]


def write_figures(found: Sequence[Figure], folder: Path) -> list[Path]:
    """Writes an SVG and a PNG of each; the folder is made where there is none. Raises OSError."""
    import vl_convert

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for figure in found:
        # No address is allowed: a specification that asked for one would fail, not fetch.
        svg = vl_convert.vegalite_to_svg(figure.specification, allowed_base_urls=[])
        vector, raster = folder / f"{figure.name}.svg", folder / f"{figure.name}.png"
        vector.write_text(svg, encoding="utf-8")
        raster.write_bytes(compressed(vl_convert.svg_to_png(svg, scale=SCALE)))
        written += [vector, raster]
    return written


def _name(where: Setting | Column, sketch: Sketch, taken: Collection[str]) -> str:
    """`probes-variance-quick-second-moment`; a number tells settings of one name apart."""
    words = [where.task.replace("/", "-"), where.preset, sketch.name]
    words += [where.dtype] if where.dtype != "float32" else []
    return _unused("-".join(words), taken)


def _unused(name: str, taken: Collection[str]) -> str:
    """A number tells apart what would have one name. It names a file, and never a folder, whatever
    a record calls its preset."""
    name = re.sub(r"[^\w.]+", "-", name, flags=re.ASCII)[:150]
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def _figure(name: str, sketch: Sketch, source: str) -> Figure:
    """The panels under a title, with how to read them and where they come from."""
    import altair as alt

    columns = min(sketch.columns, len(sketch.panels))
    width = max(columns * sketch.panel_width, 620)
    letters = int(width / LINE)
    subtitle = textwrap.wrap(sketch.how_to_read, letters)
    subtitle += _wrapped(source, letters)
    title = {
        "text": textwrap.wrap(sketch.title, int(width / 8.6)),
        "subtitle": subtitle,
        "anchor": "start",
        "fontSize": 16,
        "subtitleFontSize": 11.5,
        "subtitleColor": GREY,
        "color": DARK,
        "offset": 12,
        "subtitlePadding": 6,
    }
    specification = {
        "$schema": alt.SCHEMA_URL,
        "title": title,
        "concat": sketch.panels,
        "columns": columns,
        "spacing": 26,
        "resolve": {"scale": {"color": "shared", "shape": "shared"}},
        "padding": 14,
        "background": "white",
        "config": CONFIG,
    }
    return Figure(name=name, specification=specification)


def _source(group: Group, sketch: Sketch) -> str:
    """Task, preset, commit and the methods with all their options."""
    setting = group.setting
    seeds = sorted({seed for reading in group.readings for seed in reading.seeds})
    parts = [
        f"Source: {setting.task} version {setting.task_version}, preset {setting.preset}",
        *changed(setting),
        f"{setting.dtype} on {setting.device}",
        f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}",
        *(f"{name} {text[:SHORT]}" for name, text in setting.measured_on),
        f"commit {', '.join(group.commits)}",
    ]
    return f"{', '.join(parts)}. {_methods(sketch)}"


def _language_source(group: Trained, sketch: Sketch) -> str:
    """The same of a language task."""
    column = group.column
    rows = [row for entrant in group.entrants for row in entrant.cell.rows]
    seeds = {row.seed for row in rows}
    commits = dict.fromkeys((row.commit or "no commit")[:9] for row in rows)
    parts = [
        f"Source: {column.task} version {column.task_version}, preset {column.preset}",
        *([f"changed {options_text(column.settings)}"] if column.settings != "{}" else []),
        f"{column.dtype} on {column.device}",
        f"seed{'s' * (len(seeds) > 1)} {ranges([*seeds])}",
        f"data {column.digest[:SHORT]}",
        f"commit {', '.join(commits)}",
    ]
    return f"{', '.join(parts)}. {_methods(sketch)}"


def _methods(sketch: Sketch) -> str:
    """With all their options."""
    methods = dict.fromkeys((c.method, c.options) for c in sketch.contenders)
    named = [
        f"{method} ({options_text(options)})" if options != "{}" else method
        for method, options in methods
    ]
    return f"Methods: {'; '.join(named)}." if named else "Estimators of the probe, of no method."


def _wrapped(text: str, letters: int) -> list[str]:
    lines = textwrap.wrap(text, letters)
    if len(lines) > MOST_SOURCE_LINES:
        lines = [*lines[: MOST_SOURCE_LINES - 1], lines[MOST_SOURCE_LINES - 1][:-4] + " ..."]
    return lines
