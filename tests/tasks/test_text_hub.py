"""Laws of C4 from the hub: pinned shards in order, and what is said where there is no network."""

import gzip
import json

import pytest

from tasks.api import LoadRequest, SourceUnavailableError
from tasks.data import hub, text_hub
from tasks.data.packing import PARTS
from tasks.data.text_hub import C4, HUB, SHARDS
from tests.fakes.documents import DOCUMENTS, read, require_no_shared_words
from tests.tasks.test_packing import request


@pytest.fixture
def shards(tmp_path, monkeypatch):
    """A folder in the hub's place, with two shards of training and one of each other part."""
    pytest.importorskip("datasets")
    names = {part: files[:2] for part, files in SHARDS.items()}
    number = 0
    for files in names.values():
        for name in files:
            file = tmp_path / "hub" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with gzip.open(file, "wt", encoding="utf-8") as stream:
                for text in DOCUMENTS[number : number + 40]:
                    stream.write(json.dumps({"text": text, "url": "here"}) + "\n")
            number += 40
    monkeypatch.setattr(text_hub, "SHARDS", names)
    monkeypatch.setattr(text_hub, "C4", (str(tmp_path / "hub"), "main"))
    monkeypatch.setattr(hub, "_hub_answers", lambda endpoint: True)
    return names


def test_every_part_is_the_first_documents_of_its_own_shards(shards):
    found = HUB.load(request(length=32, train_blocks=80))
    assert read(found.train) == "\0".join(DOCUMENTS).encode()[: 80 * 32]
    assert read(found.validation) == "\0".join(DOCUMENTS[80:]).encode()[:64]
    assert read(found.test) == "\0".join(DOCUMENTS[120:]).encode()[:96]
    require_no_shared_words(found)


def test_the_named_shards_and_revision_are_c4_s():
    assert len(C4[1]) == 40
    every = [file for part in PARTS for file in SHARDS[part]]
    assert len(set(every)) == len(every)
    assert SHARDS["train"][63] == "en/c4-train.00063-of-01024.json.gz"


def test_an_unreachable_hub_is_answered_with_how_to_get_the_text(shards, monkeypatch):
    monkeypatch.setattr(hub, "_hub_answers", lambda endpoint: False)
    with pytest.raises(SourceUnavailableError) as caught:
        HUB.load(request())
    assert "does not answer. C4 is streamed: connect" in str(caught.value)
    assert "--source PATH" in str(caught.value)


@pytest.mark.parametrize("when", ["opening", "reading"])
def test_a_hub_that_goes_away_is_answered_with_how_to_get_the_text(shards, monkeypatch, when):
    import datasets

    def rows():
        yield {"text": "a document"}
        raise ConnectionError("Server disconnected.")

    def fail(*given, **options):
        if when == "opening":
            raise ConnectionError("Couldn't reach it.")
        return rows()

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(SourceUnavailableError, match=r"cannot be fetched: .*[^.]\. C4 is"):
        HUB.load(request())


def test_a_missing_client_is_named_before_anything_runs(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install datasets" in HUB.missing(LoadRequest(data={}))
