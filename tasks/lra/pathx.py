"""Path-X: Pathfinder in 128 x 128 pixels, 16384 tokens; in the paper no method learns it."""

from tasks.api import ModelShape, Preset, TrainedTask, Training
from tasks.data.pathfinder_scenes import VERSION
from tasks.data.pathfinder_sources import pathfinder_data, pathfinder_sources
from tasks.lra import protocols

HARD = pathfinder_data(
    num_train=160_000, num_validation=20_000, num_test=20_000, side=128, contour_length=14
)

QUICK = Preset(
    name="quick",
    note=(
        "Not Path-X: 32 x 32 pixels (1024 tokens) with Pathfinder's hard settings, and a few steps"
        " of a one-layer model, to see in seconds that everything works. Stays at chance (0.5)."
    ),
    source="generated",
    model=ModelShape(num_layers=1, num_heads=2, d_model=32, qkv_dim=16, mlp_dim=32),
    training=Training(steps=40, batch_size=8, learning_rate=1e-3, warmup_steps=4),
    data=pathfinder_data(
        num_train=320, num_validation=40, num_test=200, side=32, contour_length=14
    ),
    max_time=1_024,
)
SMALL = Preset(
    name="small",
    note=(
        "Not Path-X: 32 x 32 pixels (1024 tokens), 6 paddles a contour, 4 distractors. A CPU cannot"
        " train softmax on 16384 tokens in minutes, and on this it is not expected to leave chance"
        " either: read its costs, not its accuracy."
    ),
    source="generated",
    model=ModelShape(num_layers=2, num_heads=2, d_model=64, qkv_dim=32, mlp_dim=128),
    training=Training(steps=400, batch_size=16, learning_rate=1e-3, warmup_steps=40),
    data=pathfinder_data(
        num_train=6_400,
        num_validation=200,
        num_test=1_000,
        side=32,
        contour_length=6,
        num_distractors=4,
    ),
    max_time=1_024,
)
NOTE = (
    "Pictures are drawn here by default: about an hour on one core for all 200000, and 10 GB of"
    " memory. The release holds two copies of these pictures, and on one of them the labels did not"
    " generalise for others: `--source release:PATH` takes the inner one. The Nystromformer port"
    " has no values for this task."
)
PUBLISHED = tuple(
    protocols.preset(name, "pathx", source="generated", max_time=16_384, data=HARD, note=NOTE)
    for name in protocols.PROTOCOLS
    if name != "nystrom"
)

TASK = TrainedTask(
    name="lra/pathx",
    version=VERSION,
    title="Path-X: Pathfinder in 128 x 128 pixels",
    presets=(QUICK, SMALL, *PUBLISHED),
    sources=pathfinder_sources("Path-X"),
    key_padding=False,
    paper="arXiv:2011.04006",
)
