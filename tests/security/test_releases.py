"""Releases and models on disk are files that anyone may have written."""

import gzip
import io
import json
import os
import pickle
import struct
import zlib

import pytest

from bench.cli import run_words
from tasks.api import SourceUnavailableError
from tasks.data import text_release
from tests.tasks.test_pathfinder_release import load_release, request, write_release


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb(side: int) -> bytes:
    """A picture of side x side white pixels in a few bytes for each of its rows."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99)))


@pytest.mark.parametrize(
    "line",
    [
        "../../../.. outside.png 0 1",
        "imgs/2/../../.. outside.png 0 1",
        "imgs ../../outside.png 0 1",
        "/etc passwd 0 1",
        "imgs/2 /etc/passwd 0 1",
        "imgs/2 a\0b.png 0 1",
        "imgs/2 sample_0.png \u00b2 1",
        f"imgs/2 sample_0.png {'9' * 5000} 1",
        "imgs/2 sample_0.png 0 12",
        "imgs/2 sample_0.png -1 1",
    ],
)
def test_a_release_names_no_file_outside_it_and_no_number_that_is_none(tmp_path, line):
    pytest.importorskip("PIL")
    root = write_release(tmp_path / "release")
    (tmp_path / "outside.png").write_bytes((root / "imgs/2/sample_0.png").read_bytes())
    with (root / "metadata/2.npy").open("a") as metadata:
        metadata.write(line + " 1.0 14\n")
    with pytest.raises(SourceUnavailableError, match=r"line 11: expected a folder and a file"):
        load_release(request(tmp_path / "release"))


@pytest.mark.parametrize("side", [10_000, 30_000])
def test_a_picture_that_would_fill_memory_is_not_unpacked(tmp_path, side):
    pytest.importorskip("PIL")
    root = write_release(tmp_path)
    (root / "imgs/2/sample_0.png").write_bytes(bomb(side))
    with pytest.raises(SourceUnavailableError, match="pixels, not 32 x 32"):
        load_release(request(tmp_path))


def test_a_picture_of_another_kind_is_not_opened(tmp_path):
    image = pytest.importorskip("PIL.Image")
    root = write_release(tmp_path)
    written = io.BytesIO()
    image.new("L", (32, 32)).save(written, "tiff")
    (root / "imgs/2/sample_0.png").write_bytes(written.getvalue())
    with pytest.raises(SourceUnavailableError, match="not a readable picture"):
        load_release(request(tmp_path))


@pytest.mark.parametrize("line", ["[" * 100_000, '{"text": "\\ud800"}', '{"text": 1}', "[1]", "9"])
def test_a_line_that_is_no_text_is_named(tmp_path, line):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n' + line + "\n")
    with pytest.raises(SourceUnavailableError, match="line 2: no object of JSON"):
        list(text_release._texts(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.txt.gz", b"x" * 2**13), ("a.txt.gz", b"x\n" * 2**12), ("a.jsonl.gz", b"x" * 2**13)],
    ids=["one line", "many lines", "a line of JSON"],
)
def test_a_document_of_gzip_that_would_fill_memory_is_refused(tmp_path, monkeypatch, name, content):
    monkeypatch.setattr(text_release, "LONGEST", 2**12)
    (tmp_path / name).write_bytes(gzip.compress(content))
    with pytest.raises(SourceUnavailableError, match="divide it"):
        list(text_release._texts(tmp_path / name))


@pytest.mark.parametrize("values", [[1, 2], [b"\xff"], [["a"]], [{"a": 1}]])
def test_a_column_of_anything_but_text_is_refused(tmp_path, values):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": values}), tmp_path / "a.parquet")
    with pytest.raises(SourceUnavailableError, match="no table of parquet with a column 'text'"):
        list(text_release._texts(tmp_path / "a.parquet"))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.txt").symlink_to("/proc/self/mem")
    with pytest.raises(SourceUnavailableError, match=r"a\.txt cannot be read"):
        list(text_release._texts(tmp_path / "a.txt"))


class Payload:
    """Runs a command where it is unpickled."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self):
        return os.system, (self._command,)


def test_weights_that_would_run_code_are_refused(tmp_path):
    pytest.importorskip("transformers")
    from tasks.data.models import load_model
    from tests.tasks.test_tokenizers import save_model, word_tokenizer

    save_model(tmp_path / "model", word_tokenizer())
    (tmp_path / "model/model.safetensors").unlink()
    content = pickle.dumps(Payload(f"touch {tmp_path}/ran"), protocol=2)
    (tmp_path / "model/pytorch_model.bin").write_bytes(content)
    with pytest.raises(SourceUnavailableError, match="no causal language model"):
        load_model(str(tmp_path / "model"), None)
    assert not (tmp_path / "ran").exists()
    # The payload is live: it is only that nothing may unpickle it.
    pickle.loads(content)  # noqa: S301
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"\xff" * 99, b"\x08" + bytes(7) + b"{}      "], ids=len)
def test_damaged_weights_are_one_sentence(tmp_path, content):
    pytest.importorskip("transformers")
    from tasks.data.models import load_model
    from tests.tasks.test_tokenizers import save_model, word_tokenizer

    save_model(tmp_path / "model", word_tokenizer())
    (tmp_path / "model/model.safetensors").write_bytes(content)
    with pytest.raises(SourceUnavailableError):
        load_model(str(tmp_path / "model"), None)


@pytest.mark.parametrize("name", ["../../etc", "/etc", "~/nothing", "a/../../b", ".."])
def test_a_model_s_name_is_a_path_to_a_model_or_a_sentence(name):
    pytest.importorskip("transformers")
    from tasks.data.models import load_model

    with pytest.raises(SourceUnavailableError):
        load_model(name, None)


@pytest.mark.parametrize("words", [["compare", "--results", "\udce9"], ["list", "\x1b[2J"]])
def test_what_is_typed_is_answered_without_what_a_terminal_obeys(capsys, words):
    assert run_words(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: ")
    assert "\x1b" not in said


def test_nothing_that_a_record_names_is_imported(tmp_path, capsys):
    from tests.results.records import fake_identity, fake_record

    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    locator = f"{tmp_path / 'evil.py'}:METHOD"
    document = json.loads(fake_record(fake_identity(locator, locator)).model_dump_json())
    document["same_as"] = locator
    (tmp_path / "a.json").write_text(json.dumps(document))
    assert run_words(["compare", "--results", str(tmp_path)]) == 0
    assert "evil" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()
