"""The law of padding: what stands in padded places, and that they are there."""

import torch
from torch import Tensor

from methods.core.laws import LARGE_NORM, require_close, right_padding, way
from methods.core.subject import Inputs, Runner, Subject, cut, join

TIME, LENGTH = 33, 20


def padding_as_good_as_absent(subject: Subject) -> None:
    """What stands in padded places does not matter, wherever they are; nor that there are any after
    the last token, nor, where a method decodes, before the first.

    Whether a padded place between tokens counts as one is the method's own affair: a window may be
    one of places, a weight may belong to a place. What goes on from a state knows no places, only
    how many tokens came, and prompts of several lengths are padded before their first token.
    """
    for causal in subject.directions:
        run = subject.build(causal, trained=True)
        inputs, garbage = subject.inputs(TIME), subject.inputs(TIME, seed=2, norm=LARGE_NORM)
        _absent_after_the_last(run, inputs, garbage, subject.device)
        _contents_not_seen(run, inputs, garbage, _holes(subject.device))
        if causal and subject.method.can.stepwise:
            _absent_before_the_first(run, inputs, garbage, subject.device)
    if subject.method.can.cross:
        _absent_across(subject)


def _absent_after_the_last(run: Runner, inputs: Inputs, garbage: Inputs, device: str) -> None:
    filled = join(cut(inputs, 0, LENGTH), cut(garbage, LENGTH, TIME))
    padded = run(filled, right_padding((LENGTH, LENGTH), TIME, device))
    require_close(
        padded[..., :LENGTH, :],
        run(cut(inputs, 0, LENGTH)),
        f"{way(run.causal)} output differs from that without the padded places",
    )
    uneven = right_padding((TIME, 7), TIME, device)
    require_close(
        run(inputs, uneven)[1, ..., :7, :],
        run(cut(inputs, 0, 7))[1],
        f"{way(run.causal)} output of the shorter of two differs from that without padded places",
    )


def _holes(device: str) -> Tensor:
    """Before the tokens, between them and after them, other places in each of two rows."""
    place = torch.arange(TIME, device=device)
    return torch.stack([(place % 5 < 2) | (place > LENGTH), (place < LENGTH) & (place % 7 != 3)])


def _contents_not_seen(run: Runner, inputs: Inputs, garbage: Inputs, padding: Tensor) -> None:
    """Keys before a query hide nothing by being past: a causal mask is no substitute for this."""
    filled = tuple(_where(padding, y, x) for x, y in zip(inputs, garbage, strict=True))
    outputs = [run(x, padding) for x in (filled, inputs)]
    read = [_where(padding, torch.zeros_like(o), o) for o in outputs]
    require_close(
        *read, f"{way(run.causal)} output moved when the contents of padded places changed,"
    )


def _where(padding: Tensor, there: Tensor, elsewhere: Tensor) -> Tensor:
    mask = padding if there.ndim == 3 else padding[:, None]
    return torch.where(mask[..., None], there, elsewhere)


def _absent_before_the_first(run: Runner, inputs: Inputs, garbage: Inputs, device: str) -> None:
    start = TIME - LENGTH
    filled = join(cut(garbage, 0, start), cut(inputs, start, TIME))
    padding = ~right_padding((start, start), TIME, device)
    require_close(
        run(filled, padding)[..., start:, :],
        run(cut(inputs, start, TIME)),
        "causal output differs from that without the padded places before the first token",
    )


def _absent_across(subject: Subject) -> None:
    run = subject.build(False, trained=True)
    q, k, v = subject.inputs(7, key_time=TIME)
    require_close(
        run((q, k, v), right_padding((LENGTH, LENGTH), TIME, subject.device)),
        run((q, *cut((k, v), 0, LENGTH))),
        "cross-attention output differs from that without the padded places",
    )
