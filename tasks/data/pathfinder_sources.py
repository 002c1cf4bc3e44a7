"""Where Pathfinder's pictures come from: drawn here, or read from the official release."""

from dataclasses import asdict

from tasks.api import Scalar, Source
from tasks.data.pathfinder_release import load_release, why_missing
from tasks.data.pathfinder_sets import load_generated
from tasks.data.pathfinder_settings import settings_for


def pathfinder_sources(name: str) -> tuple[Source, ...]:
    """The sources of a task of that name. No hub has the pictures."""
    return (
        Source(
            name="generated",
            title=f"{name}, drawn by our own generator after the published settings",
            load=load_generated,
        ),
        Source(
            name="release",
            title=f"{name}, the official release's pictures",
            load=load_release,
            missing=why_missing,
        ),
    )


def pathfinder_data(
    *, num_train: int, num_validation: int, num_test: int, **settings: Scalar
) -> dict[str, Scalar]:
    """A preset's data options: the counts and every picture setting, the published where not said.

    All are named, so that each can be set and each is in the record.
    """
    counts = {"num_train": num_train, "num_validation": num_validation, "num_test": num_test}
    return {**counts, **asdict(settings_for(settings))}
