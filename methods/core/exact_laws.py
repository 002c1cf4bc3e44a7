"""The laws that compare a method with exact mathematics: namesake, kernel, dense form."""

import copy
import math
from collections.abc import Callable
from functools import partial
from statistics import NormalDist

import torch
from torch import Tensor

from methods.api import Discloses, FeatureMap
from methods.core.attention import DirectAttention, KernelAttention, build_attention
from methods.core.dense import dense_reference
from methods.core.laws import LARGE_NORM, LawBrokenError, labels, require_close
from methods.core.subject import SPAN, Inputs, Runner, Subject, calibrate

NUM_DRAWS = 256
"""Instances that the z-test averages over: finds a bias of a few percent of the kernel."""

SIGNIFICANCE = 1e-4
"""Chance that a right method with normally distributed estimates fails the z-test by bad luck."""

FLOAT32_OF_LARGE_EXPONENTS = 1e-2
"""Exponents of some hundreds, in float32, are known to a few hundred-thousandths at best."""

EXACT = 1e-3
"""Of the largest entry: rounding of exponents of some tens and of their sums in float32."""

VANISHING = 1e-2
"""Of the largest gradient: one that cancels to nothing, as that of a lone token's query does, keeps
the rounding of what cancelled, and is measured against this."""


def equals_namesake(subject: Subject) -> None:
    """Forward and gradients, with and without padding, with the same options and numbers.

    Without padding at a length drawn anew as well. The namesake is given the same inputs, in
    float32 where it can. Attention at padded places is compared too, except causally: there a query
    stands where there is no key, and kernels that skip padding skip it. Nobody reads it, nor what a
    mixer puts there.
    """
    assert subject.namesake is not None
    named = subject.named()
    for causal in subject.directions:
        run = subject.build(causal)
        expected = named.build(causal, heads=subject.heads())
        share_numbers(run.module, expected.module)
        for time in (1, 33, subject.some_time(None if subject.longest else SPAN)):
            drawn = time not in (1, 33)
            inputs = subject.inputs(time, norm=4.0, batch=1 if drawn else 2)
            paddings = [None]
            if not drawn and subject.method.can.key_padding and subject.namesake.can.key_padding:
                paddings.append(_nothing_and_holes(time, subject.device))
            skips = causal or subject.method.mixer is not None
            for padding in paddings:
                unread = padding if skips else None
                _require_same(
                    partial(_call, run, padding, unread),
                    partial(_call, expected, padding, unread),
                    inputs,
                    f"differs from {subject.namesake.name}'s",
                    named.dtype,
                )


