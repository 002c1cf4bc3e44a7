"""Queries, keys and values of every layer of a pretrained model on text, kept on disk.

What is captured enters the model's attention: after the rotation by position and after whatever
norms the model applies, before scaling. Where a model scales scores by s instead of d^(-1/2), its
queries are multiplied by s sqrt(d), so that softmax(q.k / sqrt(d)) is always its own attention.
"""

import hashlib
import json
import math
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tasks.api import SourceUnavailableError
from tasks.data.language import token_blocks
from tasks.data.models import LanguageModel, fingerprint, load_model
from tasks.data.partial import partial_path

LISTENER = "attention-bench-listener"
"""The name under which transformers finds what listens."""


class Captured(NamedTuple):
    """One layer: `[block, head, time, dim]` in float32, blocks for calibration first."""

    q: Any
    k: Any
    """Of fewer heads than queries in grouped-query attention."""
    v: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to capture. Two requests that are equal share one capture on disk."""

    model: str
    text: str
    num_calibration: int
    """Blocks of text for calibration."""
    num_test: int
    length: int
    """Tokens in a block, or as many as the model takes, if fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """A capture on disk, read a layer at a time."""

    folder: Path
    num_layers: int
    num_calibration: int
    digest: str
    """SHA-256 over all layers."""
    digests: tuple[str, ...]
    what: str

    def layer(self, number: int) -> tuple[Captured, Captured]:
        """For calibration, for testing. Raises SourceUnavailableError for a damaged file."""
        file = self.folder / f"{number:03}.npz"
        try:
            with np.load(file, allow_pickle=False) as stored:
                arrays = [stored[name] for name in Captured._fields]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            arrays = []
        if not arrays or _digest(arrays) != self.digests[number]:
            raise SourceUnavailableError(
                f"the captured tensors in {file.name} are damaged: delete {self.folder} and run"
                " again."
            )
        n = self.num_calibration
        return Captured(*(x[:n] for x in arrays)), Captured(*(x[n:] for x in arrays))


@contextmanager
def captured(asked: Asked, cache: Path | None) -> Iterator[Capture]:
    """The capture, made now unless `cache` has it; without a cache it goes when this ends."""
    if cache is None:
        with tempfile.TemporaryDirectory() as folder:
            yield _capture(asked, Path(folder) / "capture", None)
        return
    key = json.dumps([asked.model, fingerprint(asked.model), *_plain(asked)])
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    folder = cache / "captures" / name
    yield _kept(folder) or _capture(asked, folder, cache)


def _plain(asked: Asked) -> list[str | int]:
    text = Path(asked.text)
    # A file may change under its name.
    digest = hashlib.sha256(text.read_bytes()).hexdigest() if text.is_file() else ""
    return [asked.text, digest, asked.num_calibration, asked.num_test, asked.length]


def _kept(folder: Path) -> Capture | None:
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return _as_capture(folder, card)


def _as_capture(folder: Path, card: dict[str, Any]) -> Capture:
    digests = tuple(card["digests"])
    return Capture(
        folder=folder,
        num_layers=len(digests),
        num_calibration=card["num_calibration"],
        digest=hashlib.sha256("".join(digests).encode()).hexdigest(),
        digests=digests,
        what=card["what"],
    )


def _capture(asked: Asked, folder: Path, cache: Path | None) -> Capture:
    """Written under another name first: a folder that is there is whole."""
    model = load_model(asked.model, cache)
    length = min(asked.length, model.longest)
    blocks = np.concatenate(
        [
            token_blocks(model.encode, asked.text, part, num_blocks=count, length=length)
            for part, count in (("calibration", asked.num_calibration), ("test", asked.num_test))
        ]
    )
    partial = partial_path(folder)
    partial.mkdir()
    try:
        card = {
            "digests": _listen(model, blocks, partial),
            "num_calibration": asked.num_calibration,
            "what": model.what,
        }
        (partial / "card.json").write_text(json.dumps(card), encoding="utf-8")
        # What lies there without a readable card is the rest of something broken.
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return _as_capture(folder, card)


class _Listener:
    """An attention function for transformers: writes what it is given, then attends as usual."""

    def __init__(self, name: str, folder: Path) -> None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        self._attend, self._name, self._folder = sdpa_attention_forward, name, folder
        self._head_dim: int | None = None
        self.digests: list[str] = []

    def __call__(
        self, module: Any, query: Any, key: Any, value: Any, mask: Any, **given: Any
    ) -> Any:
        self._require(module, query, given)
        head_dim = query.shape[-1]
        scaling = given.get("scaling")
        factor = 1.0 if scaling is None else scaling * math.sqrt(head_dim)
        tensors = (query * factor if factor != 1.0 else query, key, value)
        arrays = [x.float().contiguous().numpy() for x in tensors]
        if not all(np.isfinite(x).all() for x in arrays):
            raise SourceUnavailableError(
                f"{self._name} has queries, keys or values that are not finite in layer"
                f" {len(self.digests)}."
            )
        np.savez(
            self._folder / f"{len(self.digests):03}.npz",
            **dict(zip(Captured._fields, arrays, strict=True)),
        )
        self.digests.append(_digest(arrays))
        return self._attend(module, query, key, value, mask, **given)

    def _require(self, module: Any, query: Any, given: dict[str, Any]) -> None:
        wrong = ""
        if not getattr(module, "is_causal", True):
            wrong = "is no causal model: its attention sees the future"
        elif given.get("softcap"):
            wrong = "caps its scores, so that they are no inner products of queries and keys"
        elif (given.get("sliding_window") or math.inf) < query.shape[2]:
            window = given["sliding_window"]
            wrong = f"sees {window} tokens back, fewer than a block's {query.shape[2]}: shorten it"
        elif self._head_dim not in (None, query.shape[-1]):
            wrong = (
                f"has heads of unequal size: {self._head_dim} dimensions, and {query.shape[-1]} in"
                f" layer {len(self.digests)}"
            )
        if wrong:
            raise SourceUnavailableError(f"{self._name} {wrong}.")
        self._head_dim = query.shape[-1]


def _listen(model: LanguageModel, blocks: np.ndarray, folder: Path) -> list[str]:
    """Writes one file a layer; one forward pass of all blocks, without the output layer."""
    import torch
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    listener = _Listener(model.name, folder)
    AttentionInterface.register(LISTENER, listener)
    AttentionMaskInterface.register(LISTENER, sdpa_mask)
    before = model.model.config._attn_implementation
    model.model.set_attn_implementation(LISTENER)
    try:
        with torch.no_grad():
            model.model.base_model(torch.from_numpy(blocks), use_cache=False)
    finally:
        model.model.set_attn_implementation(before)
    if not listener.digests:
        raise SourceUnavailableError(
            f"{model.name} has no attention that transformers lets others listen to."
        )
    return listener.digests


def _digest(arrays: list[np.ndarray]) -> str:
    h = hashlib.sha256()
    for array in arrays:
        h.update(str(array.shape).encode())
        h.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return h.hexdigest()
