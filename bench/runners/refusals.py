"""What stops a cell from being measured, as a status with a reason."""

import gc
import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from methods.api import MissingDependencyError, UnsupportedError
from methods.core.memory_errors import is_out_of_memory
from methods.core.testing import MISTAKES
from results.curve import CellStatus

R = TypeVar("R")


class Refusal(NamedTuple):
    """Why something was not measured."""

    status: CellStatus
    reason: str

    def passed_on(self) -> "Refusal":
        """To a longer length, which is not tried for the same reason."""
        return self._replace(reason=f"Not tried. {self.reason}")


def attempt(fn: Callable[[], R]) -> R | Refusal:
    """What `fn` returns, or why it did not."""
    try:
        return fn()
    except MissingDependencyError as error:
        return Refusal("unavailable", str(error))
    except (UnsupportedError, ValueError) as error:
        return Refusal("unsupported", str(error))
    except (*MISTAKES, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            return Refusal("crashed", f"{type(error).__name__}: {_first_line(error)}")
        asked = re.search(r"allocate (\d+) bytes", str(error))
        what = f"{gib(int(asked[1]))} more were asked for." if asked else _first_line(error)
        reason = f"The memory ran out: {what}"
    gc.collect()
    return Refusal("out-of-memory", reason)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]


def gib(num_bytes: float) -> str:
    """A size as a reader wants it."""
    return f"{num_bytes / 2**30:.3g} GiB"
