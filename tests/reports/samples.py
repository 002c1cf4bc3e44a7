"""Small made-up comparisons that several tests share."""

from results.record import Measured, Record
from tests.results.records import fake_data, fake_identity, fake_record

TASKS = ("lra/listops", "lra/text", "lra/retrieval", "lra/image", "lra/pathfinder")
METHODS = {"strong": 0.60, "close": 0.598, "weak": 0.35, "hopeless": 0.17}
CONTROLS = {"fake-softmax": ("ceiling", 0.65), "fake-no-mixing": ("floor", 0.20)}


def suite(seeds: tuple[int, ...] = (0, 1, 2), tasks: tuple[str, ...] = TASKS) -> list[Record]:
    """Every method on every task; text is a stand-in."""
    accuracies = {name: ("method", value) for name, value in METHODS.items()} | CONTROLS
    return [
        fake_record(
            fake_identity(method, task, seed=seed),
            accuracy=accuracy,
            role=role,
            data=fake_data(f"Made-up {task}", stand_in=task == "lra/text"),
        )
        for method, (role, accuracy) in accuracies.items()
        for task in tasks
        for seed in seeds
    ]


def in_metric(record: Record, name: str, unit: str, *, higher: bool = True) -> Record:
    """The same value under another name."""
    value = record.metrics[0].value
    metric = Measured(name=name, unit=unit, higher_is_better=higher, value=value)
    return record.model_copy(update={"metrics": [metric]})


def of_code(record: Record, *, method: str = "", task: str = "") -> Record:
    """The same as if other code had made it, by one digit of a digest."""
    was = record.provenance
    update = {
        "method_digest": 64 * method or was.method_digest,
        "task_digest": 64 * task or was.task_digest,
    }
    return record.model_copy(update={"provenance": was.model_copy(update=update)})
