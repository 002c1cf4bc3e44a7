"""The four published protocols of the Long Range Arena as presets: `preset("s4", "image", ...)`.

Model and training values live here; source, length and data options are the task's to say.
"""

from collections.abc import Mapping

from tasks.api import Preset, Scalar
from tasks.lra.protocols_lra import LRA_PAPER, LRA_REPO, PAPER_NOTE, REPO_NOTE, Published
from tasks.lra.protocols_ports import NYSTROM, NYSTROM_NOTE, S4, S4_NOTE

PROTOCOLS = ("lra-paper", "lra-repo", "nystrom", "s4")


def published(protocol: str, task: str) -> Published:
    """Model, training and note of one protocol for `listops`, `text`, ... `pathx`."""
    table, common = {
        "lra-paper": (LRA_PAPER, PAPER_NOTE),
        "lra-repo": (LRA_REPO, REPO_NOTE),
        "nystrom": (NYSTROM, NYSTROM_NOTE),
        "s4": (S4, S4_NOTE),
    }[protocol]
    if task not in table:
        raise ValueError(
            f"protocol {protocol!r} has no values for {task!r}, only for {', '.join(table)}."
        )
    values = table[task]
    return values._replace(note=f"{common} {values.note}".strip())


def preset(
    protocol: str,
    task: str,
    *,
    source: str,
    max_time: int,
    data: Mapping[str, Scalar] | None = None,
    note: str = "",
) -> Preset:
    """A published protocol as a preset. `note` is added to the protocol's own."""
    model, training, said = published(protocol, task)
    return Preset(
        name=protocol,
        note=f"{said} {note}".strip(),
        source=source,
        model=model,
        training=training,
        data=data or {},
        max_time=max_time,
    )
