"""Figures as the page draws them: colours by the page's scheme, names apart, series to be hidden.

Titles become text of the page, which breaks its lines and is read out; legends become buttons.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reports.figures import Figure
from reports.figures_axes import DARK, GREY, LIGHT
from reports.figures_cast import SHADES
from reports.figures_panels import COLOURS

MOST_ROWS: Final = 600
"""Of one layer; of more rows every so many is shown."""
MOST_BYTES: Final = 2_400_000
"""Of all figures together."""
DIGITS: Final = 5
HIDDEN: Final = "hidden"
"""The signal that holds the names of series not to be shown."""
ROLES: Final[Mapping[str, str]] = {
    **{colour.lower(): f"var(--s{i})" for i, colour in enumerate(COLOURS)},
    DARK.lower(): "var(--ink)",
    GREY.lower(): "var(--grey)",
    LIGHT.lower(): "var(--line)",
    **{shade.lower(): f"var(--g{i})" for i, shade in enumerate(SHADES)},
    "#eeeeee": "var(--faint)",
    "#bbbbbb": "var(--behind)",
    "white": "var(--paper)",
    "#ffffff": "var(--paper)",
}
"""What the page's style gives a value in each scheme."""
GLYPHS: Final = {
    "circle": "●",
    "square": "■",
    "diamond": "◆",
    "triangle-up": "▲",
    "triangle-down": "▼",
    "triangle-right": "▶",
    "triangle-left": "◀",
    "cross": "✚",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One button of a legend."""

    series: str
    glyph: str
    colour: str
    """The number of the page's colour; empty for a colour of the figure's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One figure of the page."""

    name: str
    title: str
    how_to_read: str
    source: str
    legend: tuple[Key, ...]
    thinned: bool
    specification: Mapping[str, Any]


def drawings(figures: Iterable[Figure]) -> tuple[list[Drawing], list[str]]:
    """Those that the page has room for, and the names of those that it has not."""
    found, left_out, size = [], [], 0
    for figure in figures:
        drawing = drawing_of(figure)
        length = len(json.dumps(drawing.specification, separators=(",", ":")))
        if size + length > MOST_BYTES:
            left_out.append(figure.name)
            continue
        size += length
        found.append(drawing)
    return found, left_out


def drawing_of(figure: Figure) -> Drawing:
    """The figure without title, legend and colours of its own."""
    given: dict[str, Any] = json.loads(json.dumps(figure.specification))
    title = given.pop("title", None)
    head, words = _title(title) if title is not None else (figure.name, "")
    how_to_read, mark, source = words.partition("Source:")
    legend = tuple(_legend(given))
    thinned = False
    for node in [*_nodes(given)]:
        thinned |= _thin(node)
        _open(node, bool(legend))
        _uncomplaining(node)
    for unused in ("$schema", "background"):
        given.pop(unused, None)
    given["params"] = [*given.get("params", []), {"name": HIDDEN, "value": []}]
    return Drawing(
        name=figure.name,
        title=head,
        how_to_read=how_to_read.strip(),
        source=f"{mark}{source}".strip(),
        legend=legend,
        thinned=thinned,
        specification=_coloured(given),
    )


def _title(title: Any) -> tuple[str, str]:
    if isinstance(title, str):
        return title, ""
    return _joined(title.get("text", "")), _joined(title.get("subtitle", ""))


def _joined(lines: str | list[str]) -> str:
    return lines if isinstance(lines, str) else " ".join(lines)


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of a specification, its data left out."""
    if isinstance(node, dict):
        yield node
        for name, child in node.items():
            if name != "data":
                yield from _nodes(child)
    elif isinstance(node, list):
        for child in node:
            yield from _nodes(child)


def _channel(node: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A channel that names series by a scale of its own; empty where there is none."""
    encoding = node.get("encoding")
    channel = encoding.get(name) if isinstance(encoding, dict) else None
    if not isinstance(channel, dict) or "field" not in channel:
        return {}
    known = channel.get("scale") or {}
    return channel if {"domain", "range"} <= known.keys() else {}


def _legend(specification: Mapping[str, Any]) -> Iterator[Key]:
    """Every series once, in the order of the colours' scale."""
    seen: dict[str, str] = {}
    shapes: dict[str, str] = {}
    for node in _nodes(specification):
        for name, found in (("color", seen), ("shape", shapes)):
            of = _channel(node, name).get("scale", {})
            for series, value in zip(of.get("domain", ()), of.get("range", ()), strict=False):
                found.setdefault(str(series), str(value))
    for series, colour in seen.items():
        role = ROLES.get(colour.lower(), "")
        yield Key(
            series=series,
            glyph=GLYPHS.get(shapes.get(series, ""), "●"),
            colour=role.removeprefix("var(--").removesuffix(")"),
        )


def _open(node: dict[str, Any], has_legend: bool) -> None:
    """Lets the page hide a node's series, and takes away the legend that the page draws."""
    for name in ("color", "shape"):
        channel = _channel(node, name)
        if channel:
            assert isinstance(channel, dict)
            channel["legend"] = None if has_legend else channel.get("legend")
    field = _channel(node, "color").get("field")
    if field and has_legend:
        shown = {"filter": f"indexof({HIDDEN}, datum[{json.dumps(field)}]) < 0"}
        node["transform"] = [*node.get("transform", []), shown]


def _uncomplaining(node: dict[str, Any]) -> None:
    """Says what is meant where the drawing library would complain and draw the same.

    A logarithmic axis has no zero to do without, and a size tells names apart that have an order.
    """
    if node.get("type") == "log" and node.get("zero") is False:
        del node["zero"]
    encoding = node.get("encoding")
    if not isinstance(encoding, dict):
        return
    for name in ("size", "strokeWidth"):
        channel = encoding.get(name)
        if isinstance(channel, dict) and channel.get("type") == "nominal":
            channel["type"] = "ordinal"


def _thin(node: dict[str, Any]) -> bool:
    """Whether rows were left out; numbers are cut to what a figure can show."""
    data = node.get("data")
    rows = data.get("values") if isinstance(data, dict) else None
    if not isinstance(rows, list):
        return False
    stride = -(-len(rows) // MOST_ROWS)
    node["data"] = {"values": [_rounded(row) for row in rows[:: max(1, stride)]]}
    return stride > 1


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
        for name, value in row.items()
    }


def _coloured(node: Any) -> Any:
    """The same with the page's colours; what the rows say is left alone."""
    if isinstance(node, dict):
        return {k: v if k == "data" else _coloured(v) for k, v in node.items()}
    if isinstance(node, list):
        return [_coloured(child) for child in node]
    return ROLES.get(node.lower(), node) if isinstance(node, str) else node


def as_script(drawn: Iterable[Drawing]) -> str:
    """All specifications as JSON that no text within can end: every `<` is written as its code."""
    shown = {drawing.name: drawing.specification for drawing in drawn}
    text = json.dumps(shown, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
