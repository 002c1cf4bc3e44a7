"""Laws of estimates: the nearest record counts, and what nobody knows stays unknown."""

from results.estimates import Estimates, Expected, totals
from results.record import Head, Identity, Status
from tests.results.records import fake_identity


def past(identity: Identity, seconds: float, status: Status = "completed") -> Head:
    return Head(identity=identity, status=status, untimed=False, seconds=seconds)


def known(*heads: Head) -> Estimates:
    return Estimates({head.identity.digest(): head for head in heads})


def of(estimates: Estimates, identity: Identity) -> Expected | None:
    return estimates.of(identity.digest(), identity)


def test_its_own_time_comes_first_then_other_seeds_then_other_methods():
    estimates = known(
        past(fake_identity("a", seed=0), 10.0),
        past(fake_identity("a", seed=1), 20.0),
        past(fake_identity("a", seed=2), 90.0),
        past(fake_identity("b", seed=0), 60.0),
    )
    assert of(estimates, fake_identity("a", seed=0)) == (10.0, "itself")
    assert of(estimates, fake_identity("a", seed=7)) == (20.0, "seed")
    # A method counts once, however many seeds it has: the median of 20 and 60.
    assert of(estimates, fake_identity("c", seed=0)) == (40.0, "task")


def test_what_is_measured_otherwise_tells_nothing():
    estimates = known(past(fake_identity("a", options={"width": 1}), 10.0))
    for other in (
        fake_identity("a", "lra/text"),
        fake_identity("a", preset="small"),
        fake_identity("a", source="packaged"),
        fake_identity("a", dtype="bfloat16"),
        fake_identity("a", device="Some GPU"),
        fake_identity("a", settings={"steps": 7}),
    ):
        assert of(estimates, other) is None
    assert of(estimates, fake_identity("a", options={"width": 2})) == (10.0, "task")


def test_a_trial_that_died_by_chance_tells_nothing_and_a_gate_that_failed_tells_of_its_method():
    estimates = known(
        past(fake_identity("a"), 1.0, "crashed"),
        past(fake_identity("b"), 2.0, "failed-gate"),
        past(fake_identity("c"), 0.0, "unavailable"),
    )
    assert of(estimates, fake_identity("a", seed=1)) is None
    assert of(estimates, fake_identity("b", seed=1)) == (2.0, "seed")
    assert of(estimates, fake_identity("c", seed=1)) is None


def test_totals_are_by_kind_of_device_and_count_what_each_rule_knows():
    estimates = known(past(fake_identity("a"), 10.0))
    asked = [
        fake_identity("a"),
        fake_identity("a", seed=1),
        fake_identity("b"),
        fake_identity("a", "lra/text"),
        fake_identity("a", device="Some GPU"),
    ]
    cpu, gpu = totals((identity, of(estimates, identity)) for identity in asked)
    assert (cpu.device, cpu.seconds, cpu.unknown) == ("cpu", 30.0, 1)
    assert cpu.known == {"itself": 1, "seed": 1, "task": 1}
    assert (gpu.device, gpu.seconds, gpu.unknown) == ("Some GPU", 0.0, 1)
