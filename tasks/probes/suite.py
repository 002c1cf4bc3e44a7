"""Probes: what random features really estimate, on synthetic and on real queries and keys."""

from tasks.api import Suite

SUITE = Suite(
    name="probes",
    title="Probes of estimators: bias, variance, equivalence, output error, real models",
    tasks=(
        "probes/bias",
        "probes/variance",
        "probes/equivalence",
        "probes/attention-error",
        "probes/real-qk",
    ),
    note="Quick takes under three minutes a method on two cores, small under twenty. The theory in"
    " variance and equivalence is the same whichever method is measured.",
)
