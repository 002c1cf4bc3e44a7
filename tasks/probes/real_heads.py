"""What `probes/real-qk` measures of one pretrained model, layer by layer and head by head.

Every query head is a head of its own, with the key-value head that it shares and with random
numbers and calibration of its own. Blocks of text for calibration are none of those for testing.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tasks.api import Scalar, SourceUnavailableError
from tasks.probe import ProbeInstance, ProbePoint, ProbeRequest, ProbeSubject, Report
from tasks.probes.capture import Asked, Captured, captured
from tasks.probes.exact import (
    MOST_WEIGHTS,
    exact_outputs,
    relative_error,
    softmax_log_kernel,
    uniform_log_kernel,
)
from tasks.probes.features_needed import (
    HOW_ERROR,
    HOW_NEEDED,
    Errors,
    Needed,
    features_needed,
    typical,
)
from tasks.probes.real_qk import feature_counts, targets
from tasks.probes.real_spectra import spectral_points

SOFTMAX, OWN = "softmax", "own kernel"

Tally = dict[tuple[str, float], list[Needed]]
"""Features that every head needs, by what outputs are held against and by target."""


def measure_model(
    subject: ProbeSubject, request: ProbeRequest, report: Report, name: str
) -> Iterator[ProbePoint]:
    """Every point of one model; its card goes into the request's."""
    settings = request.settings
    asked = Asked(
        model=name,
        text=str(settings["text"]),
        num_calibration=int(settings["calibration_blocks"]),
        num_test=int(settings["test_blocks"]),
        length=int(settings["length"]),
    )
    report(f"{name}: capture", 0, 1)
    tally: Tally = {}
    with captured(asked, request.cache) as capture:
        request.card[f"{name}: model"] = capture.what
        request.card[f"{name}: text"] = (
            f"{asked.text}, {asked.num_calibration} blocks for calibration and {asked.num_test}"
            " others for testing; queries and keys after rotation by position, before scaling"
        )
        request.card[f"{name}: digest"] = capture.digest
        for number in range(capture.num_layers):
            report(f"{name}: layer {number}", number, capture.num_layers)
            calibration, test = capture.layer(number)
            where = {"model": name, "layer": number}
            yield from spectral_points(calibration, test, where)
            layer = Layer(subject, request, calibration, test)
            yield from layer.points(where, tally)
    for (against, target), needed in tally.items():
        yield _summary(needed, {"model": name, "against": against, "target": target})
        if (against, target) == (SOFTMAX, targets(settings)[0]):
            request.card["verdict"] = _verdict(name, needed, target)


@dataclass(frozen=True, slots=True)
class _Found:
    """Errors of every head: `[draw, head]` by number of features."""

    by_count: dict[int, Errors]

    def array(self) -> Errors:
        """`[draw, count, head]`."""
        return np.stack(list(self.by_count.values()), axis=1)


