"""What the processes of one trial share, each with a device of its own, and what they exchange.

Parameters, gradients and the optimiser's state are cut into as many parts as there are processes
(torch's `fully_shard`, FSDP2). Every process takes its part of each batch; losses and gradients are
summed over all, so that a step is the one that a single process would make. accelerate is not asked
for this: on processors its version 1.15 leaves FSDP out without a word and copies the model.
"""

import datetime
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from bench.decoder import NextTokenModel
from methods.api import UnsupportedError

PATIENCE = datetime.timedelta(minutes=15)
"""How long a process waits for the others before it takes them to hang."""
LOOPBACK = "127.0.0.1"
APART = 1_000_003
"""From one process's seed to the next: their parts of a batch are dropped out differently."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """One process among those of its trial; by default the only one."""

    rank: int = 0
    size: int = 1
    port: int = 0
    """Where, on this machine, they meet."""

    def join(self, device: torch.device) -> None:
        """Wait for the others; before anything is exchanged."""
        if self.size == 1 or dist.is_initialized():
            return
        if device.type == "cuda":
            torch.cuda.set_device(device)
        if sys.platform.startswith("linux"):
            # Nothing listens where another machine could connect.
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            store=TCPStore(LOOPBACK, self.port, is_master=False, timeout=PATIENCE),
            rank=self.rank,
            world_size=self.size,
            timeout=PATIENCE,
        )

    def shard(self, model: NextTokenModel, device: torch.device, seed: int) -> None:
        """Cut the model, which is the same in every process, and then draw dropout apart."""
        if self.size == 1:
            return
        if scalars := [name for name, p in model.named_parameters() if p.ndim == 0]:
            raise UnsupportedError(
                f"{scalars[0]} is a single number, which cannot be cut over {self.size} devices."
                " Leave --devices-per-trial out."
            )
        for tensor in (*model.parameters(), *model.buffers()):
            _spread(tensor.detach())
        mesh = init_device_mesh(device.type, (self.size,))
        for part in (*model.layers(), model):
            fully_shard(part, mesh=mesh)
            assert isinstance(part, FSDPModule)
            # Sums, where the default is a mean: each loss is divided by all predictions.
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)
        if self.rank:
            torch.manual_seed(seed + APART * self.rank)

    def part(self, blocks: np.ndarray) -> np.ndarray:
        """This process's equal share. Where none is equal, the last ones take blocks again."""
        each = -(-len(blocks) // self.size)
        rows = np.arange(self.rank * each, (self.rank + 1) * each) % len(blocks)
        return blocks[rows] if self.size > 1 else blocks

    def all_of(self, part: Tensor) -> Tensor:
        """The parts of all processes, one after another, in each."""
        if self.size == 1:
            return part
        parts = [torch.empty_like(part) for _ in range(self.size)]
        dist.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    def total(self, x: Tensor) -> Tensor:
        """The sum over all processes, in each."""
        if self.size > 1:
            dist.all_reduce(x)
        return x

    def highest(self, number: int | None) -> int | None:
        """The largest of all processes' numbers, none negative; None where one has none."""
        known = self.all_of(torch.tensor([-1 if number is None else number]))
        return None if known.min() < 0 else int(known.max())

    def agrees(self, flag: bool) -> bool:
        """What the first process says: clocks differ."""
        if self.size == 1:
            return flag
        said = torch.tensor([flag], dtype=torch.uint8)
        dist.broadcast(said, 0)
        return bool(said)


ALONE = Ranks()


def _spread(tensor: Tensor) -> None:
    """The first process's numbers in all: they are alike but for what a device adds up in no fixed
    order. As bytes, since gloo does not send every type."""
    raw = tensor.contiguous().flatten().view(torch.uint8)
    dist.broadcast(raw, 0)
    tensor.copy_(raw.view(tensor.dtype).view(tensor.shape))


def is_sharded(model: nn.Module) -> bool:
    """Whether each process holds only a part of it."""
    return isinstance(model, FSDPModule)


def settle(model: nn.Module) -> None:
    """Leave parameters as parts, as optimisers must find them: a pass without gradients leaves
    those outside the layers whole."""
    if isinstance(model, FSDPModule):
        model.reshard()


def make_whole(model: nn.Module) -> None:
    """From the next pass on every process keeps the whole model: parts of it can then be called by
    themselves."""
    if isinstance(model, FSDPModule):
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.set_reshard_after_forward(False, recurse=False)


def whole(state: Any) -> Any:
    """A state with the parts of all processes put together, on the processor; all must ask."""
    if isinstance(state, DTensor):
        return state.full_tensor().cpu()
    if isinstance(state, Mapping):
        return {key: whole(value) for key, value in state.items()}
    return [whole(value) for value in state] if isinstance(state, list) else state


def cut(full: Tensor, like: Tensor) -> Tensor:
    """This process's part of a tensor, where `like` is one."""
    if not isinstance(like, DTensor) or full.shape != like.shape:
        return full
    full = full.to(like.device)
    # Every process has the whole: nothing is sent.
    return distribute_tensor(full, like.device_mesh, like.placements, src_data_rank=None)


def load_model(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put back what `whole` made of the model's state, in one process or in many."""
    held = model.state_dict()
    model.load_state_dict({name: cut(x, held[name]) for name, x in state.items()})


def load_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Put back what `whole` made of the optimiser's state."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    kept = {
        number: {name: cut(x, parameters[number]) for name, x in values.items()}
        for number, values in state["state"].items()
    }
    optimiser.load_state_dict({**state, "state": kept})
