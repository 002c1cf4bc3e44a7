"""Probes: what random features really estimate, on synthetic and on real queries and keys."""

from tasks.api import Suite

SUITE = Suite(
    name="probes",
    title="Probes of estimators: bias, variance, equivalence, output error, real models",
    tasks=("probes/bias",),
)
