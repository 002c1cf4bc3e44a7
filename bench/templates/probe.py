"""A probe to start from: how far the weights of an attention are from adding up to one."""

# A probe sees callables alone: of a method built here it knows neither the name nor the module.

from collections.abc import Iterator, Mapping

from tasks.api import Scalar
from tasks.probe import (
    ProbePoint,
    ProbePreset,
    ProbeRequest,
    ProbeSubject,
    ProbeTask,
    Report,
    whole_numbers,
)


def check(settings: Mapping[str, Scalar]) -> None:
    """Planning calls it: free of torch, and quick."""
    whole_numbers(settings, "lengths")
    for name in ("num_heads", "head_dim", "draws"):
        whole_numbers(settings, name)


def run(subject: ProbeSubject, request: ProbeRequest, report: Report) -> Iterator[ProbePoint]:
    """Values of one everywhere come out as one, if a query's weights add up to one."""
    # torch is imported here and not above, so that planning stays free of it.
    import torch

    settings = request.settings
    heads, dim, draws = (int(settings[name]) for name in ("num_heads", "head_dim", "draws"))
    generator = torch.Generator().manual_seed(request.seed)
    lengths = whole_numbers(settings, "lengths")
    for done, length in enumerate(lengths):
        report(f"length {length}", done, len(lengths))
        worst = []
        for draw in range(draws):
            instance = subject.draw(
                request.seed + draw, num_heads=heads, head_dim=dim, max_time=length
            )
            shape = (1, heads, length, dim)
            q, k = (torch.randn(shape, generator=generator).to(request.device) for _ in range(2))
            out = instance.attend(q, k, torch.ones_like(q), causal=subject.directions[0])
            worst.append((out.double() - 1).abs().max().item())
        # Points are yielded as they are found: what crashes later leaves them on record.
        yield ProbePoint(
            quantity="weight-sum-error",
            where={"time": length},
            value=sum(worst) / draws,
            predicted=0.0,
            samples=draws,
            how="largest difference from one over a sequence, averaged over draws",
        )


TASK = ProbeTask(
    name="starting-point",
    # Raise it when what is measured, or how, changes: old records keep their truth.
    version=1,
    title="Whether the weights of an attention add up to one",
    presets=(
        ProbePreset(
            name="quick",
            note="A second a method.",
            settings={"lengths": "16,64", "num_heads": 2, "head_dim": 16, "draws": 3},
            max_time=64,
        ),
    ),
    # Or features: a map's `features` and `log_kernel`.
    needs="attention",
    run=run,
    check=check,
    paper="",
)
