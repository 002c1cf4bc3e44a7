"""What DARKFormer's paper claims, and what is run here to see whether it is so.

Rules stand beside the functions that follow them, and were fixed before the numbers that they
judge were looked at, but for one: that too little may have been learned for any order
(`ordering.SPAN`) was added when the smallest pretraining left all methods alike. DARKFormer starts
at M = I, as everywhere by default, so that it begins as a Performer does. Statements are ours, of
the paper's abstract, theorems and public summaries.
"""

from typing import Final

from reports.claims.claim import Claim, Paper, Runs
from reports.claims.equivalence import PROPOSITION, proposition
from reports.claims.evidence import Arm
from reports.claims.ordering import LARGER_GAP, ORDER, Pair, larger_gap, ordered
from reports.claims.sampling import FINITE, REAL_RULE, errs_less, finite
from reports.claims.scaling import LINEAR_COST, linear_cost
from reports.claims.spectra import ANISOTROPIC, EXPLODES, anisotropic, explodes
from reports.claims.spikes import FEWER_SPIKES, fewer_spikes

PRETRAIN, FINETUNE, STABILITY = "c4/pretrain", "c4/finetune", "c4/stability"
GEMMA: Final = "darkformer-gemma-2b"
DECODER: Final = "c4-2b"
SEEDS: Final = (0, 1, 2)
GPU: Final = "a model of 2 thousand million parameters is read or trained"

SOFTMAX, LFK = Arm(method="softmax"), Arm(method="lfk")
DARKFORMER = Arm(method="darkformer", options={"initial": "identity"}, label="DARKFormer")
WHITENED = Arm(method="darkformer", options={"initial": "whitening"})
PERFORMER = Arm(method="performer", options={"proposal": "isotropic"}, label="Performer")
PROPOSED = Arm(method="performer", options={"proposal": "optimal"})
RANDOM, CONSTANT = Arm(method="random"), Arm(method="constant")
TIERS = ((SOFTMAX,), (DARKFORMER,), (PERFORMER, LFK), (RANDOM, CONSTANT))
CENTRAL = Pair(first=DARKFORMER, second=PERFORMER)
WHOLE = Pair(first=SOFTMAX, second=CONSTANT)


def _real_qk(*methods: str) -> dict[str, tuple[Runs, ...]]:
    task = "probes/real-qk"
    gemma = Runs(
        methods=methods,
        task=task,
        preset="small",
        source="hub",
        settings=("models=google/gemma-2b",),
        takes_gpu=GPU,
    )
    return {
        "quick": (Runs(methods=methods, task=task, preset="quick"),),
        "small": (Runs(methods=methods, task=task, preset="small"),),
        "paper": (gemma,),
    }


def _theory(task: str, method: str) -> dict[str, tuple[Runs, ...]]:
    """Concerns no model: the largest protocol is good for a paper's too."""
    quick, small = (
        (Runs(methods=(method,), task=task, preset=preset),) for preset in ("quick", "small")
    )
    return {"quick": quick, "small": small, "paper": small}


def _trained(task: str, published: str) -> dict[str, tuple[Runs, ...]]:
    """Of what a real model takes long to train, three seeds only where the paper's point is."""

    def runs(preset: str, features: int, takes_gpu: str = "") -> tuple[Runs, ...]:
        def drawn(*names: str) -> tuple[str, ...]:
            return tuple(f"{name}:num_features={features}" for name in names)

        rest = SEEDS if preset == "quick" else SEEDS[:1]
        return tuple(
            Runs(methods=methods, task=task, preset=preset, seeds=seeds, takes_gpu=takes_gpu)
            for methods, seeds in (
                (("softmax", *drawn("darkformer", "performer")), SEEDS),
                ((*drawn("lfk"), "random", "constant"), rest),
            )
        )

    return {
        "quick": runs("quick", 64),
        "small": runs("small", 256),
        "paper": runs(published, 256, GPU),
    }


def _stability() -> dict[str, tuple[Runs, ...]]:
    def runs(preset: str, features: int, takes_gpu: str = "") -> Runs:
        methods = tuple(f"{name}:num_features={features}" for name in ("darkformer", "performer"))
        return Runs(
            methods=methods, task=STABILITY, preset=preset, seeds=SEEDS, takes_gpu=takes_gpu
        )

    return {
        "quick": (runs("quick", 64),),
        "small": (runs("small", 256),),
        "paper": (runs(GEMMA, 256, GPU),),
    }


