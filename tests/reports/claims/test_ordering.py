"""Verdicts on next-token accuracy: the order of methods, and a gap that is larger elsewhere."""

import pytest

from reports.claims.claim import NotTestedError
from reports.claims.darkformer import CENTRAL, FINETUNE, PRETRAIN, TIERS, WHOLE
from reports.claims.ordering import gap, larger_gap, ordered
from results.record import Record
from tests.results.language import fake_language_record
from tests.results.records import failed_record, fake_identity

OPTIONS = {"darkformer": {"initial": "identity"}, "performer": {"proposal": "isotropic"}}
AS_CLAIMED = {
    "softmax": 0.40,
    "darkformer": 0.34,
    "performer": 0.30,
    "lfk": 0.29,
    "random": 0.11,
    "constant": 0.10,
}


def trained(
    task: str = FINETUNE, *, seeds: tuple[int, ...] = (0, 1, 2), **changed: float
) -> list[Record]:
    return [
        fake_language_record(method, accuracy, task=task, seed=seed, options=OPTIONS.get(method))
        for method, accuracy in (AS_CLAIMED | changed).items()
        for seed in seeds
    ]


judge_order = ordered(FINETUNE, TIERS, CENTRAL, WHOLE)
judge_gap = larger_gap(CENTRAL, FINETUNE, PRETRAIN, WHOLE)


def test_an_order_in_which_every_pair_holds_is_reproduced():
    found = judge_order(trained())
    assert found.verdict == "reproduced"
    assert found.note == "7 of 7 pairs hold."
    assert str(found.effects[0]).startswith("DARKFormer - Performer +4.")
    assert found.effects[0].interval.mean == pytest.approx(4.0, abs=0.2)
    assert len(found.effects) == 2


def test_a_reversed_pair_speaks_against_the_order():
    found = judge_order(trained(performer=0.36))
    assert found.verdict == "not reproduced"
    assert "not so: DARKFormer > Performer" in found.note


def test_a_pair_without_a_difference_worth_the_name_speaks_against_the_order():
    records = trained(darkformer=0.3001)
    middle = gap(records, FINETUNE, CENTRAL)
    assert middle.interval.low < 0 < middle.interval.high < 0.5
    assert judge_order(records).verdict == "not reproduced"


def test_one_seed_decides_nothing_either_way():
    for accuracy in (0.30, 0.36):
        found = judge_order(trained(seeds=(0,), performer=accuracy))
        assert found.verdict == "inconclusive"
        assert "fewer than 2 seeds" in found.note


def test_seeds_that_differ_widely_leave_the_order_undecided():
    records = [r for r in trained() if r.identity.method != "darkformer"]
    records += [
        fake_language_record(
            "darkformer", accuracy, task=FINETUNE, seed=seed, options=OPTIONS["darkformer"]
        )
        for seed, accuracy in enumerate((0.25, 0.34, 0.39))
    ]
    found = judge_order(records)
    assert found.verdict == "inconclusive"
    assert "undecided" in found.note


def test_a_method_that_diverged_leaves_its_pairs_undecided():
    one = fake_identity("performer", FINETUNE, seed=1, options=OPTIONS["performer"])
    records = [r for r in trained() if (r.identity.method, r.identity.seed) != ("performer", 1)]
    found = judge_order([*records, failed_record(one, status="diverged", reason="It did.")])
    assert found.verdict == "inconclusive"
    assert "undecided: DARKFormer > Performer" in found.note


def test_methods_of_one_seed_are_compared_over_the_seeds_that_both_have():
    records = [r for r in trained() if r.identity.method != "lfk" or r.identity.seed == 0]
    assert judge_order(records).verdict == "reproduced"


def test_models_that_learned_nothing_tell_nothing():
    alike = dict.fromkeys(AS_CLAIMED, 0.031) | {"softmax": 0.035}
    found = judge_order(trained(**alike))
    assert found.verdict == "inconclusive"
    assert "Too little was learned on c4/finetune" in found.note
    found = judge_gap(trained() + trained(PRETRAIN, **alike))
    assert found.effects[0].interval.low > 0
    assert found.verdict == "inconclusive"
    assert "Too little was learned on c4/pretrain" in found.note


OTHERWISE = "Without this rule, which was added after a first look at such numbers: "


def test_a_verdict_that_too_little_learning_alone_withholds_is_told_beside_it():
    little = {"softmax": 0.11, "constant": 0.10, "random": 0.10, "lfk": 0.10}
    worse = judge_order(trained(**little, performer=0.108, darkformer=0.10))
    assert worse.verdict == "inconclusive"
    assert worse.note.endswith(f"{OTHERWISE}not reproduced.")
    gained = judge_gap(trained() + trained(PRETRAIN, **little, performer=0.10, darkformer=0.10))
    assert gained.verdict == "inconclusive"
    assert gained.note.endswith(f"{OTHERWISE}reproduced.")


def test_nothing_is_said_of_the_later_rule_where_it_changes_nothing():
    undecided = judge_order(trained(seeds=(0,), softmax=0.11, constant=0.10))
    assert "Too little was learned" in undecided.note
    assert OTHERWISE not in undecided.note
    assert OTHERWISE not in judge_order(trained(performer=0.36)).note


def test_a_method_that_was_not_run_leaves_the_order_untested():
    with pytest.raises(NotTestedError, match="lfk on c4/finetune is not on record"):
        judge_order([r for r in trained() if r.identity.method != "lfk"])


def test_models_that_were_tested_on_different_texts_are_not_compared():
    records = trained()
    data = records[-1].data.model_copy(update={"digest": "other"})
    records = [*records[:-1], records[-1].model_copy(update={"data": data})]
    with pytest.raises(NotTestedError, match="different texts"):
        judge_order(records)


@pytest.mark.parametrize(
    ("darkformer", "verdict"),
    [(0.31, "reproduced"), (0.34, "not reproduced"), (0.37, "not reproduced")],
)
def test_the_gap_of_finetuning_is_held_against_that_of_pretraining(darkformer, verdict):
    records = trained() + trained(PRETRAIN, darkformer=darkformer)
    found = judge_gap(records)
    assert found.verdict == verdict
    assert found.effects[0].interval.mean == pytest.approx(34 - 100 * darkformer, abs=0.3)


def test_a_larger_gap_takes_more_than_one_seed_of_both_tasks():
    records = trained() + trained(PRETRAIN, seeds=(0,), darkformer=0.31)
    assert judge_gap(records).verdict == "inconclusive"
