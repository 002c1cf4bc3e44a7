"""What a record may say about the machine."""

import getpass
import os
import platform
import socket

import psutil
import pytest
import torch

from bench.machine import describe_machine, device_kind, resolve_device
from tests.processes import run_python

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is present")
with_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is present")


def test_the_machine_is_described_by_what_the_process_may_use() -> None:
    machine = describe_machine("cpu")
    assert machine.cores == len(os.sched_getaffinity(0))
    assert machine.threads == torch.get_num_threads()
    assert machine.memory_bytes == psutil.virtual_memory().total
    assert machine.python == platform.python_version()
    assert machine.versions["torch"] == torch.__version__


def test_the_name_groups_by_processor_cores_and_memory() -> None:
    machine = describe_machine("cpu")
    gib = f"{machine.memory_bytes / 2**30:.0f} GiB"
    assert machine.name == f"{machine.processor}, {machine.cores} cores, {gib}"


def test_two_descriptions_of_one_machine_have_the_same_name() -> None:
    assert describe_machine("cpu").name == describe_machine("cpu").name


def test_the_description_names_neither_host_nor_person() -> None:
    machine = describe_machine("cpu")
    words = f"{machine.name} {machine.system} {machine.processor}".split()
    assert socket.gethostname() not in words
    assert getpass.getuser() not in words


def test_only_installed_packages_have_a_version() -> None:
    assert all(describe_machine("cpu").versions.values())
    assert "no-such-package" not in describe_machine("cpu").versions


def test_the_processor_is_its_own_kind_of_device() -> None:
    assert device_kind("cpu") == "cpu"
    assert resolve_device("cpu") == "cpu"


@without_gpu
def test_auto_is_the_processor_where_there_is_no_gpu() -> None:
    assert resolve_device("auto") == "cpu"


@without_gpu
@pytest.mark.parametrize("text", ["cuda", "cuda:0", "cuda:7"])
def test_a_gpu_that_is_absent_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=rf"'{text}' was asked for, but torch sees no GPU"):
        resolve_device(text)


@with_gpu
def test_auto_is_the_first_gpu() -> None:
    assert resolve_device("auto") == resolve_device("cuda") == "cuda:0"


@with_gpu
def test_a_gpu_beyond_the_last_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="was asked for, but torch sees"):
        resolve_device("cuda:999")


@with_gpu
def test_a_gpu_is_described_with_its_memory_and_driver() -> None:
    machine = describe_machine("cuda:0")
    assert machine.gpu == device_kind("cuda:0")
    assert machine.gpu_memory_bytes
    assert machine.driver


@pytest.mark.parametrize("text", ["gpu", "cuda:", "cuda:x", "CPU", ""])
def test_a_word_that_is_no_device_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="none of auto, cpu, cuda and cuda:N"):
        resolve_device(text)


def test_naming_the_processor_needs_no_torch() -> None:
    run_python(
        """
        import sys
        from bench.machine import device_kind, resolve_device
        device_kind(resolve_device("cpu"))
        assert "torch" not in sys.modules
        """
    )
