"""A probe of two points, and one that fails between them when told to."""

from tasks.api import SourceUnavailableError
from tasks.probe import GENERATED, ProbePoint, ProbePreset, ProbeSource, ProbeTask


def check(settings):
    """Only small numbers make sense."""
    if settings["largest"] > 9:
        raise ValueError(f"largest must be 9 or less, got {settings['largest']}.")


def run(subject, request, report):
    """Looks at one output of attention."""
    import torch

    report("looking", 0, 1)
    instance = subject.draw(request.seed, num_heads=2, head_dim=request.settings["head_dim"])
    q, k, v = torch.randn(3, 1, 2, 5, request.settings["head_dim"])
    request.card["model"] = "none"
    value = instance.attend(q, k, v).abs().max().item()
    yield ProbePoint(quantity="output", where={"time": 5}, value=value, samples=1)
    if request.settings["fails"] == "crash":
        raise RuntimeError("boom")
    if request.settings["fails"] == "unavailable":
        raise SourceUnavailableError("No model here. Give one.")
    yield ProbePoint(quantity="nothing", where={}, value=None, reason="infinite: 2 >= 1")


TASK = ProbeTask(
    name="fake/probe",
    version=1,
    title="One output",
    presets=(
        ProbePreset(name="quick", note="", settings={"largest": 3, "head_dim": 8, "fails": "no"}),
    ),
    needs="attention",
    run=run,
    check=check,
    sources=(
        GENERATED,
        ProbeSource(name="hub", title="away", missing=lambda _: "There is no network."),
    ),
)
