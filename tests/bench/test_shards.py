"""Laws of splitting a plan: the parts are the plan, of one size, and the same on every machine."""

import dataclasses
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.compatibility import Problem
from bench.plan import Plan, Trial
from bench.shards import shard_of
from tests.fakes.tiny_task import TASK
from tests.processes import bench
from tests.results.records import fake_identity

PRESET = TASK.presets[0]
METHODS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True)
"""Of one task."""


def trial(method: str, task: str, seed: int, problem: Problem | None = None) -> Trial:
    return Trial(
        identity=fake_identity(method, task, seed=seed),
        method_locator="m",
        method_file=Path("m.py"),
        task_locator="t",
        task_file=Path("t.py"),
        preset=PRESET,
        device="cpu",
        role="method",
        same_as=None,
        problem=problem,
    )


def plan_of(tasks: list[list[str]], num_seeds: int) -> Plan:
    """In the planner's order: task, seed, method."""
    return Plan(
        trials=tuple(
            trial(method, f"task-{number}", seed)
            for number, methods in enumerate(tasks)
            for seed, method in product(range(num_seeds), methods)
        )
    )


@settings(deadline=None)
@given(st.lists(METHODS, max_size=4), st.integers(1, 7), st.integers(1, 12))
def test_the_parts_are_the_plan_and_of_one_size(tasks, num_seeds, count):
    plan = plan_of(tasks, num_seeds)
    parts = [shard_of(plan, count, index).trials for index in range(count)]
    assert sorted(t.digest for part in parts for t in part) == sorted(t.digest for t in plan.trials)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    place = {t.digest: i for i, t in enumerate(plan.trials)}
    for part in parts:
        assert [place[t.digest] for t in part] == sorted(place[t.digest] for t in part)


@settings(deadline=None)
@given(METHODS, st.integers(1, 20), st.integers(1, 6))
def test_methods_of_a_seed_stay_together_while_there_is_a_seed_for_each_part(
    methods, num_seeds, count
):
    plan = plan_of([methods], num_seeds)
    parts = [{t.digest for t in shard_of(plan, count, i).trials} for i in range(count)]
    for seed in range(num_seeds // count * count):
        together = {t.digest for t in plan.trials if t.identity.seed == seed}
        assert any(together <= part for part in parts)


def test_each_task_is_spread_evenly():
    plan = plan_of([["a", "b"], ["a", "b"], ["a", "b", "c"]], num_seeds=5)
    for index in range(4):
        counts = Counter(t.identity.task for t in shard_of(plan, 4, index).trials)
        assert counts["task-0"] in (2, 3)
        assert counts["task-1"] in (2, 3)
        assert counts["task-2"] in (3, 4)


def test_a_method_does_not_meet_the_same_part_in_every_seed():
    # In turn it would: as many methods as parts, and too few seeds for whole ones.
    plan = plan_of([list("abcdefgh")], num_seeds=7)
    parts = [shard_of(plan, 8, index).trials for index in range(8)]
    for method in "abcdefgh":
        assert sum(any(t.identity.method == method for t in part) for part in parts) > 2


def test_the_split_is_the_same_where_other_methods_can_run():
    plan = plan_of([["a", "b", "c"]], num_seeds=5)
    refused = Problem(status="unavailable", reason="It is not installed.")
    elsewhere = Plan(
        trials=tuple(
            dataclasses.replace(
                t,
                problem=refused if t.identity.method == "b" else None,
                identity=t.identity.model_copy(update={"device": "Some GPU"}),
            )
            for t in plan.trials
        )
    )

    def named(plan: Plan, index: int) -> list[tuple[str, int]]:
        part = shard_of(plan, 4, index).trials
        return [(t.identity.method, t.identity.seed) for t in part]

    assert all(named(plan, index) == named(elsewhere, index) for index in range(4))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--shards", "4"), "go together"),
        (("--shard", "0"), "go together"),
        (("--shards", "4", "--shard", "4"), "shards have the numbers 0 to 3"),
        (("--shards", "4", "--shard=-1"), "There is no --shard -1 of 4"),
        (("--shards", "0", "--shard", "0"), "a number from 1"),
    ],
)
def test_a_part_that_is_none_is_a_sentence(words, sentence):
    done = bench("plan", "--methods", "performer", "--task", "lra", *words)
    assert done.returncode == 2
    assert sentence in done.stderr