def _cost() -> dict[str, tuple[Runs, ...]]:
    def runs(preset: str, lengths: str, *settings: str, takes_gpu: str = "") -> Runs:
        only = ("modes=forward,training", "causal=true", "crossovers=false", f"lengths={lengths}")
        return Runs(
            methods=("darkformer", "softmax"),
            task="cost",
            preset=preset,
            settings=(*only, *settings),
            takes_gpu=takes_gpu,
        )

    return {
        "quick": (
            runs("quick", "512,2048", "num_heads=1", "cell_seconds=60", "total_seconds=240"),
        ),
        # Long enough that a processor measures softmax at two lengths, one 4 times the other.
        "small": (runs("kernel", "1024,2048,4096,8192,16384", "cell_seconds=45"),),
        "paper": (runs("long", "1024,4096,16384,65536", takes_gpu="the paper's times are of one"),),
    }


PAPER = Paper(
    name="darkformer",
    title="Data-Aware Random Feature Kernel for Transformers",
    paper="arXiv:2603.04127",
    claims=(
        Claim(
            name="anisotropic",
            statement="Queries and keys of pretrained models are anisotropic.",
            source="abstract",
            rule=ANISOTROPIC,
            judge=anisotropic,
            runs=_real_qk("performer"),
        ),
        Claim(
            name="explodes",
            statement="There isotropic sampling has a very high variance.",
            source="abstract; docs/variance.md (5)",
            rule=EXPLODES,
            judge=explodes,
            runs=_real_qk("performer"),
        ),
        Claim(
            name="optimal-proposal",
            statement="A data-aware proposal has the least variance, and a finite one where that of"
            " isotropic features is infinite.",
            source="theorem 3.2; docs/variance.md (6), (9)",
            rule=FINITE,
            judge=finite,
            runs=_theory("probes/variance", "performer"),
        ),
        Claim(
            name="proposal-on-real",
            statement="On real queries and keys, data-aware sampling of softmax's kernel errs less"
            " than isotropic sampling.",
            source="abstract; theorem 3.2",
            rule=REAL_RULE,
            judge=errs_less(PROPOSED, PERFORMER, told=f"{PROPOSED} over {PERFORMER}."),
            runs=_real_qk("performer", "performer:proposal=optimal"),
        ),
        Claim(
            name="aligned-on-real",
            statement="On real queries and keys, a kernel aligned with the data is estimated with"
            " less error than softmax's.",
            source="abstract; proposition C.1",
            rule=REAL_RULE,
            judge=errs_less(WHITENED, PERFORMER, told=f"{WHITENED} over {PERFORMER}."),
            runs=_real_qk("performer", "darkformer:initial=whitening"),
        ),
        Claim(
            name="equivalence",
            statement="Learning Sigma is importance sampling without weights.",
            source="proposition 4.1",
            rule=PROPOSITION,
            judge=proposition,
            runs=_theory("probes/equivalence", "softmax"),
        ),
        Claim(
            name="pretraining",
            statement="Pretrained, softmax is better than DARKFormer, that than Performer and LFK,"
            " those than random and constant attention.",
            source="experiments, pretraining",
            rule=ORDER,
            judge=ordered(PRETRAIN, TIERS, CENTRAL, WHOLE),
            runs=_trained(PRETRAIN, DECODER),
        ),
        Claim(
            name="finetuning",
            statement="The same order, finetuned from a pretrained model.",
            source="experiments, finetuning",
            rule=ORDER,
            judge=ordered(FINETUNE, TIERS, CENTRAL, WHOLE),
            runs=_trained(FINETUNE, GEMMA),
        ),
        Claim(
            name="larger-gain",
            statement="DARKFormer gains more on Performer in finetuning than in pretraining.",
            source="abstract; experiments",
            rule=LARGER_GAP,
            judge=larger_gap(CENTRAL, FINETUNE, PRETRAIN, WHOLE),
            runs={
                preset: _trained(FINETUNE, GEMMA)[preset] + _trained(PRETRAIN, DECODER)[preset]
                for preset in ("quick", "small", "paper")
            },
        ),
        Claim(
            name="stability",
            statement="DARKFormer has fewer loss spikes than Performer over learning rates.",
            source="abstract; experiments",
            rule=FEWER_SPIKES,
            judge=fewer_spikes(DARKFORMER, PERFORMER),
            runs=_stability(),
        ),
        Claim(
            name="linear-cost",
            statement="Time and memory grow in proportion to length.",
            source="abstract",
            rule=LINEAR_COST,
            judge=linear_cost(DARKFORMER, SOFTMAX),
            runs=_cost(),
        ),
    ),
)
