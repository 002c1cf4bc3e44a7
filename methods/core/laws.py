"""The laws that hold for every method, whatever it computes."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from methods.api import UnsupportedError
from methods.core.attention import BuiltAttention
from methods.core.multihead import tensors
from methods.core.subject import SECRET, Inputs, Subject, cut, join

TIMES = (1, 7, 33, 161)
"""Odd lengths: one token, less than a block, and more than a chunk of the linear-attention core."""

ROUNDING = 1e-4
"""Of the largest entry: the same sums, added up in another order in float32."""

ROUNDINGS = 8
"""Of a narrower dtype's own: weights, products and outputs are each rounded to it on the way."""

LOW_PRECISION = 0.1
"""Of the norm: weights and inputs rounded to eight bits, and an exponential of their products."""

LARGE_NORM = 30.0
MOST_NEIGHBOURS = 7


class LawBrokenError(Exception):
    """A law does not hold; the message says what was seen."""


def distance(actual: Tensor, expected: Tensor, floor: float = 1e-3) -> float:
    """The largest difference, relative to the largest expected entry (at least `floor`)."""
    if actual.numel() == 0:
        return 0.0
    scale = expected.detach().abs().max().clamp(min=floor)
    return float((actual.detach() - expected.detach()).abs().max() / scale)


def require_close(
    actual: Tensor,
    expected: Tensor,
    what: str,
    tolerance: float = ROUNDING,
    floor: float = 1e-3,
) -> None:
    """Raise LawBrokenError where two results differ by more than rounding.

    `actual` comes in the dtype that it was computed in: half precision is allowed its own rounding.
    """
    tolerance = max(tolerance, ROUNDINGS * torch.finfo(actual.dtype).eps)
    actual, expected = actual.double(), expected.double()
    moved = distance(actual, expected, floor)
    # Written so that NaN is a difference.
    if not moved <= tolerance:
        raise LawBrokenError(
            f"{what} by {moved:.2g} of its largest entry; {tolerance:.0e} is rounding."
        )


def labels(inputs: Inputs) -> tuple[str, ...]:
    """What the inputs are called in a sentence."""
    return ("queries", "keys", "values") if len(inputs) == 3 else ("tokens",)


def way(causal: bool) -> str:
    """What a direction is called in a sentence."""
    return "causal" if causal else "bidirectional"


def called(dtype: torch.dtype) -> str:
    """What a dtype is called in a sentence."""
    return str(dtype).removeprefix("torch.")


def right_padding(lengths: tuple[int, ...], time: int, device: str) -> Tensor:
    """True past each length."""
    return torch.arange(time, device=device) >= torch.tensor(lengths, device=device)[:, None]


def shape_and_dtype_kept(subject: Subject) -> None:
    """Every length, float32 and bfloat16 where declared, and cross attention where that is."""
    dtypes = {subject.dtype}
    if "bfloat16" in subject.method.can.dtypes:
        dtypes.add(torch.bfloat16)
    for causal in subject.directions:
        for dtype in dtypes:
            run = subject.build(causal, dtype=dtype)
            for time in TIMES:
                inputs = subject.inputs(time, dtype=dtype)
                _require_like(run(inputs), inputs[0], f"{way(causal)} {dtype} output of {time}")
    if subject.method.can.cross:
        inputs = subject.inputs(7, key_time=33)
        _require_like(subject.build(False)(inputs), inputs[0], "cross-attention output")


def _require_like(o: Tensor, first: Tensor, what: str) -> None:
    if o.shape != first.shape or o.dtype != first.dtype:
        raise LawBrokenError(
            f"{what} is {o.dtype} {list(o.shape)} where {first.dtype} {list(first.shape)} is due."
        )
    if not torch.isfinite(o).all():
        raise LawBrokenError(f"{what} is not finite.")