def _nothing_and_holes(time: int, device: str) -> Tensor:
    """A row that is all padding, and one of padding before the tokens, between them and after."""
    lengths = torch.tensor([[0], [time // 2 + 1]], device=device)
    place = torch.arange(time, device=device)
    return (place >= lengths) | (place % 4 == 0) & (time > 1)


def share_numbers(module: torch.nn.Module, namesake: torch.nn.Module) -> None:
    """Give the namesake the numbers that the module discloses, if it does."""
    if not isinstance(module, DirectAttention) or not isinstance(module.attention, Discloses):
        return
    assert isinstance(namesake, KernelAttention)
    numbers = module.attention.disclose()
    strangers = namesake.feature_map.load_state_dict(numbers, strict=False).unexpected_keys
    if strangers:
        raise LawBrokenError(f"the namesake has nothing named {', '.join(strangers)}.")


def equals_dense_form(subject: Subject) -> None:
    """The features, put through the core in float32, against the quadratic form in float64."""
    for causal in subject.directions:
        run = subject.build(causal)
        assert isinstance(run.module, KernelAttention)
        exact = copy.deepcopy(run.module.feature_map).double()
        for time, norm in ((7, None), (33, 3.0), (161, 3.0)):
            _require_same(
                partial(_call, run, None, None),
                partial(dense_reference, exact, causal=causal),
                subject.inputs(time, norm=norm),
                "differs from the dense form's in float64",
            )
        q, k, v = subject.inputs(33, norm=LARGE_NORM)
        # A row whose normaliser underflowed is counted and reported elsewhere; it has no value.
        kept = run.module.normaliser(q, k, causal=causal) > 0
        require_close(
            run((q, k, v))[kept],
            dense_reference(exact, q, k, v, causal=causal)[kept],
            f"the output for inputs of norm {LARGE_NORM:g} differs from the dense form's",
            FLOAT32_OF_LARGE_EXPONENTS,
        )


def _call(
    run: Runner, key_padding: Tensor | None, unread: Tensor | None, *inputs: Tensor
) -> Tensor:
    o = run(inputs, key_padding)
    if unread is None:
        return o
    return o.masked_fill((unread if o.ndim == 3 else unread[:, None])[..., None], 0.0)


def _require_same(
    actual: Callable[..., Tensor],
    expected: Callable[..., Tensor],
    inputs: Inputs,
    what: str,
    due_dtype: torch.dtype = torch.float32,
) -> None:
    one = [x.clone().requires_grad_() for x in inputs]
    two = [x.to(due_dtype, copy=True).requires_grad_() for x in inputs]
    o, due = actual(*one), expected(*two)
    require_close(o, due, f"the output {what}", EXACT)
    # Rounded as `o` is, so that both are asked for the same gradient.
    weight = torch.linspace(-1, 1, o.numel(), device=o.device, dtype=o.dtype).view_as(o)
    found = torch.autograd.grad(o, one, weight, allow_unused=True)
    right = torch.autograd.grad(due, two, weight.to(due.dtype), allow_unused=True)
    floor = VANISHING * max((float(y.abs().max()) for y in right if y is not None), default=0.0)
    for name, x, y in zip(labels(inputs), found, right, strict=True):
        if x is None and y is None:
            continue
        zeros = torch.zeros_like(inputs[0][..., :0, :])
        x, y = (zeros if z is None else z for z in (x, y))
        if x.shape != y.shape:
            raise LawBrokenError(f"the gradient of {name} {what}: one of them is missing.")
        require_close(x, y, f"the gradient of {name} {what}", EXACT, max(floor, 1e-3))


def features_unbiased(subject: Subject) -> None:
    """The mean over many instances of phi(q) . phi(k) is the kernel that the map names.

    A z-test for each of a few pairs, with Bonferroni's threshold. The pairs are small, so that the
    variance of positive features is too. Of another implementation its numbers are tested, in its
    namesake's features: a biased draw shows whatever else is wrong.
    """
    q, k = _pairs(subject.head_dim)
    maps = [_map(subject, seed) for seed in range(NUM_DRAWS)]
    samples = torch.stack([_estimate(m, q, k) for m in maps])
    # Each instance's own: one that learns its kernel starts from a drawn one.
    kernels = torch.stack([_exact_kernel(m, q, k) for m in maps])
    mean, kernel = samples.mean(0), kernels.mean(0)
    error = (samples - kernels).std(0) / math.sqrt(NUM_DRAWS)
    # Features without randomness have no standard error, but they have rounding.
    z = (mean - kernel) / (error + 1e-5 * kernel.abs())
    worst = int(z.abs().argmax())
    threshold = NormalDist().inv_cdf(1 - SIGNIFICANCE / (2 * len(z)))
    if not float(z.abs().max()) <= threshold:
        raise LawBrokenError(
            f"the features are biased: their mean product is {float(mean[worst]):.4g} +-"
            f" {float(error[worst]):.2g} where the kernel is {float(kernel[worst]):.4g}"
            f" (z = {float(z[worst]):.1f}, {threshold:.1f} is chance)."
        )


def _pairs(dim: int) -> tuple[Tensor, Tensor]:
    """Queries and keys `[1, 1, pair, d]`, |q + k|^2 / sqrt(d) at most 2."""
    generator = torch.Generator().manual_seed(7)
    diagonal, axis = torch.ones(dim) / math.sqrt(dim), torch.eye(dim)[0]
    spread = torch.randn(4, dim, generator=generator) * torch.logspace(-1, 0, dim)
    spread = spread / spread.norm(dim=-1, keepdim=True)
    zero = torch.zeros(dim)
    q = torch.stack([zero, zero, diagonal, axis, 0.5 * diagonal, spread[0], spread[1]])
    k = torch.stack([diagonal, axis, zero, -axis, 0.5 * diagonal, 0.4 * spread[2], -spread[3]])
    scale = math.sqrt(2) * dim**0.25
    return scale * q[None, None], scale * k[None, None]


def _map(subject: Subject, seed: int) -> FeatureMap:
    generator = torch.Generator().manual_seed(seed)
    heads = subject.heads(1, grouped=False)
    built = build_attention(subject.method, heads, generator, **subject.options)
    calibrate(built, torch.ones(subject.head_dim))
    if isinstance(built, DirectAttention):
        named = subject.named()
        namesake = build_attention(named.method, heads, generator, **named.options)
        share_numbers(built, namesake)
        built = namesake
    assert isinstance(built, KernelAttention)
    return built.feature_map


@torch.no_grad()
def _estimate(feature_map: FeatureMap, q: Tensor, k: Tensor) -> Tensor:
    queries, keys = feature_map.queries(q), feature_map.keys(k)
    product = (queries.values.double() * keys.values.double()).sum(-1)
    return (product * torch.exp(queries.log_scale.double() + keys.log_scale.double()))[0, 0]


@torch.no_grad()
def _exact_kernel(feature_map: FeatureMap, q: Tensor, k: Tensor) -> Tensor:
    log_kernel = feature_map.log_kernel(q, k)[0, 0]
    return log_kernel.diagonal().double().exp()
