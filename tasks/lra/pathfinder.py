"""Pathfinder: whether two discs mark the ends of one dashed contour, in 32 x 32 pixels."""

from tasks.api import ModelShape, Preset, TrainedTask, Training
from tasks.data.pathfinder_scenes import VERSION
from tasks.data.pathfinder_sources import pathfinder_data, pathfinder_sources
from tasks.lra import protocols

HARD = pathfinder_data(
    num_train=160_000, num_validation=20_000, num_test=20_000, side=32, contour_length=14
)
"""The arena's task: its `hard` difficulty, 14 paddles a contour."""

QUICK = Preset(
    name="quick",
    note=(
        "A few seconds on two CPU cores, to see that everything works: 16 x 16 pixels, 3 paddles a"
        " contour, far too few steps to learn. Every method stays near chance (0.5)."
    ),
    source="generated",
    model=ModelShape(num_layers=2, num_heads=2, d_model=64, qkv_dim=64, mlp_dim=128),
    training=Training(steps=120, batch_size=16, learning_rate=1e-3, warmup_steps=12),
    data=pathfinder_data(
        num_train=640,
        num_validation=64,
        num_test=320,
        side=16,
        contour_length=3,
        num_distractors=1,
    ),
    max_time=256,
)
SMALL = Preset(
    name="small",
    note=(
        "The same question in 16 x 16 pixels (256 tokens): 3 paddles a contour, one distractor. A"
        " convolutional net learns it in a minute; softmax attention stays at chance within these"
        " steps, as it does on the official task for long: it takes more steps and pictures."
    ),
    source="generated",
    model=ModelShape(num_layers=2, num_heads=4, d_model=64, qkv_dim=64, mlp_dim=128),
    training=Training(
        steps=500,
        batch_size=32,
        learning_rate=1e-3,
        warmup_steps=50,
        weight_decay=0.01,
        clip_norm=1.0,
    ),
    data=pathfinder_data(
        num_train=20_000,
        num_validation=1_000,
        num_test=2_000,
        side=16,
        contour_length=3,
        num_distractors=1,
    ),
    max_time=256,
)
NOTE = (
    "Pictures are drawn here by default, minutes for all 200000; `--source release:PATH` reads the"
    " official ones, whose order in the split is not known outside its own pipeline."
)
PUBLISHED = tuple(
    protocols.preset(name, "pathfinder", source="generated", max_time=1_024, data=HARD, note=NOTE)
    for name in protocols.PROTOCOLS
)

TASK = TrainedTask(
    name="lra/pathfinder",
    version=VERSION,
    title="Pathfinder: are two discs the ends of one dashed contour?",
    presets=(QUICK, SMALL, *PUBLISHED),
    sources=pathfinder_sources("Pathfinder"),
    key_padding=False,
    paper="arXiv:2011.04006",
)
