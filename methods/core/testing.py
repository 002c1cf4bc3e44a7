"""The contract: every law of attention, run on one method."""

import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from methods.api import Discloses, Method, UnsupportedError
from methods.core import (
    decoding_laws,
    exact_laws,
    gradient_laws,
    honesty_laws,
    keeping_laws,
    laws,
    padding_laws,
)
from methods.core.capabilities import require_device, under_options
from methods.core.laws import LawBrokenError
from methods.core.subject import Subject

# What a method under test may raise by mistake. It breaks the law that it was tested for, and the
# other laws still run.
MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    RuntimeError,
    TypeError,
    UnsupportedError,
    ValueError,
)


NARROW = ("bfloat16", "float16")
"""Half precisions, which a trial may compute in."""


class ContractError(AssertionError):
    """A method breaks the contract; the message says which laws and how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LawResult:
    """What one law said of one method."""

    law: str
    passed: bool
    """True also where the law does not apply."""
    skipped: str = ""
    """Why the law does not apply, or empty."""
    detail: str = ""
    """What was seen, in a sentence; empty if the law holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """A sentence that must hold, and where it applies."""

    name: str
    check: Callable[[Subject], None]
    skip: Callable[[Subject], str] | None = None
    """Why it does not apply, or empty; None: it applies to all."""


def check_method(
    method: Method,
    *,
    options: Mapping[str, Any] | None = None,
    device: str = "cpu",
    laws: Collection[str] | None = None,
    namesake: Method | None = None,
    head_dim: int = 16,
    longest: int | None = None,
    dtype: str | None = None,
) -> list[LawResult]:
    """What each law says of the method with these options; all laws, or those named.

    `namesake` is the method that `same_as` names, `longest` the longest sequence that will come,
    `dtype` that of the trial.
    Options that the method refuses (`ValueError`),
    packages that it misses, and a device, head dimension or length that it does not have
    (`UnsupportedError`) raise as they do when it is built and called; some options ask for a larger
    `head_dim`. Of a method that cannot be built nothing else is checked. The laws compute in
    float32, or in what comes nearest to it of the dtypes that the method declares; some also in the
    trial's half precision.
    """
    require_device(under_options(method, options or {}), torch.device(device))
    subject = Subject(
        method=method,
        options=dict(options or {}),
        device=device,
        namesake=namesake,
        head_dim=head_dim,
        longest=longest,
        narrow=getattr(torch, dtype) if dtype in NARROW else None,
    )
    if unknown := set(laws or ()) - {law.name for law in LAWS}:
        known = ", ".join(law.name for law in LAWS)
        raise ValueError(f"no law is named {', '.join(sorted(unknown))}. The laws: {known}.")
    if problem := _building_problem(subject):
        return [LawResult(law="can-be-built", passed=False, detail=problem)]
    _require_accepted(subject)
    return [_outcome(law, subject) for law in LAWS if laws is None or law.name in laws]


def assert_method(method: Method, **kwargs: Any) -> None:
    """`check_method` for a test suite: raises `ContractError` with every broken law."""
    broken = [result for result in check_method(method, **kwargs) if not result.passed]
    if broken:
        lines = "\n".join(f"  {result.law}: {result.detail}" for result in broken)
        raise ContractError(f"{method.name} breaks the contract.\n{lines}")


def _building_problem(subject: Subject) -> str:
    if not subject.directions:
        return "it declares neither causal nor bidirectional use."
    try:
        subject.build(subject.directions[0])
    except MISTAKES as error:
        if isinstance(error, ValueError | UnsupportedError):
            raise
        return f"it raised {type(error).__name__}: {error}"
    return ""


def _require_accepted(subject: Subject) -> None:
    """Raises what refuses the lengths that will come, if the method does: the laws use them."""
    if subject.longest is None:
        return
    run, inputs = subject.build(subject.directions[0]), subject.inputs(subject.longest_cheap)
    # What else goes wrong breaks the laws.
    with torch.no_grad(), contextlib.suppress(*set(MISTAKES) - {UnsupportedError, ValueError}):
        run(inputs)


def _outcome(law: Law, subject: Subject) -> LawResult:
    if law.skip is not None and (reason := law.skip(subject)):
        return LawResult(law=law.name, passed=True, skipped=reason)
    try:
        law.check(subject)
    except LawBrokenError as error:
        return LawResult(law=law.name, passed=False, detail=str(error))
    except MISTAKES as error:
        return LawResult(
            law=law.name, passed=False, detail=f"it raised {type(error).__name__}: {error}"
        )
    return LawResult(law=law.name, passed=True)


