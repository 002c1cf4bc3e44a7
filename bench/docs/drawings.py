"""A figure for the page of a method or of a task, drawn from the records of this repository."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import NamedTuple

from reports.figures import figures, missing_packages
from reports.readme import MEASURED
from results.record import Identity, Record
from results.store import Store

FOLDER = "reference/figures"
TOLD = (
    "Drawn from records that are kept in this repository. `python -m bench compare --figures"
    " figures` draws your own."
)
NONE = (
    "No figure here: this repository keeps no record of it, or the theory page shows what there is."
    " `python -m bench compare --figures figures` draws your own."
)
TIME = ("cost", "cost-kernel-time")
QUICK_TIME = ("cost-quick", "cost-quick-time")
"""Of methods that the longer measurement left out: a smoke test, which its title says."""
OF_TASKS: Mapping[str, tuple[str, str]] = {
    "cost": TIME,
    "c4/finetune": ("finetune", "c4-finetune-small-recovery-bfloat16"),
    "probes/bias": ("probes", "probes-bias-small-relative-bias"),
    **{
        f"lra/{name}": ("small", f"lra-small-{name}-learning")
        for name in ("listops", "text", "retrieval", "image", "pathfinder")
    },
}
"""The folder of records and the figure's name. Other probes have more to draw than a build of the
documentation should wait for; the theory page shows them."""


class Drawing(NamedTuple):
    """One figure."""

    path: str
    """Below the documentation's folder."""
    words: str
    """What is seen, for who does not see it."""
    svg: str


def method_drawings(names: Iterable[str]) -> dict[str, Drawing]:
    """Time against length beside the reference's, of each method that was measured."""

    def draw(name: str) -> Drawing | None:
        def own(identity: Identity) -> bool:
            return identity.method == name

        return _drawn(name, TIME, own) or _drawn(name, QUICK_TIME, own)

    return _each(names, draw)


def task_drawings(names: Iterable[str]) -> dict[str, Drawing]:
    """What was measured on each task; a task without records has no figure."""
    known = [name for name in names if name in OF_TASKS]
    return _each(known, lambda name: _drawn(name, OF_TASKS[name], lambda i: i.task == name))


def shown(drawing: Drawing | None) -> str:
    """The figure on a page of a folder beside its own, or that there is none."""
    if drawing is None:
        return NONE
    file = drawing.path.rpartition("/")[2]
    return f"![{drawing.words}](../figures/{file})\n\n{TOLD}"


def _each(names: Iterable[str], draw: Callable[[str], Drawing | None]) -> dict[str, Drawing]:
    if missing_packages():
        return {}
    drawn = {name: draw(name) for name in names}
    return {name: drawing for name, drawing in drawn.items() if drawing is not None}


def _drawn(name: str, where: tuple[str, str], chosen: Callable[[Identity], bool]) -> Drawing | None:
    import vl_convert

    folder, wanted = where
    for figure in figures(record for record in _records(folder) if chosen(record.identity)):
        if figure.name == wanted:
            # No address is allowed: a specification that asked for one would fail, not fetch.
            svg = vl_convert.vegalite_to_svg(figure.specification, allowed_base_urls=[])
            words = f"{name}: {wanted.replace('-', ' ')}"
            return Drawing(f"{FOLDER}/{name.replace('/', '-')}-{wanted}.svg", words, svg)
    return None


@cache
def _records(folder: str) -> tuple[Record, ...]:
    return Store(MEASURED / folder).read().records