def low_precision_is_close(subject: Subject) -> None:
    """The trial's half precision, without one bfloat16, gives what float32 gives, or what comes
    nearest to it, to its own precision."""
    dtype = subject.narrow or torch.bfloat16
    for causal in subject.directions:
        inputs = subject.inputs(33, norm=2.0)
        expected = subject.build(causal)(inputs).double()
        low = subject.build(causal, dtype=dtype)
        actual = low(tuple(x.to(dtype) for x in inputs)).double()
        apart = float((actual - expected).detach().norm() / expected.detach().norm())
        if not apart <= LOW_PRECISION:
            raise LawBrokenError(
                f"{way(causal)} {called(dtype)} output is {apart:.2g} of its norm away from"
                f" {called(subject.dtype)}'s."
            )


def future_not_seen(subject: Subject) -> None:
    """However the future changes, by a little or to enormous keys, the past stays as it was; in the
    trial's half precision too, whose range has no room for enormous ones."""
    _require_past_kept(subject, subject.dtype, (None, 20 * LARGE_NORM))
    if subject.narrow not in (None, subject.dtype):
        _require_past_kept(subject, subject.narrow, (None,))


def _require_past_kept(
    subject: Subject, dtype: torch.dtype, norms: tuple[float | None, ...]
) -> None:
    run = subject.build(True, dtype=dtype)
    what = "output" if dtype == subject.dtype else f"{called(dtype)} output"
    for time, now in ((7, 5), (161, 135)):
        inputs = subject.inputs(time, dtype=dtype)
        before = run(inputs)[..., :now, :]
        for norm in norms:
            other = subject.inputs(time, seed=2, norm=norm, dtype=dtype)
            after = run(join(cut(inputs, 0, now), cut(other, now, time)))[..., :now, :]
            require_close(
                after, before, f"{what} at times before {now} moved when the future changed,"
            )


def batch_neighbours_not_seen(subject: Subject) -> None:
    """An example gives the same alone as in any batch."""
    for causal in subject.directions:
        run, time = subject.build(causal, trained=True), subject.some_time()
        others = SECRET.randint(2, MOST_NEIGHBOURS)
        place = SECRET.randint(0, others)
        alone = subject.inputs(time, batch=1)
        other = subject.inputs(time, seed=2, norm=LARGE_NORM, batch=others)
        pairs = zip(alone, other, strict=True)
        mixed = tuple(torch.cat([y[:place], x, y[place:]]) for x, y in pairs)
        require_close(
            run(mixed)[place],
            run(alone)[0],
            f"{way(causal)} output of one sequence of {time} tokens moved when {others} more came"
            " into its batch,",
        )


def same_seed_same_result(subject: Subject) -> None:
    """What is built twice from one seed is the same, whatever the global generator does."""
    causal = subject.directions[0]
    inputs = subject.inputs(33)
    first = subject.build(causal, seed=3)(inputs)
    with torch.random.fork_rng(devices=[]):
        # Whoever draws from the global generator gets other numbers now.
        torch.rand(5)
        second = subject.build(causal, seed=3)(inputs)
    if not torch.equal(first, second):
        raise LawBrokenError(
            f"two instances of one seed differ by {distance(second, first):.2g};"
            " draw from the given generator only."
        )


def fresh_output_for_fresh_input(subject: Subject) -> None:
    """A second call computes anew, though its inputs may lie where the first ones lay, and leaves
    the first call's result alone."""
    for causal in subject.directions:
        run, time = subject.build(causal), subject.some_time()
        first = run(subject.inputs(time))
        kept = first.detach().clone()
        inputs = subject.inputs(time, seed=2)
        second = run(inputs)
        kept_second = second.detach().clone()
        require_close(
            second,
            subject.build(causal)(inputs),
            f"{way(causal)} output of a second call differs from a fresh instance's",
        )
        require_close(first, kept, f"{way(causal)} output was overwritten by the next call,")
        expected = run(tuple(x.flip(0) for x in inputs))
        for x in inputs:
            x.copy_(x.flip(0))
        turned = run(inputs)
        what = f"{way(causal)} output of a batch"
        require_close(turned, expected, f"{what} that was written into the same tensors differs")
        require_close(
            expected.flip(0), kept_second, f"{what} in another order differs by more than its order"
        )


