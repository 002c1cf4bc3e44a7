"""The selective scan against the recurrence written out."""

import pytest
import torch
from torch.nn.functional import softplus
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from methods.core import selective_scan as scan_module
from methods.core.selective_scan import selective_scan
from tests.methods.recurrences import selective


def scan_inputs(batch, time, channels=5, size=3, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=dtype)

    return {
        "x": draw(batch, time, channels),
        "dt": softplus(draw(batch, time, channels)),
        "A": -draw(channels, size).exp(),
        "B": draw(batch, time, size),
        "C": draw(batch, time, size),
        "D": draw(channels),
        "state": draw(batch, channels, size),
    }


def outputs_and_gradients(scan, inputs):
    leaves = {name: part.clone().requires_grad_() for name, part in inputs.items()}
    y, h = scan(**leaves)
    of_y, of_h = (torch.linspace(-1, 1, o.numel(), dtype=o.dtype).view_as(o) for o in (y, h))
    total = (y * of_y).sum() + (h * of_h.flip(0)).sum()
    return {"y": y, "h": h} | dict(
        zip(inputs, torch.autograd.grad(total, list(leaves.values())), strict=True)
    )


@pytest.mark.parametrize(("batch", "time"), [(1, 1), (3, 7), (1, 32), (2, 33), (3, 101)])
def test_the_scan_and_its_gradients_are_those_of_the_recurrence_written_out(batch, time):
    inputs = scan_inputs(batch, time)
    torch.testing.assert_close(
        outputs_and_gradients(selective_scan, inputs), outputs_and_gradients(selective, inputs)
    )


def test_a_scan_without_a_state_starts_from_zero():
    inputs = scan_inputs(2, 9)
    del inputs["state"]
    torch.testing.assert_close(
        outputs_and_gradients(selective_scan, inputs), outputs_and_gradients(selective, inputs)
    )


@pytest.mark.parametrize(("batch", "rows"), [(6, 3), (5, 1), (4, 2)])
def test_rows_scanned_in_groups_give_what_all_at_once_gives(monkeypatch, batch, rows):
    inputs = scan_inputs(batch, 40)
    expected = outputs_and_gradients(selective_scan, inputs)
    monkeypatch.setattr(scan_module, "BLOCK", rows * inputs["A"].numel())
    torch.testing.assert_close(outputs_and_gradients(selective_scan, inputs), expected)


def test_the_backward_pass_passes_gradcheck_across_chunks(monkeypatch):
    monkeypatch.setattr(scan_module, "CHUNK", 2)
    inputs = scan_inputs(2, 5, channels=2, size=2)
    leaves = [part.requires_grad_() for part in inputs.values()]
    assert torch.autograd.gradcheck(lambda *parts: tuple(selective_scan(*parts)), leaves)


def test_without_gradients_the_scan_gives_the_same():
    inputs = scan_inputs(2, 45)
    with_gradients = outputs_and_gradients(selective_scan, inputs)
    y, h = selective_scan(**inputs)
    torch.testing.assert_close({"y": y, "h": h}, {n: with_gradients[n] for n in "yh"})


def test_a_scan_in_float32_is_close_to_one_in_float64():
    inputs = scan_inputs(2, 300, channels=16, size=16)
    exact = outputs_and_gradients(selective, inputs)
    single = {name: part.float() for name, part in inputs.items()}
    for name, found in outputs_and_gradients(selective_scan, single).items():
        assert found.dtype == torch.float32
        assert (found - exact[name]).abs().max() < 1e-5 * exact[name].abs().max(), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_scan_of_halves_accumulates_in_float32(dtype):
    inputs = {name: part.to(dtype) for name, part in scan_inputs(2, 300).items()}
    y, h = selective_scan(**inputs)
    exact, state = selective(**{name: part.double() for name, part in inputs.items()})
    assert (y.dtype, h.dtype) == (dtype, torch.float32)
    torch.testing.assert_close(h, state.float())
    torch.testing.assert_close(y, exact.to(dtype))


def test_a_decay_that_underflows_forgets_and_stays_finite():
    inputs = scan_inputs(1, 40, dtype=torch.float32)
    inputs["dt"] = 1e4 * inputs["dt"]
    found = outputs_and_gradients(selective_scan, inputs)
    assert all(part.isfinite().all() for part in found.values())
    torch.testing.assert_close(found["h"], selective(**inputs)[1])


class Sizes(TorchDispatchMode):
    """The number of operations and the largest tensor that one of them gives."""

    def __init__(self):
        super().__init__()
        self.calls, self.largest = 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = [part for part in tree_leaves(result) if isinstance(part, torch.Tensor)]
        self.calls += 1
        self.largest = max(self.largest, *(part.numel() for part in tensors), 0)
        return result


def test_no_tensor_holds_all_states_and_the_backward_pass_is_linear_in_time():
    calls = []
    for time in (512, 1024):
        with Sizes() as seen:
            outputs_and_gradients(selective_scan, scan_inputs(1, time, channels=16, size=16))
        assert seen.largest <= time * 16 * 16 / 8
        calls.append(seen.calls)
    assert calls[1] < 2.05 * calls[0]
