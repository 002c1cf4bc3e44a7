"""A plan in a folder of its own, runs of it, and the account of what they left."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from results.store import Store
from tests.faults.supervisor import Run

TRAINED, LANGUAGE = "tests/fakes/tiny_task.py", "tests/fakes/tiny_language.py"
UNRULY = "tests.fakes.unruly_methods"
COMPLETED = ("completed", "")
"""A status, and a word of its reason."""


@dataclass(slots=True)
class Tally:
    """What went wrong, by the number. All zeros but the first is the guarantee."""

    injected: int = 0
    lost: int = 0
    """Records that were there, and are gone or changed."""
    doubled: int = 0
    """Records beyond one a trial."""
    unexplained: int = 0
    """Planned trials without a record, or with one that does not say what happened; tracebacks."""
    processes: int = 0
    files: int = 0
    """Temporary files left after the last run."""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, doubled, unexplained or left over."""
        return not any(astuple(self)[1:])


class Scene:
    """`expected` has, for each method of the plan, the status of its record."""

    def __init__(
        self, folder: Path, task: str, methods: Mapping[str, tuple[str, str]], *words: str
    ) -> None:
        self.folder, self.results, self.cache = folder, folder / "records", folder / "cache"
        self.expected = {_name(method): outcome for method, outcome in methods.items()}
        self._words = ["run", "--task", task, "--methods", *methods, "--no-controls",
                       "--threads", "1", "--results", str(self.results),
                       "--cache", str(self.cache), *words]  # fmt: skip
        self._before: dict[str, bytes] = {}
        self._runs: list[Run] = []
        self._processes = 0

    def start(self, *extra: str, prepare: Callable[[], object] | None = None) -> Run:
        """The plan's command, begun."""
        run = Run(self.folder, [*self._words, *extra], prepare)
        self._runs.append(run)
        return run

    def end(self, run: Run) -> int:
        """Its exit code, with what it leaves running put to the account."""
        code = run.wait()
        self._processes += run.sweep()
        return code

    def run(self, *extra: str, prepare: Callable[[], object] | None = None) -> int:
        """The plan's command, to its end."""
        return self.end(self.start(*extra, prepare=prepare))

    def remember(self) -> None:
        """What is on record now must stay, to the byte."""
        self._before = self.files()

    def forget(self, names: Sequence[str]) -> None:
        """What was damaged on purpose need not stay."""
        self._before = {n: x for n, x in self._before.items() if n not in names}

    def files(self) -> dict[str, bytes]:
        """The content of every record's file."""
        return {p.name: p.read_bytes() for p in sorted(self.results.glob("[!.]*.json"))}

    def documents(self) -> list[dict[str, Any]]:
        """Every record, as plain JSON."""
        return [json.loads(content) for content in self.files().values()]

    def tally(self, *, may_crash: int = 0) -> Tally:
        """The account. may_crash: trials that a fault may have ended, as their records say."""
        now = self.files()
        reading = Store(str(self.results)).read()
        digests = [record.identity.digest() for record in reading.records]
        unexplained = sum("Traceback" in run.output for run in self._runs)
        found = {record.identity.method: record for record in reading.records}
        for method, (status, word) in self.expected.items():
            record = found.get(method)
            if record is None:
                unexplained += 1
            elif may_crash and record.status == "crashed" and "SIGKILL" in record.reason:
                may_crash -= 1
            else:
                unexplained += record.status != status or word not in record.reason
        tally = Tally(
            injected=1,
            lost=sum(now.get(name) != content for name, content in self._before.items()),
            doubled=len(now) - len(set(digests)),
            unexplained=unexplained,
            processes=self._processes,
            files=len(self.leftovers()),
        )
        if not tally.is_clean:
            print(tally, reading.problems, self.leftovers(), self.says(), sep="\n", file=sys.stderr)
        return tally

    def leftovers(self) -> list[Path]:
        """Files that no finished plan has."""
        hidden = [p for p in self.results.rglob("*") if p.name.startswith(".")]
        partial = list(self.cache.rglob("*.partial")) + list(self.cache.glob("checkpoints/*"))
        return hidden + partial + list((self.folder / "tmp").iterdir())

    def says(self) -> str:
        """All that its runs printed."""
        return "\n".join(run.output for run in self._runs)


def _name(method: str) -> str:
    """What a selector's records are called."""
    name, _, attribute = method.partition(":")
    return f"fake-{attribute.replace('_', '-').lower()}" if attribute.isupper() else name