def gradients_finite(subject: Subject) -> None:
    """For ordinary and for large inputs, with padding and with a sequence that is all padding."""
    time = 33
    for causal in subject.directions:
        paddings = [None]
        if subject.method.can.key_padding:
            paddings.append(right_padding((0, 20), time, subject.device))
        run = subject.build(causal)
        for norm in (None, LARGE_NORM):
            for padding in paddings:
                inputs = subject.inputs(time, norm=norm)
                for name, gradient in _gradients(run, inputs, padding):
                    if not torch.isfinite(gradient).all():
                        size = "ordinary" if norm is None else f"norm {norm:g}"
                        raise LawBrokenError(
                            f"{way(causal)} gradient of {name} is not finite for {size} inputs."
                        )


def _gradients(run: Any, inputs: Inputs, padding: Tensor | None) -> Iterator[tuple[str, Tensor]]:
    """Names and gradients of one output's weighted sum; the output itself comes first."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    parameters = {n: p for n, p in run.module.named_parameters() if p.requires_grad}
    o = run(tuple(leaves), padding)
    yield "the output itself", o.detach()
    if not o.requires_grad:
        raise LawBrokenError("the output is cut off from its inputs: it has no gradient.")
    weight = torch.linspace(-1, 1, o.numel(), device=o.device, dtype=o.dtype).view_as(o)
    wanted = [*leaves, *parameters.values()]
    found = torch.autograd.grad((o * weight).sum(), wanted, allow_unused=True)
    for name, gradient in zip([*labels(inputs), *parameters], found, strict=True):
        if gradient is not None:
            yield name, gradient


def inputs_not_written_to(subject: Subject) -> None:
    """The tensors handed in stay as they are, forward and backward."""
    for causal in subject.directions:
        run = subject.build(causal)
        inputs = subject.inputs(33)
        kept = [x.clone() for x in inputs]
        run(inputs)
        _require_untouched(inputs, kept, way(causal))
        if subject.method.can.key_padding:
            padding = right_padding((33, 20), 33, subject.device)
            kept_padding = padding.clone()
            run(inputs, padding)
            _require_untouched((*inputs, padding), [*kept, kept_padding], way(causal))
    if subject.method.can.stepwise:
        run = subject.build(True)
        _, state = run.prefill(subject.inputs(7))
        kept = [x.clone() for x in tensors(state)]
        run.step(subject.inputs(1), state)
        _require_untouched(tuple(tensors(state)), kept, "stepwise")


def _require_untouched(inputs: Inputs, kept: list[Tensor], when: str) -> None:
    for i, (now, before) in enumerate(zip(inputs, kept, strict=True)):
        if not torch.equal(now, before):
            raise LawBrokenError(f"the {when} call wrote to its input number {i + 1}.")


def undeclared_raises(subject: Subject) -> None:
    """What is not declared is refused by UnsupportedError, and not computed somehow."""
    can, inputs = subject.method.can, subject.inputs(7)
    for causal in {False, True} - set(subject.directions):
        _refuses(lambda c=causal: subject.build(c)(inputs), f"{way(causal)} use")
    run = subject.build(subject.directions[0])
    if not can.key_padding:
        padding = right_padding((7, 3), 7, subject.device)
        _refuses(lambda: run(inputs, padding), "key_padding")
    if not can.stepwise:
        _refuses(lambda: run.prefill(inputs), "stepwise use")
    if not can.cross and isinstance(run.module, BuiltAttention) and can.bidirectional:
        _refuses(lambda: subject.build(False)(subject.inputs(7, key_time=9)), "cross attention")


def _refuses(call: Any, what: str) -> None:
    try:
        call()
    except UnsupportedError:
        return
    raise LawBrokenError(f"{what} is not declared, and yet it was computed.")
