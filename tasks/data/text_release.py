"""A folder of text on disk, or one file, for next-token prediction.

Documents are whole .txt files, lines of JSON (.jsonl, .json) with a field `text`, each of them
also as .gz, and rows of .parquet with a column `text`.
"""

import gzip
import hashlib
import importlib.util
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from tasks.api import LoadRequest, SourceUnavailableError
from tasks.data.packing import Part, corpus, first_blocks
from tasks.language import Blocks, Corpus, TextRequest, TextSource

TEXT, LINES, TABLE = (".txt",), (".jsonl", ".json"), (".parquet",)
LONGEST = 2**30
"""Characters of one document. A file of gzip may unpack to more than a machine holds."""
SHARES: dict[Part, range] = {
    "train": range(90),
    "validation": range(90, 95),
    "test": range(95, 100),
}
"""In hundredths, of documents by their hash, or of a lone text by place."""


def load_folder(request: TextRequest) -> Corpus:
    """Each part's documents in the order of their files' names.

    A document's part hangs on its file's name and its number there. A lone text file is one
    document for all parts: its first 90 hundredths are for training, and so on.
    """
    path, files = _require_files(request.path)
    lone = files[0] if len(files) == 1 and _kind(files[0]) in TEXT else None

    def make(part: Part) -> Blocks:
        texts = _slice(lone, part) if lone else _documents(path, files, part)
        advice = "Give more documents, or one text file, which is split by place."
        return first_blocks(texts, request, part, str(path), advice="" if lone else advice)

    split = "by place in its one text" if lone else "by hash of documents"
    what = f"{path.name}: {len(files)} files, split {split} (90, 5 and 5 %), in order of names."
    return corpus(request, "folder", _digest(path, files), make, what)


def why_folder_is_missing(request: LoadRequest) -> str | None:
    """A sentence about a path without any file of text, or None."""
    try:
        _require_files(request.path)
    except SourceUnavailableError as error:
        return str(error)
    return None


def _require_files(path: Path | None) -> tuple[Path, list[Path]]:
    if path is None:
        raise SourceUnavailableError("no folder of text was given: name it with `--source PATH`.")
    if not path.exists():
        raise SourceUnavailableError(f"there is no folder or file {path}.")
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    seen = [file for file in files if not _is_hidden(file.relative_to(path))]
    found = [file for file in seen if _kind(file) in (*TEXT, *LINES, *TABLE) and file.is_file()]
    if not found:
        raise SourceUnavailableError(
            f"{path} holds no text: .txt, .jsonl or .json (each also as .gz) or .parquet."
        )
    return path, found


def _is_hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def _kind(file: Path) -> str:
    return Path(file.stem).suffix if file.suffix == ".gz" else file.suffix


def _digest(path: Path, files: list[Path]) -> str:
    digest = hashlib.sha256(str(path).encode())
    for file in files:
        stat = file.stat()
        digest.update(f"{_name(path, file)} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()


def _name(path: Path, file: Path) -> str:
    return file.name if file == path else file.relative_to(path).as_posix()


def _documents(path: Path, files: list[Path], part: Part) -> Iterator[str]:
    for file in files:
        for number, text in enumerate(_texts(file)):
            key = f"{_name(path, file)}#{number}".encode()
            if int.from_bytes(hashlib.sha256(key).digest()[:8]) % 100 in SHARES[part]:
                yield text


def _texts(file: Path) -> Iterator[str]:
    kind = _kind(file)
    if kind in TABLE:
        return _rows(file)
    return _records(file) if kind in LINES else iter([_whole(file)])


def _whole(file: Path) -> str:
    lines, length = [], 0
    for line in _lines(file):
        lines.append(line)
        length += len(line)
        if length > LONGEST:
            raise _too_long(file)
    return "".join(lines)


def _too_long(file: Path) -> SourceUnavailableError:
    return SourceUnavailableError(
        f"{file} has a document of more than {LONGEST // 2**20} million characters: divide it."
    )


def _lines(file: Path) -> Iterator[str]:
    opened = gzip.open if file.suffix == ".gz" else open
    try:
        with opened(file, "rt", encoding="utf-8") as stream:
            while line := stream.readline(LONGEST + 1):
                if len(line) > LONGEST:
                    raise _too_long(file)
                yield line
    except UnicodeDecodeError:
        raise SourceUnavailableError(f"{file} is no text in UTF-8.") from None
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise SourceUnavailableError(f"{file} is no whole file of gzip.") from None
    except OSError as error:
        raise SourceUnavailableError(f"{file} cannot be read: {error.strerror or error}.") from None


def _records(file: Path) -> Iterator[str]:
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        try:
            text = json.loads(line)["text"]
            # Half of a pair of UTF-16 can be written in JSON, and is no text.
            text.encode()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            text = None
        if not isinstance(text, str):
            raise SourceUnavailableError(
                f"{file}, line {number}: no object of JSON with a text under 'text'."
            )
        yield text


def _rows(file: Path) -> Iterator[str]:
    if importlib.util.find_spec("pyarrow") is None:
        raise SourceUnavailableError(
            f"reading {file} needs the package 'pyarrow': `pip install pyarrow`."
        )
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as table:
            kind = table.schema_arrow.field("text").type
            if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
                raise KeyError(f"it holds {kind}")
            for batch in table.iter_batches(columns=["text"]):
                yield from (text or "" for text in batch.column("text").to_pylist())
    except (pyarrow.ArrowException, KeyError, OSError, ValueError) as error:
        first = (str(error).strip("' \n").splitlines() or ["it is damaged"])[0].rstrip(".")
        raise SourceUnavailableError(
            f"{file} is no table of parquet with a column 'text': {first}."
        ) from error


def _slice(file: Path, part: Part) -> Iterator[str]:
    """Cut where words end, so that no word is in two parts."""
    text = _whole(file)

    def cut(share: int) -> int:
        place = len(text) * share // 100
        space = text.find(" ", place)
        return len(text) if share == 100 or space < 0 else space

    shares = SHARES[part]
    yield text[cut(shares.start) if shares.start else 0 : cut(shares.stop)]


RELEASE = TextSource(
    name="release",
    title="text in a folder or a file",
    load=load_folder,
    missing=why_folder_is_missing,
)
