"""The law that a gradient is the derivative of what was computed."""

import torch
from torch import Tensor

from methods.core.laws import LawBrokenError, called, labels, way
from methods.core.subject import SECRET, Inputs, Runner, Subject

SHORT, LONG = 34, 96
"""A length is drawn between them: more than a block of most kernels, and cheap."""
STEPS = {torch.float64: (1e-3, 1e-6), torch.float32: (1e-2, 1e-3)}
"""Of a difference. One that agrees is enough: the larger does for what computes in float32 whatever
it is given, the smaller where the function bends, as behind a rectifier."""
TOLERANCES = {torch.float64: 1e-2, torch.float32: 5e-2}
"""Of the gradient's norm, which is what a derivative along a direction drawn at random comes to on
average; it may vanish by chance. A wrong one is wrong by far more."""
APART = {torch.float32: 5e-2, torch.bfloat16: 0.25, torch.float16: 0.25}
"""Of the norm of a gradient, how far one of this dtype may be from float64's: its rounding, in
which a few entries may fall on the other side of a rectifier. Half a gradient is 0.5 away."""
VANISHING = 1e-2
"""Of the largest norm: smaller ones are compared with this, for the rounding in them."""

Groups = dict[str, list[Tensor]]
"""Each input and all weights together, by what they are called."""


def gradients_are_derivatives(subject: Subject) -> None:
    """In the widest dtype backward gives what central differences of forward give, along one
    direction for each input and one for all weights together; in float32 and in the trial's half
    precision it gives what it gives in float64."""
    declared = subject.method.can.dtypes
    wide = torch.float64 if "float64" in declared else subject.dtype
    lower = {torch.float32, subject.narrow} & {getattr(torch, name) for name in declared} - {wide}
    for causal in subject.directions:
        for time in _times(subject):
            what = f"{way(causal)} gradient at {time} tokens of"
            run, groups, towards, exact = _computed(subject, causal, time, wide)
            _require_slopes(run, groups, towards, exact, what)
            if wide == torch.float64:
                for dtype in lower:
                    found = _computed(subject, causal, time, dtype)[-1]
                    _require_near(found, exact, dtype, f"{called(dtype)} {what}")


def _times(subject: Subject) -> set[int]:
    """One drawn anew, and the longest that a training will see, if that is known."""
    drawn = {SECRET.randint(SHORT, LONG)}
    return drawn | {subject.longest_cheap} if subject.longest else drawn


def _computed(
    subject: Subject, causal: bool, time: int, dtype: torch.dtype
) -> tuple[Runner, Groups, Tensor, Groups]:
    """What is differentiated by what, towards which weighting of the output, and the gradients."""
    run, batch = subject.build(causal, dtype=dtype), 2 if time <= LONG else 1
    inputs = [x.requires_grad_() for x in subject.inputs(time, dtype=dtype, batch=batch)]
    groups = dict(zip(labels(tuple(inputs)), ([x] for x in inputs), strict=True))
    if weights := [p for p in run.module.parameters() if p.requires_grad]:
        groups["weights"] = weights
    o = run(tuple(inputs))
    towards = _normal(o, seed=5)
    wanted = [x for group in groups.values() for x in group]
    found = torch.autograd.grad(o, wanted, towards, allow_unused=True) if o.requires_grad else ()
    each = iter(found or [None] * len(wanted))
    gradients = {name: [_filled(next(each), x) for x in group] for name, group in groups.items()}
    return run, groups, towards, gradients


def _filled(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient


def _require_slopes(
    run: Runner, groups: Groups, towards: Tensor, gradients: Groups, what: str
) -> None:
    along = {name: [_normal(x, seed=6 + n) for n, x in enumerate(groups[name])] for name in groups}
    slopes = {name: _inner(gradients[name], along[name]) for name in groups}
    inputs = tuple(x for name, group in groups.items() if name != "weights" for x in group)
    norms = {name: _norm(found) for name, found in gradients.items()}
    floor = VANISHING * max(norms.values())
    for name, slope in slopes.items():
        allowed = TOLERANCES[towards.dtype] * max(norms[name], floor)
        for step in STEPS[towards.dtype]:
            change = _change(run, inputs, towards, groups[name], along[name], step)
            if abs(slope - change) <= allowed:
                break
        else:
            raise LawBrokenError(
                f"the {what} {name} says {slope:.3g} along a direction in which the output changes"
                f" by {change:.3g}."
            )


@torch.no_grad()
def _change(
    run: Runner,
    inputs: Inputs,
    towards: Tensor,
    group: list[Tensor],
    along: list[Tensor],
    step: float,
) -> float:
    """The central difference of the weighted output."""
    ends = []
    for start in (step, -2 * step):
        _move(group, along, start)
        ends.append(_inner([run(inputs)], [towards]))
    _move(group, along, step)
    return (ends[0] - ends[1]) / (2 * step)


def _require_near(found: Groups, exact: Groups, dtype: torch.dtype, what: str) -> None:
    norms = {name: _norm(gradients) for name, gradients in exact.items()}
    floor = VANISHING * max(norms.values())
    for name, gradients in exact.items():
        pairs = zip(found[name], gradients, strict=True)
        apart = _norm([x.double() - y for x, y in pairs]) / max(norms[name], floor, 1e-30)
        # Written so that NaN is a difference.
        if not apart <= APART[dtype]:
            raise LawBrokenError(
                f"the {what} {name} is {apart:.2g} of its norm away from float64's."
            )


def _norm(tensors: list[Tensor]) -> float:
    return _inner(tensors, tensors) ** 0.5


def _inner(one: list[Tensor], two: list[Tensor]) -> float:
    return sum(float((x.double() * y.double()).sum()) for x, y in zip(one, two, strict=True))


@torch.no_grad()
def _move(group: list[Tensor], along: list[Tensor], step: float) -> None:
    for x, u in zip(group, along, strict=True):
        x.add_(u, alpha=step)


def _normal(like: Tensor, *, seed: int) -> Tensor:
    drawn = torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))
    return drawn.to(like.device, like.dtype)
