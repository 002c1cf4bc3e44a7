"""Where a record comes from: commit, digests of the source that ran, command and duration."""

import ast
import functools
import hashlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from results.folders import without_secrets
from results.record import Provenance

_ROOT = Path(__file__).resolve().parents[1]
_SOURCES = ("bench", "methods", "tasks", "results", "reports", "pyproject.toml")
_GIT_SECONDS = 10


def describe_provenance(
    *,
    method_file: Path | None,
    task_file: Path | None,
    command: str,
    started: str,
    seconds: float,
) -> Provenance:
    """The provenance of one trial. Never raises: what cannot be known is None."""
    commit, dirty = commit_and_dirty(_ROOT)
    return Provenance(
        commit=commit,
        dirty=dirty,
        method_digest=method_digest(method_file),
        task_digest=task_digest(task_file),
        command=command,
        started=started,
        seconds=seconds,
    )


def command_line(arguments: Sequence[str] | None = None) -> str:
    """What a reader types to run this again; arguments are this process's own if not given.

    The home folder is written `~` and the working folder left away: both are nobody's business.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    return " ".join(["python -m bench", *map(_quoted, words)])


@functools.cache
def commit_and_dirty(root: Path) -> tuple[str | None, bool | None]:
    """The commit checked out at `root`, and whether the code there differs from it.

    (None, None) where `root` is not itself a checkout: an installed package that lies below
    somebody's repository must not be given that repository's commit.
    """
    place = _git(root, "rev-parse", "--show-toplevel", "HEAD")
    if place is None:
        return None, None
    top, _, commit = place.strip().rpartition("\n")
    if not top or Path(top).resolve() != root.resolve():
        return None, None
    present = [name for name in _SOURCES if (root / name).exists()]
    changes = _git(root, "status", "--porcelain", "--", *present)
    return commit, None if changes is None else bool(changes.strip())


def method_digest(file: Path | None) -> str:
    """The digest of a method's file and of what methods share."""
    return source_digest(file, "methods", shared="methods/core/*.py")


def task_digest(file: Path | None) -> str:
    """The digest of a task's file and of what it imports."""
    return source_digest(file, "tasks", shared="tasks/api.py")


def training_digest() -> str:
    """The digest of how language models are trained, and of all that this imports."""
    return source_digest(None, "bench", shared="bench/runners/text_*.py")


def source_digest(file: Path | None, package: str, *, shared: str, root: Path = _ROOT) -> str:
    """SHA-256 of a source file, of what it shares with others and of all that these import.

    Imports are followed within `package` of the project at `root`; folders do not count.
    """
    digest = hashlib.sha256()
    start = {root / package / "api.py", *root.glob(shared)} | ({file.resolve()} if file else set())
    sources = _with_imports(start, root, package)
    for path in sorted(sources, key=lambda path: (path.name, str(path))):
        content = _read(path)
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _with_imports(start: Iterable[Path], root: Path, package: str) -> set[Path]:
    seen: set[Path] = set()
    todo = list(start)
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo += _imports(path, root, package)
    return seen


def _imports(path: Path, root: Path, package: str) -> Iterator[Path]:
    """Files of `package` that the file imports, also inside functions."""
    try:
        tree = ast.parse(_read(path))
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            # Each name may be a module of its own.
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] == package:
                place = root.joinpath(*name.split("."))
                yield from filter(Path.is_file, (place.with_suffix(".py"), place / "__init__.py"))


def _read(path: Path) -> bytes:
    try:
        # The same on every system, whatever a checkout does with line ends.
        return path.read_bytes().replace(b"\r\n", b"\n")
    except OSError:
        return b""


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints; None where there is no git, no repository or no answer."""
    # A hook's variables would point git at another repository.
    environment = {name: x for name, x in os.environ.items() if not name.startswith("GIT_")}
    try:
        # No shell, and the words are our own; git is wherever the user's system has it.
        done = subprocess.run(  # noqa: S603
            ["git", "--no-optional-locks", "-C", str(root), *arguments],  # noqa: S607
            env=environment,
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _quoted(word: str) -> str:
    """The word as a shell takes it, free of passwords, its folders of a person or machine short."""
    shorter = without_secrets(word).replace(f"{Path.cwd()}{os.sep}", "")
    home = os.path.expanduser("~") + os.sep
    if shorter.startswith(home):
        # Outside the quotes, or the shell would take it for a letter.
        return "~/" + shlex.quote(shorter.removeprefix(home))
    return shlex.quote(shorter)
