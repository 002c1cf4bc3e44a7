"""A cost task to start from: causal attention on short sequences."""

# A cost task is a sweep over lengths: every method is timed in turn with a reference, in the same
# process, so that ratios can be trusted. All of it is data; the harness measures.

from tasks.sweep import CostPreset, CostTask, Sweep

TASK = CostTask(
    name="starting-point",
    # Raise it when what is measured, or how, changes: old records keep their truth.
    version=1,
    title="Time and memory of causal attention on short sequences",
    presets=(
        CostPreset(
            name="quick",
            note="Two lengths, seconds a method on one core of a CPU: a smoke test.",
            sweep=Sweep(
                num_heads=2,
                head_dim=32,
                lengths="64,128",
                modes="forward,training",
                causal="true",
                cell_seconds=1.0,
                total_seconds=10.0,
                max_samples=20,
            ),
        ),
        CostPreset(
            name="small",
            note="64 to 1024 tokens in batches of 8, up to two minutes a method on a CPU.",
            sweep=Sweep(
                batch=8,
                num_heads=4,
                head_dim=32,
                shortest=64,
                longest=1024,
                causal="true",
                total_seconds=120.0,
            ),
        ),
    ),
    paper="",
)
