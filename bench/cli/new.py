"""`bench new`: a starting file for a method or a task, and its test, which pass as they are."""

import importlib
import importlib.util
import keyword
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

from bench.errors import UsageError
from bench.registry import Entry, load_registry

What = Literal["method", "task"]
Rung = Literal["feature_map", "attention", "mixer"]
Kind = Literal["trained", "probe", "cost"]

NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_NAME: Final = 30
"""Beyond this, lines of the templates would grow too long."""
SHARED: Final = (("core",), ("data",))
"""Folders of what several methods or tasks share: the registry looks past them."""
OUR_IMPORTS: Final = re.compile(r"(?<=\n\n)(?:from [\w.]+ import [^(\n]+\n)+")
"""A paragraph of imports in a test, each on one line."""
STAND_IN: Final = "starting-point"
"""What the templates call themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the two files go, and how the test imports the other one."""

    file: Path
    test: Path
    module: str
    registered: bool
    """Within the folder that is the registry: known by its name from now on."""


def new_command(
    what: What,
    name: str,
    *,
    rung: Rung | None = None,
    kind: Kind | None = None,
    folder: Path = Path("."),
) -> int:
    """Write a commented starting file for a method or a task, and a test beside it.

    Both work as they are: the method keeps the contract and can be run, the test passes. Nothing
    is ever overwritten. In the folder `methods` or `tasks` of a checkout the file is registered by
    being there, and its test goes to the folder `tests`.

    Examples:

        python -m bench new method my-attention

        python -m bench new method my-mixer --rung mixer --folder methods

        python -m bench new task my-task

        python -m bench new task my-family/my-probe --kind probe

    Parameters
    ----------
    what:
        method or task.
    name:
        Lowercase words with hyphens, as typed on the command line from then on; a task's may begin
        with its family and a slash.
    rung:
        What a method gives: feature_map (queries and keys become features, the rest is free),
        attention (queries, keys and values become outputs; the default) or mixer (a whole token
        mixer, projections included).
    kind:
        What a task is: trained (sequence classification; the default), probe (measures estimators
        and attentions themselves) or cost (time and memory against length).
    folder:
        Where the file goes; made where there is none.
    """
    if what == "method" and kind is not None:
        raise UsageError("--kind is for tasks; a method has a --rung instead.")
    if what == "task" and rung is not None:
        raise UsageError("--rung is for methods; a task has a --kind instead.")
    _check_name(what, name)
    template: str = (rung or "attention") if what == "method" else (kind or "trained")
    place = place_of(what, name.rpartition("/")[2].replace("-", "_"), folder)
    _write(place, template, name)
    _tell(what, name, place)
    return 0


def _check_name(what: What, name: str) -> None:
    """Raises UsageError for a name that is none, or is taken."""
    family, slash, last = name.rpartition("/")
    parts = (family, last) if slash and what == "task" else (name,)
    if len(name) > LONGEST_NAME or not all(NAME.fullmatch(part) for part in parts):
        family_too = ", a task's with or without its family before a slash" * (what == "task")
        raise UsageError(
            f"{name!r} is no name for a {what}: names are lowercase words with hyphens, such as"
            f" my-{what}, of {LONGEST_NAME} characters at most{family_too}."
        )
    registry = load_registry()
    entries: Mapping[str, Entry[Any]]
    entries = registry.methods if what == "method" else {**registry.suites, **registry.tasks}
    locators = {taken: entry.locator for taken, entry in entries.items()}
    if name in locators:
        raise UsageError(
            f"the name {name!r} is taken by {locators[name]}. Choose another one;"
            f" `python -m bench list {what}s` shows all."
        )


def place_of(what: What, stem: str, folder: Path) -> Place:
    """Where the files of a module go. Raises UsageError where one is there already, or could not
    be imported under its name."""
    package = f"{what}s"
    home = Path(str(importlib.import_module(package).__file__)).resolve().parent
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file. Name a folder with --folder.")
    inside = folder.resolve().is_relative_to(home)
    where = folder.resolve().relative_to(home) if inside else Path()
    if inside and (where.parts[:1] in SHARED or not (folder / "__init__.py").is_file()):
        raise UsageError(
            f"what stands in {folder} is not registered. Name the folder {package!r} itself, a"
            " package in it, or a folder elsewhere."
        )
    module = ".".join((package, *where.parts, stem)) if inside else stem
    # Without a checkout around them the packages stand among installed ones.
    in_checkout = inside and (home.parent / "tests").is_dir()
    tests = home.parent / "tests" / package if in_checkout else folder
    place = Place(
        file=folder / f"{stem}.py", test=tests / f"test_{stem}.py", module=module, registered=inside
    )
    for path in (place.file, place.test):
        if path.exists():
            raise UsageError(f"{path} is there already, and is left as it is. Choose another name.")
    # Beside a test, a file hides every installed module of its name.
    hides = not inside and importlib.util.find_spec(stem) is not None
    if keyword.iskeyword(stem) or stem == "conftest" or hides:
        raise UsageError(
            f"a file {stem}.py could not be imported under its name, which Python, an installed"
            " package or another file uses. Choose another name."
        )
    return place


def _write(place: Place, template: str, name: str) -> None:
    """Both files, or none."""
    stem = name.rpartition("/")[2].replace("-", "_")
    words = {
        f"bench.templates.{template}": place.module,
        STAND_IN: name,
        STAND_IN.replace("-", "_"): stem,
        _class_name(STAND_IN): _class_name(stem),
    }
    source = resources.files("bench.templates")
    written: list[Path] = []
    try:
        for path, origin in ((place.file, f"{template}.py"), (place.test, f"{template}_test.py")):
            text = (source / origin).read_text(encoding="utf-8")
            # All in one go: a new name may contain an old one.
            text = re.sub("|".join(map(re.escape, words)), lambda old: words[old[0]], text)
            text = OUR_IMPORTS.sub(_sorted, text)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
    except OSError as error:
        for path in written:
            path.unlink()
        raise UsageError(
            f"{error.filename or place.file} cannot be written: {error.strerror}. Name another"
            " folder with --folder."
        ) from error


def _sorted(lines: re.Match[str]) -> str:
    """Lines in the order that linters ask for, now that the subject has another name."""
    return "".join(sorted(lines[0].splitlines(keepends=True), key=lambda line: line.split()[1]))


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in re.split(r"[-_]", name))


def _tell(what: What, name: str, place: Place) -> None:
    """The files, and the commands that come next."""
    print(f"Wrote {place.file} and {place.test}. Next:\n")
    here = name if place.registered else shlex.quote(_locator(place.file))
    run = "python -m bench run"
    if what == "method":
        print(f"    python -m bench check {here}")
        print(f"    {run} --methods {here} --task lra/listops")
    else:
        print(f"    {run} --methods performer --task {here}")
    print(f"    python -m pytest {shlex.quote(str(place.test))}")


def _locator(file: Path) -> str:
    """As a path that no command takes for a name."""
    return str(file) if file.is_absolute() or len(file.parts) > 1 else f"./{file}"
