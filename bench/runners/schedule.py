"""Learning-rate schedules of the published protocols."""

import math

from tasks.api import Training


def learning_rate(plan: Training, step: int) -> float:
    """The rate of a step, counted from 1.

    All warm up linearly; then constant, down to 0 along a line or a half cosine, or, for `rsqrt`,
    learning_rate * min(1, t/w) / sqrt(max(t, w)) as in Long Range Arena's code.
    """
    warmup = plan.warmup_steps
    if plan.schedule == "rsqrt":
        ramp = min(1.0, step / warmup) if warmup else 1.0
        return plan.learning_rate * ramp / math.sqrt(max(step, warmup, 1))
    if step <= warmup:
        return plan.learning_rate * step / warmup
    done = (step - 1 - warmup) / max(1, plan.steps - warmup)
    if plan.schedule == "linear":
        return plan.learning_rate * (1 - done)
    if plan.schedule == "cosine":
        return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
    return plan.learning_rate
