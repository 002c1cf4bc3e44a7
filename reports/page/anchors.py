"""Where on the page a trial's record stands, and by what its numbers can be chosen."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from results.record import Identity, Record

KINDS: Final = ("task", "method", "preset", "device", "dtype")
"""By what a reader may choose rows."""


class Anchors:
    """The places of all records. Seeds of one trial stand together, and share a heading."""

    def __init__(self, records: Iterable[Record]) -> None:
        groups: dict[str, list[Record]] = defaultdict(list)
        self._record: dict[str, Record] = {}
        self._group: dict[str, str] = {}
        for record in records:
            name = f"g-{_seedless(record.identity)}"
            groups[name].append(record)
            trial = record.identity.digest()
            self._record[trial], self._group[trial] = record, name
        self.groups: Mapping[str, Sequence[Record]] = groups
        self.values = {
            kind: sorted({str(getattr(r.identity, kind)) for r in self._record.values()})
            for kind in KINDS
        }
        """Every task, method, preset, device and number format there is."""
        self._number = {kind: {v: i for i, v in enumerate(self.values[kind])} for kind in KINDS}

    def link(self, trials: Sequence[str]) -> str:
        """Of one trial its record, of several the heading that they share; empty for none."""
        known = [trial for trial in trials if trial in self._record]
        if not known:
            return ""
        return f"#r-{known[0]}" if len(known) == 1 else f"#{self._group[known[0]]}"

    def keys(self, trials: Iterable[str]) -> dict[str, str]:
        """What a row is chosen by: the numbers of its values in `values`, a word a kind."""
        identities = [self._record[trial].identity for trial in trials if trial in self._record]
        if not identities:
            return {}
        return {
            kind: " ".join(sorted({str(self._number[kind][getattr(i, kind)]) for i in identities}))
            for kind in KINDS
        }


def _seedless(identity: Identity) -> str:
    return identity.model_copy(update={"seed": 0}).digest()
