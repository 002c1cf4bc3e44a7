"""Fuzz targets of data files and of what is typed; each raises only where we are wrong."""

import contextlib
import dataclasses
import functools
import gzip
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from bench.errors import UsageError
from bench.selector import coerce, parse_pairs, parse_selector, resolve_options
from bench.settings import apply_settings, check_settings
from tasks.api import LoadRequest, SourceUnavailableError
from tasks.data.images import cifar_records
from tasks.data.pathfinder_release import load_release
from tasks.data.pathfinder_sources import pathfinder_data
from tasks.data.text_release import _texts, why_folder_is_missing
from tasks.lra import listops, retrieval
from tests.security.mutations import TEXTS, Tape, damaged

LISTOPS = b"Source\tTarget\n" + b"( ( ( ( [MAX 2 ) 9 ) [MIN 4 7 ] ) ) ]\t9\n" * 3
PAIRS = b"1\tA00-1\tB01-2\tsome text\tanother text\n0.0\tA\tB\tx\ty\n" * 3
LINES = b'{"text": "one", "other": 1}\n\n{"text": "two \\u00e9"}\n' * 3
NUM_PICTURES = 10


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    with contextlib.suppress(SourceUnavailableError):
        yield


@contextlib.contextmanager
def _file(name: str, content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(content)
        yield file


def listops_release(data: bytes) -> None:
    """Of a damaged file of expressions every token is a symbol, or a line is refused."""
    with _file("a.tsv", damaged(LISTOPS, Tape(data))) as file, _refusals():
        split = listops.read_tsv(file, 100, 50)
        assert split.tokens.max() < listops.VOCABULARY
        assert split.labels.max() <= 9


def retrieval_release(data: bytes) -> None:
    """Of a damaged file of pairs all labels are 0 or 1, or a line is refused."""
    with _file("a.tsv", damaged(PAIRS, Tape(data))) as file, _refusals():
        split = retrieval.read_tsv(file, 0, 50)
        assert set(split.labels.tolist()) <= {0, 1}


def cifar_release(data: bytes) -> None:
    """A damaged file of images has whole images with labels, or is refused."""
    with _refusals():
        images, labels = cifar_records(damaged(bytes(2 * 3073), Tape(data)), "a.bin")
        assert len(images) == len(labels)


@functools.cache
def _picture() -> bytes:
    from PIL import Image

    written = io.BytesIO()
    pixels = np.arange(32 * 32, dtype=np.uint32).astype(np.uint8).reshape(32, 32)
    Image.fromarray(pixels).save(written, "png")
    return written.getvalue()


def pathfinder_release(data: bytes) -> None:
    """Damaged pictures and metadata of a release are read, or refused."""
    tape = Tape(data)
    lines = "".join(f"imgs/0 s{i}.png {i} {i % 2} 1.0 14\n" for i in range(NUM_PICTURES))
    metadata, picture = lines.encode(), _picture()
    if tape.below(2):
        metadata = damaged(metadata, tape)
    else:
        picture = damaged(picture, tape)
    settings = {"num_train": 9, "num_validation": 9, "num_test": 9}
    request = pathfinder_data(**settings, side=32, contour_length=14)
    with tempfile.TemporaryDirectory() as folder, _refusals():
        root = Path(folder) / "pathfinder32/curv_contour_length_14"
        (root / "metadata").mkdir(parents=True)
        (root / "imgs/0").mkdir(parents=True)
        (root / "metadata/0.npy").write_bytes(metadata)
        for i in range(NUM_PICTURES):
            (root / f"imgs/0/s{i}.png").write_bytes(picture)
        load_release(LoadRequest(data=request, path=Path(folder)))


@functools.cache
def _table() -> bytes:
    import pyarrow
    from pyarrow import parquet

    written = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": ["one", "two", None] * 5}), written)
    return written.getvalue()


def text_files(data: bytes) -> None:
    """Every document of a damaged file of text is text that can be encoded."""
    tape = Tape(data)
    kind, sound = tape.choice(
        (
            (".txt", LINES),
            (".jsonl", LINES),
            (".json.gz", gzip.compress(LINES, mtime=0)),
            (".parquet", _table()),
        )
    )
    with _file(f"a{kind}", damaged(sound, tape)) as file, _refusals():
        assert why_folder_is_missing(LoadRequest(data={}, path=file)) is None
        for text in _texts(file):
            text.encode()


@dataclasses.dataclass(frozen=True)
class _Option:
    name: str
    annotation: object
    default: object


OPTIONS = {
    option.name: option
    for option in (
        _Option("num_features", int | None, None),
        _Option("orthogonal", bool, True),
        _Option("kind", Literal["a", "b"], "a"),
        _Option("scale", float | Literal["auto"], "auto"),
        _Option("name", str, ""),
    )
}


def selectors(data: bytes) -> None:
    """What is typed for `--methods` and `--set` means something, or is refused in a sentence."""
    tape = Tape(data)
    pieces = (*OPTIONS, *TEXTS, ":", "=", ",", "none", "true", "1e999", "0x10", "9" * 5_000, ".py")
    text = "".join(tape.choice(pieces) for _ in range(tape.below(9)))
    text += tape.rest().decode(errors="replace")
    for ask in (_method, _settings):
        with contextlib.suppress(UsageError):
            ask(text)


def _method(text: str) -> None:
    selector = parse_selector(text)
    values = resolve_options(selector.options, OPTIONS, owner=selector.what)
    assert set(values) == set(OPTIONS)
    json.dumps(values)


def _settings(text: str) -> None:
    given = parse_pairs(text.split(","))
    check_settings({key: "" for key in given if key == "steps"}, [listops.QUICK])
    apply_settings(listops.QUICK, given)
    coerce(text, int | float | bool | None, key="key", owner="owner")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "listops": listops_release,
    "retrieval": retrieval_release,
    "cifar": cifar_release,
    "pathfinder": pathfinder_release,
    "text": text_files,
    "selectors": selectors,
}
