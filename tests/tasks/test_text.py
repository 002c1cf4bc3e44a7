"""Laws of Text: the hub's rows, the speeches, and what is said without a network."""

import os
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np

from tasks.api import LoadRequest
from tasks.data.speeches import part_of, passages, speeches
from tasks.lra.text import DEFAULTS, TASK, reviews

OFFLINE = """
from tasks.api import LoadRequest, SourceUnavailableError
from tasks.lra.text import TASK
try:
    TASK.source("hub").load(LoadRequest(data={}))
except SourceUnavailableError as error:
    print(error)
"""


def imdb(num_train=40, num_test=30):
    """Rows as the hub gives them: sorted by label, any Unicode."""

    def rows(num, name):
        labels = [int(i >= num // 2) for i in range(num)]
        texts = [f"{name} {i} é<br />" + "x" * i for i in range(num)]
        return datasets.Dataset.from_dict({"text": texts, "label": labels})

    return datasets.DatasetDict(train=rows(num_train, "train"), test=rows(num_test, "test"))


def said(split, row):
    return bytes((split.tokens[row, 0, : split.lengths[row, 0]] - 1).tolist()).decode()


def packaged(**changed):
    return TASK.source("packaged").load(LoadRequest(data={**DEFAULTS, **changed}))


def test_a_review_is_its_bytes():
    data = reviews(imdb(), DEFAULTS)
    assert {said(data.test, row) for row in range(30)} == set(imdb()["test"]["text"])


def test_a_review_is_cut_at_max_length():
    data = reviews(imdb(), {**DEFAULTS, "max_length": 9})
    assert data.train.tokens.shape == (36, 1, 9)
    assert said(data.test, 0) == "test 0 é"


def test_validation_reviews_come_from_the_training_set_and_leave_it():
    data = reviews(imdb(), {**DEFAULTS, "num_validation": 10})
    train = {said(data.train, row) for row in range(len(data.train))}
    validation = {said(data.validation, row) for row in range(len(data.validation))}
    assert len(train) == 30
    assert len(validation) == 10
    assert train | validation == set(imdb()["train"]["text"])


def test_both_classes_are_held_out_in_their_share():
    data = reviews(imdb(), {**DEFAULTS, "num_validation": 10})
    assert np.bincount(data.validation.labels).tolist() == [5, 5]
    assert np.bincount(data.train.labels).tolist() == [15, 15]


def test_labels_stay_with_their_reviews():
    rows = imdb()
    data = reviews(rows, DEFAULTS)
    known = dict(zip(rows["train"]["text"], rows["train"]["label"], strict=True))
    for split in (data.train, data.validation):
        assert all(known[said(split, i)] == label for i, label in enumerate(split.labels))


def test_fewer_test_reviews_can_be_asked_for():
    assert len(reviews(imdb(), {**DEFAULTS, "num_test": 7}).test) == 7


def test_without_a_network_the_hub_gives_a_sentence_and_what_to_do(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", OFFLINE],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "stanfordnlp/imdb cannot be fetched" in run.stdout
    assert "--source" in run.stdout


def test_an_endpoint_that_does_not_answer_is_told_at_once(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    run = subprocess.run(
        [sys.executable, "-c", OFFLINE],
        env={**environment, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "the Hugging Face hub does not answer" in run.stdout


def test_passages_are_whole_words_and_lose_only_a_short_end():
    text = b" ".join(b"w%d" % i for i in range(500))
    found = passages(text, 33)
    assert max(map(len, found)) <= 33
    joined = b" ".join(found)
    assert text.startswith(joined)
    assert len(text) - len(joined) <= 33


def test_a_text_without_blanks_is_cut_all_the_same():
    assert passages(b"x" * 25, 10) == [b"x" * 10, b"x" * 10, b"x" * 5]


def test_no_president_is_in_two_parts():
    presidents = list(dict.fromkeys(speech.president for speech in speeches()))
    assert len(presidents) == 43
    parts = [part_of(i) for i in range(len(presidents))]
    assert [parts.count(p) for p in ("train", "validation", "test")] == [30, 5, 8]


def test_transcripts_do_not_betray_themselves():
    assert not any(b"[Laughter]" in s.text or b"[Applause]" in s.text for s in speeches())


def test_both_deliveries_are_equally_frequent_in_every_split():
    data = packaged(max_length=512)
    for split in (data.train, data.validation, data.test):
        written, spoken = np.bincount(split.labels)
        assert written == spoken


def test_a_passage_carries_the_label_of_its_speech():
    data = packaged(max_length=300, num_train=50, num_validation=20, num_test=20)
    written = b"\n".join(s.text for s in speeches() if not s.spoken).decode()
    spoken = b"\n".join(s.text for s in speeches() if s.spoken).decode()
    for row, label in enumerate(data.test.labels):
        assert said(data.test, row) in (spoken if label else written)


def test_the_speeches_are_the_same_on_every_machine():
    data = packaged(max_length=300, num_train=50, num_validation=20, num_test=20)
    assert data.digest == "13051daab74278c66e77dae0d2c6fdf6141e3c6bb400f763c1b5b0254763f150"
