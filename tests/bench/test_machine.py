"""What a record may say about the machine."""

import getpass
import os
import platform
import socket

import psutil
import pytest
import torch

from bench.executors.devices import visible_gpus
from bench.machine import describe_machine

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
    cores = "1 core" if machine.cores == 1 else f"{machine.cores} cores"
    assert machine.name == f"{machine.processor}, {cores}, {gib}"


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


@with_gpu
def test_a_gpu_is_described_with_its_memory_and_driver() -> None:
    machine = describe_machine("cuda:0")
    assert machine.gpu == visible_gpus()[0].kind
    assert machine.gpu_memory_bytes
    assert machine.driver
