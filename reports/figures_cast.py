"""Who is drawn in a figure, and how: methods in colours, the reference dark, floors grey.

The same contender has the same colour and shape in every panel of a figure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reports.columns import Column, Contender
from reports.figures_axes import DARK
from reports.figures_panels import COLOURS, SHAPES
from reports.figures_probes import Sketch
from reports.frame import Row
from reports.grid import plain, ranges
from reports.probes_entries import options_text

HUES: Final = tuple(colour for colour in COLOURS if colour not in ("#000000", "#7F7F7F"))
"""Those of methods; dark and grey are kept for controls."""
SHADES: Final = ("#767676", "#9A9A9A", "#5A5A5A", "#B4B4B4")
"""Of floors."""
LONGEST_NAME: Final = 60
THOUSANDS: Final = "format(datum.value, '~s')"
"""Numbers at an axis in d3's words: 40k, 1.2M."""
BYTES: Final = (
    "datum.value < 1048576 ? format(datum.value / 1024, '~g') + ' KiB'"
    " : datum.value < 1073741824 ? format(datum.value / 1048576, '~g') + ' MiB'"
    " : format(datum.value / 1073741824, '~g') + ' GiB'"
)
SECONDS: Final = (
    "datum.value < 0.00099 ? format(datum.value * 1000000, '.2~r') + ' us'"
    " : datum.value < 0.99 ? format(datum.value * 1000, '.2~r') + ' ms'"
    " : format(datum.value, '.2~r') + ' s'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A sketch with the words of its file's name and where its numbers come from."""

    words: tuple[str, ...]
    sketch: Sketch
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The series of a figure in their order, with a colour and a shape each."""

    names: tuple[str, ...]
    colours: tuple[str, ...]
    shapes: tuple[str, ...]

    def colour(self, **legend: Any) -> Any:
        """The colour channel of rows with `series`."""
        import altair as alt

        of = alt.Scale(domain=[*self.names], range=[*self.colours])
        return alt.Color("series:N", scale=of, legend=self._legend(**legend))

    def shape(self) -> Any:
        """The shape channel of the same rows."""
        import altair as alt

        of = alt.Scale(domain=[*self.names], range=[*self.shapes])
        return alt.Shape("series:N", scale=of, legend=self._legend())

    def _legend(self, **more: Any) -> Any:
        import altair as alt

        longest = max(map(len, self.names), default=0)
        columns = 2 if longest > 30 else 3 if longest > 20 else 4
        given = {"title": None, "orient": "top", "columns": columns, "symbolSize": 70}
        return alt.Legend(labelLimit=520, **(given | more))


def labelled(channel: Any, expression: str, values: Sequence[float] = ()) -> Any:
    """The channel with its axis labelled by an expression, at these values where any are given."""
    channel["axis"]["labelExpr"] = expression
    if values:
        channel["axis"]["values"] = [*values]
    return channel


def name_in(contender: Contender) -> str:
    """What a contender is called in a figure."""
    return plain(contender.label, LONGEST_NAME)


def cast_of(contenders: Iterable[Contender], reference: str = "") -> Cast:
    """Methods first, then the reference or ceilings, then floors.

    `reference`: the name of a series that is drawn dark, such as what times are held against.
    """
    order = {"method": 0, "ceiling": 1, "floor": 2}
    sorted_ = sorted(contenders, key=lambda c: order.get(c.role, 0))
    roles = {name_in(c): c.role for c in sorted_} | ({reference: "ceiling"} if reference else {})
    colours, shapes = [], []
    hues = shades = 0
    for i, role in enumerate(roles.values()):
        if role == "method":
            # Where colours begin again, shapes are others.
            colours.append(HUES[hues % len(HUES)])
            shapes.append(SHAPES[(hues + hues // len(HUES)) % len(SHAPES)])
            hues += 1
        elif role == "ceiling":
            colours.append(DARK)
            shapes.append(SHAPES[i % len(SHAPES)])
        else:
            colours.append(SHADES[shades % len(SHADES)])
            shapes.append(SHAPES[i % len(SHAPES)])
            shades += 1
    return Cast(names=tuple(roles), colours=tuple(colours), shapes=tuple(shapes))


def source_of(
    columns: Sequence[Column],
    rows: Iterable[Row],
    contenders: Iterable[Contender],
    machine: tuple[str, int] | None = None,
) -> str:
    """Tasks, preset, data, commits, machine, and the methods with all their options."""
    rows, first = list(rows), columns[0]
    seeds = sorted({row.seed for row in rows})
    commits = dict.fromkeys((row.commit or "no commit")[:9] for row in rows)
    tasks = dict.fromkeys(f"{c.task} version {c.task_version} ({c.source})" for c in columns)
    settings = dict.fromkeys(options_text(c.settings) for c in columns if c.settings != "{}")
    parts = [
        f"Source: {', '.join(tasks)}, preset {first.preset}",
        *(f"changed {text}" for text in settings),
        f"{first.dtype} on {first.device}{' compiled' * first.compile}",
        f"seed{'s' * (len(seeds) > 1)} {ranges(seeds)}",
        f"commit {', '.join(commits)}",
    ]
    where = f" Measured on {in_words(machine)}." if machine else ""
    return f"{', '.join(parts)}.{where} {methods_of(contenders)}"


def in_words(machine: tuple[str, int]) -> str:
    """`Fake CPU with 2 threads`."""
    name, threads = machine
    return f"{plain(name)} with {threads} thread{'s' * (threads != 1)}"


def methods_of(contenders: Iterable[Contender]) -> str:
    """With all their options."""
    named = [
        f"{c.method} ({options_text(c.options)})" if c.options != "{}" else c.method
        for c in contenders
    ]
    return f"Methods: {'; '.join(dict.fromkeys(named))}."
