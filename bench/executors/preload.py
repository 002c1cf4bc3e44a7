"""What the fork server holds before the first trial, so that no trial waits for an import."""

import gc

import torch._dynamo
import torch.optim

import bench.trial
from bench.registry import load_registry

# Registered modules too: a trial then finds its method and task ready.
load_registry()
# What is held here is not searched by the collector of any trial.
gc.collect()
gc.freeze()

__all__ = ["bench", "torch"]
