"""Splits a plan for the jobs of an array: each job plans the whole and runs a part of its own.

Pure, and by position in the plan alone: jobs on unlike machines, or begun when other trials were on
record already, split alike.
"""

import hashlib
from collections.abc import Iterable
from itertools import chain, groupby

from bench.plan import Plan, Trial


def shard_of(plan: Plan, count: int, index: int) -> Plan:
    """The trials of job `index`, from 0, of `count`; in the plan's order.

    All methods of a task and seed stay in one job, so that what is compared runs close together and
    on one machine, as long as there is a seed for each job. The seeds left over are dealt trial by
    trial, as by lot: dealt in turn, a method could meet the same job in every seed. No job has two
    trials more than another.
    """
    trials = plan.trials
    seeds = (list(s) for _, s in groupby(range(len(trials)), lambda i: _together(trials[i])))
    mine: list[int] = []
    rest: list[int] = []
    for _, of_task in groupby(seeds, lambda s: (_together(trials[s[0]])[:2], len(s))):
        alike = list(of_task)
        whole = len(alike) // count * count
        mine += chain.from_iterable(alike[index:whole:count])
        rest += _by_lot(chain.from_iterable(alike[whole:]))
    mine += rest[index::count]
    return Plan(trials=tuple(trials[i] for i in sorted(mine)))


def _together(trial: Trial) -> tuple[str, str, int]:
    """What trials have in common that are compared with each other."""
    identity = trial.identity
    return identity.device, identity.task, identity.seed


def _by_lot(positions: Iterable[int]) -> list[int]:
    """In an order that has no pattern and is the same everywhere."""
    return sorted(positions, key=lambda i: hashlib.sha256(str(i).encode()).digest())