def _unless_declared(capability: str) -> Callable[[Subject], str]:
    def skip(subject: Subject) -> str:
        declared = getattr(subject.method.can, capability)
        return "" if declared else f"{capability} is not declared"

    return skip


def _unless_narrow(subject: Subject) -> str:
    dtype = subject.narrow or torch.bfloat16
    if laws.called(dtype) not in subject.method.can.dtypes:
        return f"{laws.called(dtype)} is not declared"
    return "nothing wider is declared" if subject.dtype == dtype else ""


def _unless_wide(subject: Subject) -> str:
    wide = {"float32", "float64"} & set(subject.method.can.dtypes)
    return "" if wide else "no dtype wide enough for differences is declared"


def _unless_named_after(subject: Subject) -> str:
    if subject.method.same_as is None:
        return "it claims to be the same as no other method"
    if subject.namesake is None:
        return f"{subject.method.same_as} was not given to compare with"
    return ""


def _unless_feature_map(subject: Subject) -> str:
    return "" if subject.method.feature_map is not None else "it is not a feature map"


def _unless_drawn(subject: Subject) -> str:
    if subject.method.feature_map is not None:
        return ""
    attention, namesake = subject.method.attention, subject.namesake
    if not isinstance(attention, type) or not issubclass(attention, Discloses):
        return "it is not a feature map, and discloses no numbers of one"
    if namesake is None or namesake.feature_map is None:
        return "the feature map whose numbers it discloses was not given"
    return ""


LAWS = (
    Law(name="shape-and-dtype-kept", check=laws.shape_and_dtype_kept),
    Law(name="low-precision-is-close", check=laws.low_precision_is_close, skip=_unless_narrow),
    Law(name="inputs-not-written-to", check=laws.inputs_not_written_to),
    Law(name="fresh-output-for-fresh-input", check=laws.fresh_output_for_fresh_input),
    Law(name="output-is-plain-and-final", check=honesty_laws.output_is_plain_and_final),
    Law(name="nothing-kept-between-calls", check=keeping_laws.nothing_kept_between_calls),
    Law(name="modes-agree", check=honesty_laws.modes_agree),
    Law(name="global-random-state-not-used", check=honesty_laws.global_random_state_not_used),
    Law(name="same-seed-same-result", check=laws.same_seed_same_result),
    Law(name="batch-neighbours-not-seen", check=laws.batch_neighbours_not_seen),
    Law(name="future-not-seen", check=laws.future_not_seen, skip=_unless_declared("causal")),
    Law(
        name="future-not-seen-at-length",
        check=honesty_laws.future_not_seen_at_length,
        skip=_unless_declared("causal"),
    ),
    Law(
        name="padding-as-good-as-absent",
        check=padding_laws.padding_as_good_as_absent,
        skip=_unless_declared("key_padding"),
    ),
    Law(
        name="stepping-equals-whole",
        check=decoding_laws.stepping_equals_whole,
        skip=_unless_declared("stepwise"),
    ),
    Law(
        name="segments-equal-whole",
        check=decoding_laws.segments_equal_whole,
        skip=_unless_declared("stepwise"),
    ),
    Law(
        name="state-size-constant",
        check=decoding_laws.state_size_constant,
        skip=_unless_declared("stepwise"),
    ),
    Law(
        name="state-is-all-that-is-kept",
        check=keeping_laws.state_is_all_that_is_kept,
        skip=_unless_declared("stepwise"),
    ),
    Law(name="gradients-finite", check=laws.gradients_finite),
    Law(
        name="gradients-are-derivatives",
        check=gradient_laws.gradients_are_derivatives,
        skip=_unless_wide,
    ),
    Law(name="equals-namesake", check=exact_laws.equals_namesake, skip=_unless_named_after),
    Law(name="equals-dense-form", check=exact_laws.equals_dense_form, skip=_unless_feature_map),
    Law(name="features-unbiased", check=exact_laws.features_unbiased, skip=_unless_drawn),
    Law(name="undeclared-raises", check=laws.undeclared_raises),
)

GATE_LAWS = (
    "inputs-not-written-to",
    "batch-neighbours-not-seen",
    "future-not-seen",
    "future-not-seen-at-length",
    "padding-as-good-as-absent",
    "output-is-plain-and-final",
    "fresh-output-for-fresh-input",
    "nothing-kept-between-calls",
    "state-is-all-that-is-kept",
    "stepping-equals-whole",
    "modes-agree",
    "global-random-state-not-used",
    "gradients-finite",
    "gradients-are-derivatives",
    "shape-and-dtype-kept",
)
"""What is checked inside each trial, on the machine at hand, before anything is measured."""
