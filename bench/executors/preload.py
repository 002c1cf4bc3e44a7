"""What the fork server holds before the first trial, so that no trial waits for an import."""

import atexit
import gc
import os
import shutil
from multiprocessing import forkserver
from pathlib import Path

import torch._dynamo
import torch.optim

import bench.trial
from bench.originals import originals
from bench.registry import load_registry

# Before any method, or what it imports, could replace them.
originals()
# Registered modules too: a trial then finds its method and task ready.
load_registry()
# What is held here is not searched by the collector of any trial.
gc.collect()
gc.freeze()


def _remove_socket(server: int) -> None:
    """A driver that was killed cannot do it; the fork server ends after it."""
    address = forkserver._forkserver._forkserver_address  # type: ignore[attr-defined]
    if os.getpid() == server and address:
        shutil.rmtree(Path(address).parent, ignore_errors=True)


atexit.register(_remove_socket, os.getpid())

__all__ = ["bench", "torch"]
