"""Laws of naming devices, with GPUs that are not there."""

import pytest
import torch

from bench.executors.devices import Device, find_devices, visible_gpus
from tests.processes import run_python


def gpu(index: int, kind: str = "Fake GPU") -> Device:
    return Device(name=f"cuda:{index}", kind=kind, memory_bytes=2**30, visible_as=str(index))


GPUS = (gpu(0), gpu(1), gpu(2, "Other GPU"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cpu", (Device(),)),
        ("auto", GPUS[:1]),
        ("cuda", GPUS[:1]),
        ("cuda:2", GPUS[2:]),
        ("all", GPUS),
    ],
)
def test_a_name_finds_its_devices(text: str, found: tuple[Device, ...]) -> None:
    assert find_devices(text, lambda: GPUS) == found


@pytest.mark.parametrize("text", ["cpu", "auto", "all"])
def test_without_a_gpu_it_is_the_processor(text: str) -> None:
    assert find_devices(text, lambda: ()) == (Device(),)


@pytest.mark.parametrize("text", ["cuda", "cuda:0", "cuda:7"])
def test_a_gpu_that_is_absent_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=rf"'{text}' was asked for, but torch sees no GPU"):
        find_devices(text, lambda: ())


def test_a_gpu_beyond_the_last_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="torch sees 3 GPUs: cuda:0 to cuda:2"):
        find_devices("cuda:3", lambda: GPUS)


@pytest.mark.parametrize("text", ["gpu", "cuda:", "cuda:x", "CPU", ""])
def test_a_word_that_is_no_device_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="none of auto, all, cpu, cuda and cuda:N"):
        find_devices(text, lambda: GPUS)


def test_naming_the_processor_needs_no_torch() -> None:
    run_python(
        """
        import sys
        from bench.executors.devices import find_devices
        find_devices("cpu")
        assert "torch" not in sys.modules
        """
    )


class FakeProperties:
    name, total_memory, major, minor = "Fake GPU", 2**34, 9, 0


@pytest.mark.parametrize(
    ("before", "names"), [(None, ["0", "1"]), ("", ["0", "1"]), ("5, GPU-abc", ["5", "GPU-abc"])]
)
def test_a_gpu_is_called_what_the_surrounding_process_calls_it(monkeypatch, before, names) -> None:
    """Slurm and its like hide GPUs: an index here need not be the machine's."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: FakeProperties)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    found = visible_gpus()
    assert [device.environment for device in found] == [{"CUDA_VISIBLE_DEVICES": n} for n in names]
    assert [device.name for device in found] == ["cuda:0", "cuda:1"]
    assert found[0].compute_capability == (9, 0)


def test_the_processor_hides_nothing() -> None:
    assert Device().environment == {}
