"""The suite `c4`: next-token prediction from scratch, after a swap, and over learning rates."""

from tasks.api import Suite

SUITE = Suite(
    name="c4",
    title="Next-token prediction",
    tasks=("c4/pretrain", "c4/finetune", "c4/stability"),
    note="Named after the text of its published protocol; without the hub it reads another one.",
)
