"""Where a long training goes on after it was stopped: one file, replaced whole."""

import contextlib
import pickle
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from tasks.api import SourceUnavailableError
from tasks.data.partial import partial_path, remove_partials

FOLDER = "checkpoints"


class Checkpoint:
    """One trial's file. `about` is what it must agree with; another one's file is refused."""

    def __init__(self, cache: Path | None, name: str, about: str, *, every: float) -> None:
        kept = cache is not None and every > 0
        self._file = cache / FOLDER / f"{name}.pt" if cache is not None and kept else None
        self._about, self._every = about, every
        self._last = time.monotonic()
        self._is_last = False

    @property
    def is_due(self) -> bool:
        """Whether it is time to save again, or for the last time."""
        if self._file is None:
            return False
        return self._is_last or time.monotonic() - self._last >= self._every

    @contextlib.contextmanager
    def last_on_sigterm(self) -> Iterator[None]:
        """Within, SIGTERM makes the next checkpoint the last: it is due, and saving it ends the
        process, by SystemExit. Without a file, or beside the main thread, the signal does what it
        always does."""
        if self._file is None or threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(*_: object) -> None:
            self._is_last = True

        before = signal.signal(signal.SIGTERM, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def save(self, state: dict[str, Any]) -> None:
        """Written under another name first: killed at any moment, a whole file is left."""
        if self._file is None:
            return
        partial = partial_path(self._file)
        try:
            torch.save({"about": self._about, "state": state}, partial)
            partial.replace(self._file)
        finally:
            partial.unlink(missing_ok=True)
        self._last = time.monotonic()
        if self._is_last:
            raise SystemExit(0)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """What was saved last; None where nothing was.

        Raises SourceUnavailableError for a file that is damaged, or of another configuration.
        """
        if self._file is None or not self._file.exists():
            return None
        try:
            # Nothing but tensors and plain values: a checkpoint is a file that anyone may have put
            # there, and must not be able to run code.
            found = torch.load(self._file, map_location=device, weights_only=True)
            about, state = found["about"], found["state"]
        except (OSError, RuntimeError, LookupError, TypeError, EOFError) as error:
            raise self._refusal("is damaged") from error
        except (pickle.UnpicklingError, zipfile.BadZipFile) as error:
            raise self._refusal("is damaged, or holds more than tensors") from error
        if about != self._about:
            raise self._refusal("is of another configuration or of older code")
        if not isinstance(state, dict):
            raise self._refusal("is damaged")
        return state

    def forget(self) -> None:
        """The trial is over."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
            remove_partials(self._file)

    def _refusal(self, why: str) -> SourceUnavailableError:
        assert self._file is not None
        return SourceUnavailableError(
            f"the checkpoint {self._file.name} {why}: delete it from {self._file.parent} to start"
            " afresh."
        )
