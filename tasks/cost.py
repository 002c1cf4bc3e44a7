"""Time and memory against length, and the length from which a method beats exact attention."""

from tasks.sweep import CostPreset, CostTask, Sweep

TASK = CostTask(
    name="cost",
    version=1,
    title="Time, memory and counted work of attention against length",
    presets=(
        CostPreset(
            name="quick",
            note="Five lengths, a minute or less a method on one core of a CPU: a smoke test.",
            sweep=Sweep(
                num_heads=4,
                longest=4096,
                cell_seconds=4.0,
                total_seconds=50.0,
                max_samples=40,
            ),
        ),
        CostPreset(
            name="kernel",
            note="256 to 16 384 tokens, attention alone; up to 15 minutes a method on a CPU.",
            sweep=Sweep(longest=16_384, cell_seconds=20.0, total_seconds=900.0),
        ),
        CostPreset(
            name="layer",
            note="256 to 16 384 tokens, projections included; up to 15 minutes a method on a CPU.",
            sweep=Sweep(level="layer", longest=16_384, cell_seconds=20.0, total_seconds=900.0),
        ),
        CostPreset(
            name="long",
            note="256 tokens to a million, or until time or memory runs out; up to an hour a"
            " method.",
            sweep=Sweep(longest=2**20, cell_seconds=120.0, total_seconds=3600.0),
        ),
    ),
)
