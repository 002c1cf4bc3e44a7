"""The law that a gradient is the derivative of what was computed."""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from methods.core.laws import LawBrokenError, labels, way
from methods.core.subject import Inputs, Runner, Subject

TIME = 9
STEPS = {torch.float64: (1e-4, 1e-6), torch.float32: (1e-2, 1e-3)}
"""Of a difference. One that agrees is enough: the larger does for what computes in float32 whatever
it is given, the smaller where the function bends, as behind a rectifier."""
TOLERANCES = {torch.float64: 1e-2, torch.float32: 5e-2}
"""Of the derivative: a wrong one is wrong by far more."""
VANISHING = 1e-2
"""Of the largest derivative: smaller ones are compared with this, for the rounding in them."""


def gradients_are_derivatives(subject: Subject) -> None:
    """Backward gives what central differences of forward give, along one direction for each input
    and one for all weights together."""
    dtype = torch.float64 if "float64" in subject.method.can.dtypes else subject.dtype
    for causal in subject.directions:
        run = subject.build(causal, dtype=dtype)
        inputs = [x.requires_grad_() for x in subject.inputs(TIME, dtype=dtype)]
        weights = [p for p in run.module.parameters() if p.requires_grad]
        groups = [*zip(labels(tuple(inputs)), ([x] for x in inputs), strict=True)]
        groups += [("weights", weights)] if weights else []
        with torch.no_grad():
            shape = run(tuple(inputs)).shape
        towards = _normal(shape, inputs[0], seed=5)
        score = functools.partial(_score, run, tuple(inputs), towards)
        found = {}
        for name, group in groups:
            along = [_normal(x.shape, x, seed=6 + n) for n, x in enumerate(group)]
            found[name] = _both(score, group, along)
        floor = VANISHING * max(abs(x) for _, differences in found.values() for x in differences)
        for name, (gradient, differences) in found.items():
            allowed = (TOLERANCES[dtype] * max(abs(gradient), abs(x), floor) for x in differences)
            if not any(abs(gradient - x) <= a for x, a in zip(differences, allowed, strict=True)):
                raise LawBrokenError(
                    f"the {way(causal)} gradient of {name} says {gradient:.3g} along a direction"
                    f" in which the output changes by {differences[-1]:.3g}."
                )


def _score(run: Runner, inputs: Inputs, towards: Tensor) -> Tensor:
    return (run(inputs) * towards).sum()


def _both(
    f: Callable[[], Tensor], group: Sequence[Tensor], along: Sequence[Tensor]
) -> tuple[float, list[float]]:
    """The derivative of `f` along a direction, by its gradient and by its differences."""
    o = f()
    found = torch.autograd.grad(o, group, allow_unused=True) if o.requires_grad else ()
    slopes = [(g * u).sum() for g, u in zip(found, along, strict=False) if g is not None]
    differences = []
    for step in STEPS[o.dtype]:
        ends = []
        for start in (step, -2 * step):
            _move(group, along, start)
            with torch.no_grad():
                ends.append(float(f()))
        _move(group, along, step)
        differences.append((ends[0] - ends[1]) / (2 * step))
    return float(sum(slopes)), differences


@torch.no_grad()
def _move(group: Sequence[Tensor], along: Sequence[Tensor], step: float) -> None:
    for x, u in zip(group, along, strict=True):
        x.add_(u, alpha=step)


def _normal(shape: torch.Size, like: Tensor, *, seed: int) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return drawn.to(like.device, like.dtype)