class Layer:
    """One layer's heads, measured together."""

    def __init__(
        self,
        subject: ProbeSubject,
        request: ProbeRequest,
        calibration: Captured,
        test: Captured,
    ) -> None:
        self._subject, self._request = subject, request
        dtype = getattr(torch, request.dtype)
        num_heads, length = test.q.shape[1:3]
        if num_heads * length**2 > MOST_WEIGHTS:
            fits = math.isqrt(MOST_WEIGHTS // num_heads)
            raise SourceUnavailableError(
                f"exact attention of {num_heads} heads over {length} tokens takes too much memory:"
                f" `--set length={fits}` fits."
            )
        self._calibration = [
            _heads(x, num_heads, request.device, dtype) for x in (calibration.q, calibration.k)
        ]
        self._test = [_heads(x, num_heads, request.device, dtype) for x in test]
        # The model's own attention is causal; a method that is not is measured without a mask.
        self._causal = True in subject.directions
        self._targets = targets(request.settings)
        self._draws = int(request.settings["draws"])
        varies = "num_features" in subject.options
        self._counts: Sequence[int] = feature_counts(request.settings) if varies else ()

    def points(self, where: dict[str, Scalar], tally: Tally) -> Iterator[ProbePoint]:
        """Errors by number of features, and the number needed; `tally` takes the latter."""
        q, k, v = self._test
        where = where | {"length": q.shape[2], "causal": self._causal}
        softmax = exact_outputs(softmax_log_kernel, q, k, v, causal=self._causal)
        uniform = exact_outputs(uniform_log_kernel, q, k, v, causal=self._causal)
        yield ProbePoint(
            quantity="uniform-error",
            where=where | {"against": SOFTMAX},
            value=relative_error(uniform, softmax).median().item(),
            samples=q.shape[1],
            how="median over heads of the error of equal weights",
        )
        found = self._search(softmax)
        gap = found.pop("gap", None)
        if gap is not None:
            yield _median_point("kernel-gap", where | {"against": SOFTMAX}, gap.array())
        for against, errors in found.items():
            for m, of_heads in errors.by_count.items():
                count = {"num_features": m} if self._counts else {}
                yield _median_point(
                    "output-error", where | count | {"against": against}, of_heads[:, None]
                )
            for target in self._targets if self._counts else ():
                yield from self._needed(errors, where | {"against": against}, target, tally)

    def _search(self, softmax: Tensor) -> dict[str, _Found]:
        """Doubles the number of features until every head is within all targets twice running."""
        found: dict[str, _Found] = {}
        within = 0
        for m in self._counts or (0,):
            errors: dict[str, list[np.ndarray]] = {}
            for draw in range(self._draws):
                for against, error in self._errors(m or None, draw, softmax).items():
                    errors.setdefault(against, []).append(error)
            for against, rows in errors.items():
                found.setdefault(against, _Found({})).by_count[m] = np.stack(rows)
            worst = max(np.max(rows) for against, rows in errors.items() if against != "gap")
            within = within + 1 if worst <= self._targets[0] else 0
            if within == 2:
                break
        return found

    def _errors(self, m: int | None, draw: int, softmax: Tensor) -> dict[str, np.ndarray]:
        """Per head, against softmax and against the method's own kernel."""
        q, k, v = self._test
        instance = self._subject.draw(
            self._request.seed * 1000 + draw,
            num_heads=q.shape[1],
            head_dim=q.shape[3],
            num_features=m,
            max_time=q.shape[2],
        )
        instance.calibrate(*self._calibration)
        outputs = instance.attend(q, k, v, causal=self._causal)
        found = {SOFTMAX: _numpy(relative_error(outputs, softmax))}
        if self._subject.is_feature_map:
            own = self._own(instance)
            found[OWN] = _numpy(relative_error(outputs, own))
            if m == (self._counts[0] if self._counts else None):
                found["gap"] = _numpy(relative_error(own, softmax))
        return found

    def _own(self, instance: ProbeInstance) -> Float[Tensor, "b h t v"]:
        return exact_outputs(instance.log_kernel, *self._test, causal=self._causal)

    def _needed(
        self, found: _Found, where: dict[str, Scalar], target: float, tally: Tally
    ) -> Iterator[ProbePoint]:
        counts, errors = list(found.by_count), found.array()
        heads = [
            features_needed(counts, errors[:, :, head], target) for head in range(errors.shape[2])
        ]
        where = where | {"target": target}
        for head, needed in enumerate(heads):
            yield ProbePoint(
                quantity="features-needed",
                where=where | {"head": head},
                value=needed.value,
                low=needed.low,
                high=needed.high,
                unit="features",
                samples=self._draws,
                how=HOW_NEEDED,
                reason=needed.reason,
            )
        yield _summary(heads, where)
        tally.setdefault((str(where["against"]), target), []).extend(heads)


def _heads(x: np.ndarray, num_heads: int, device: str, dtype: torch.dtype) -> Tensor:
    """Key-value heads repeated for each query head that shares them."""
    repeated = torch.from_numpy(x).to(device, dtype)
    return repeated.repeat_interleave(num_heads // x.shape[1], dim=1)


def _numpy(errors: Tensor) -> np.ndarray:
    return errors.cpu().numpy()


def _median_point(quantity: str, where: dict[str, Scalar], errors: Errors) -> ProbePoint:
    """Of `[draw, 1, head]`: the median head of each draw, then the typical draw."""
    found = typical(np.median(errors, axis=(1, 2)))
    return ProbePoint(
        quantity=quantity,
        where=where,
        value=found.value,
        low=found.low,
        high=found.high,
        samples=len(errors),
        how=f"median head; {HOW_ERROR}",
        reason=found.reason,
    )


def _summary(heads: list[Needed], where: dict[str, Scalar]) -> ProbePoint:
    """The median head, which has a value if more than half of the heads have one."""
    values = sorted(math.inf if needed.value is None else needed.value for needed in heads)
    middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
    short = sum(needed.value is None for needed in heads)
    return ProbePoint(
        quantity="features-needed-median",
        where=where,
        value=middle if math.isfinite(middle) else None,
        unit="features",
        samples=len(heads),
        how="median over heads",
        reason="" if math.isfinite(middle) else f"not reached by {short} of {len(heads)} heads",
    )


def _verdict(name: str, heads: list[Needed], target: float) -> str:
    reached = sum(needed.value is not None for needed in heads)
    return f"{reached} of {len(heads)} heads of {name} come within {target:.0%} of softmax"
