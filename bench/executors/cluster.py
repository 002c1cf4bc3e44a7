"""What a trial asks of a Ray cluster, and whether the cluster answers and has it."""

import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.errors import UsageError
from bench.plan import Trial

ANSWER = 10.0
"""Seconds that a cluster's address has to answer."""


def require_answer(address: str | None) -> None:
    """Raises UsageError where HOST:PORT is silent: Ray itself would ask again for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or int(port) >= 2**16:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER).close()
    except OSError as error:
        raise UsageError(
            f"There is no Ray cluster at {address}: {error}. Begin one with `ray start --head`, or"
            " leave --address out."
        ) from error


def demand(trial: Trial, *, cpus: int, largest: int, nodes: Sequence[str]) -> dict[str, Any]:
    """What Ray is asked for. largest: processors of the largest node, all of which a timed trial
    gets, so that nothing else is there. nodes: those that have the trial's kind of GPU."""
    if trial.device == "cpu":
        return {"num_cpus": cpus if trial.shares_device else max(largest, cpus)}
    wanted: dict[str, Any] = {"num_cpus": cpus, "num_gpus": trial.devices}
    if nodes:
        wanted["label_selector"] = {"ray.io/node-id": f"in({','.join(nodes)})"}
    return wanted


def require_room(
    demands: Iterable[Mapping[str, Any]], resources: Sequence[Mapping[str, float]]
) -> None:
    """Raises UsageError where a trial asks for more than any one node has: Ray would wait for such
    a node for ever. resources: of each node, as Ray names them."""
    asked = {(wanted["num_cpus"], wanted.get("num_gpus", 0)) for wanted in demands}
    for cpus, gpus in sorted(asked):
        if any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in resources):
            continue
        there = {f"{node.get('CPU', 0):g} and {node.get('GPU', 0):g}" for node in resources}
        raise UsageError(
            f"A trial takes {cpus} processors and {gpus} GPUs of one node, and the nodes of this"
            f" cluster have {', or '.join(sorted(there))}. Lower --cpus or --devices-per-trial."
        )
