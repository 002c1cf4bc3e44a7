"""What the fork server holds before the first trial, so that no trial waits for an import."""

import atexit
import gc
import os
import shutil
import time
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import torch._dynamo
import torch.optim

import bench.trial
from bench.originals import originals
from bench.registry import load_registry

# Before a foreign method, or what it imports, could replace them. Reads our own modules.
originals()
# What other packages announce, too: a trial then finds its method and task ready.
load_registry()
# What is held here is not searched by the collector of any trial.
gc.collect()
gc.freeze()


def _remove_socket(driver: int, server: int) -> None:
    """What a driver that was killed cannot do. One that lives does it itself, at its end."""
    known: Any = forkserver._forkserver
    if os.getpid() != server or known._forkserver_pid is not None or not known._forkserver_address:
        return
    for _ in range(100):
        # Its pipe closes a moment before it is gone.
        if os.getppid() != driver:
            shutil.rmtree(Path(known._forkserver_address).parent, ignore_errors=True)
            return
        time.sleep(0.01)


atexit.register(_remove_socket, os.getppid(), os.getpid())

__all__ = ["bench", "torch"]
