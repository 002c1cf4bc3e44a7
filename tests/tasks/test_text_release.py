"""Laws of text on disk: every kind of file, its split, and what is said of what cannot be read."""

import gzip
import json

import pytest

from tasks.api import LoadRequest, SourceUnavailableError
from tasks.data.text_release import RELEASE
from tests.fakes.documents import DOCUMENTS, read, require_no_shared_words, words
from tests.tasks.test_packing import request


def write_lines(file, texts, opened=open) -> None:
    with opened(file, "wt", encoding="utf-8") as stream:
        for text in texts:
            stream.write(json.dumps({"text": text, "other": 1}) + "\n\n")


def fill(folder, kind: str) -> None:
    """The documents in two files of this kind."""
    folder.mkdir()
    for number, texts in enumerate((DOCUMENTS[:250], DOCUMENTS[250:])):
        file = folder / f"{number}{kind}"
        if kind == ".parquet":
            import pyarrow
            from pyarrow import parquet

            table = pyarrow.table({"id": range(len(texts)), "text": [*texts[:-1], None]})
            parquet.write_table(table, file)
        else:
            write_lines(file, texts, gzip.open if kind.endswith(".gz") else open)


@pytest.mark.parametrize("kind", [".jsonl", ".json.gz", ".parquet"])
def test_documents_of_every_kind_of_file_are_split_and_none_is_in_two_parts(tmp_path, kind):
    if kind == ".parquet":
        pytest.importorskip("pyarrow")
    fill(tmp_path / "text", kind)
    asked = request(path=tmp_path / "text", train_blocks=600, test_blocks=8)
    found = RELEASE.load(asked)
    require_no_shared_words(found)
    assert read(found.train)[:20] in [text.encode()[:20] for text in DOCUMENTS[:10]]
    assert "by hash of documents" in found.what


def test_a_folder_that_moves_gives_the_same_blocks(tmp_path):
    fill(tmp_path / "text", ".jsonl")
    before = RELEASE.load(request(path=tmp_path / "text")).digest
    (tmp_path / "text").rename(tmp_path / "moved")
    assert RELEASE.load(request(path=tmp_path / "moved")).digest == before


def test_text_files_are_documents_and_hidden_ones_are_not(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    for number, text in enumerate(DOCUMENTS):
        (tmp_path / "deep" / "er" / f"{number:03}.txt").write_text(text)
    (tmp_path / ".git" / "hidden.txt").write_text("XYZ " * 4000)
    found = RELEASE.load(request(path=tmp_path, train_blocks=900, test_blocks=20))
    require_no_shared_words(found)
    assert b"X" not in read(found.train)


@pytest.mark.parametrize("name", ["book.txt", "book.txt.gz"])
@pytest.mark.parametrize("as_folder", [True, False])
def test_a_lone_text_is_split_by_place(tmp_path, name, as_folder):
    text = words(2_000)
    opened = gzip.open if name.endswith(".gz") else open
    with opened(tmp_path / name, "wt") as stream:
        stream.write(text)
    path = tmp_path if as_folder else tmp_path / name
    found = RELEASE.load(request(path=path, train_blocks=600, validation_blocks=30))
    require_no_shared_words(found)
    assert text.startswith(read(found.train[:3]).decode())
    place = text.index(read(found.test[0]).decode())
    assert abs(place - 0.95 * len(text)) < 10
    assert "by place" in found.what


def test_a_changed_folder_is_read_again_though_its_blocks_are_kept(tmp_path):
    file = tmp_path / "text" / "one.txt"
    file.parent.mkdir()
    file.write_text(words(2_000))
    asked = request(path=file.parent, cache=tmp_path / "cache")
    before = RELEASE.load(asked).digest
    assert RELEASE.load(asked).digest == before
    file.write_text(words(2_001, seed=1))
    assert RELEASE.load(asked).digest != before


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", b"\xff\xfe\xfa" * 99, r"a\.txt is no text in UTF-8"),
        ("a.jsonl", b'{"text": "fine"}\nnot json', r"a\.jsonl, line 2: no object of JSON"),
        ("a.json", b'{"content": "no text"}', r"a\.json, line 1: no object of JSON"),
        ("a.json", b'[{"text": "a list"}]', r"a\.json, line 1: no object of JSON"),
        ("a.jsonl.gz", b"no gzip", r"a\.jsonl\.gz is no whole file of gzip"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "cut"}' * 99, mtime=0)[:-9], r"is no whole file"),
        ("a.parquet", b"no table", r"a\.parquet is no table of parquet"),
        ("a.txt", b"short", r"has 6 tokens for train, fewer .* No number of blocks fits\."),
        (
            "a.jsonl",
            json.dumps({"text": words(400)}).encode(),
            r"has 0 tokens for \w+, fewer .* Give more documents, or one text file",
        ),
        ("a.pdf", b"%PDF", r"holds no text: \.txt, \.jsonl or \.json"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, name, content, sentence):
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceUnavailableError, match=sentence) as caught:
        RELEASE.load(request(path=tmp_path))
    assert "\n" not in str(caught.value)


def test_a_table_without_a_column_of_text_is_named(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"words": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(SourceUnavailableError, match=r"with a column 'text'"):
        RELEASE.load(request(path=tmp_path))


def test_planning_is_told_what_is_missing(tmp_path):
    def missing(path):
        return RELEASE.missing(LoadRequest(data={}, path=path))

    assert "name it with `--source PATH`" in missing(None)
    assert "there is no folder or file" in missing(tmp_path / "nowhere")
    assert "holds no text" in missing(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    assert missing(tmp_path) is None
    assert missing(tmp_path / "a.txt") is None
