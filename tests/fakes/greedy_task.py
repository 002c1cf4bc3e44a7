"""A task whose data do not fit: loading them asks for 1 GiB."""

from dataclasses import replace

import numpy as np

from tasks.api import Dataset, LoadRequest, Source
from tests.fakes import tiny_task


def load(request: LoadRequest) -> Dataset:
    """What the tiny task loads, and too much beside it."""
    np.ones(2**27)
    return tiny_task.load(request)


TASK = replace(
    tiny_task.TASK,
    name="fake/greedy",
    sources=(Source(name="generated", title="random tokens", load=load),),
)
