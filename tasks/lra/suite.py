"""The suite `lra`: the five tasks of the Long Range Arena that the paper averages."""

from tasks.api import Suite

SUITE = Suite(
    name="lra",
    title="Long Range Arena",
    tasks=("lra/listops", "lra/text", "lra/retrieval", "lra/image", "lra/pathfinder"),
    note="Path-X (lra/pathx) is run apart: in the paper no method learns it.",
)
