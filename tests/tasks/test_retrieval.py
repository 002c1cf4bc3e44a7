"""Laws of Retrieval: drawn pairs and the release's files."""

import numpy as np
import pytest

from tasks.api import LoadRequest, SourceUnavailableError
from tasks.data.pairs import draw_pairs
from tasks.lra.retrieval import DEFAULTS, FILES, TASK

ROWS = [
    b'1\tA00-1\tB01-2\t"quoted" text, "" twice\tsecond text',
    b"0.0\tA00-3\tB01-4\tplain\t caf\xc3\xa9 and more than twenty bytes",
    b"1.0\tA00-5\tB01-6\t\tempty on the left",
]


def write_release(folder):
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(b"".join(row + b"\n" for row in ROWS))


def release(path, **changed):
    return TASK.source("release").load(LoadRequest(data={**DEFAULTS, **changed}, path=path))


def packaged(**changed):
    return TASK.source("packaged").load(LoadRequest(data={**DEFAULTS, **changed}))


def said(split, row, tower):
    return bytes((split.tokens[row, tower, : split.lengths[row, tower]] - 1).tolist())


@pytest.mark.parametrize("nesting", ["", "tsv_data", "lra_release/lra_release/tsv_data"])
def test_a_quotation_mark_is_a_byte_like_any_other(tmp_path, nesting):
    write_release(tmp_path / "root" / nesting)
    data = release(tmp_path / "root")
    assert said(data.test, 0, 0) == b'"quoted" text, "" twice'
    assert said(data.test, 0, 1) == b"second text"
    assert data.test.labels.tolist() == [1, 0, 1]


def test_an_empty_text_becomes_one_blank(tmp_path):
    write_release(tmp_path / "root")
    assert said(release(tmp_path / "root").train, 2, 0) == b" "


def test_both_texts_are_cut_at_max_length(tmp_path):
    write_release(tmp_path / "root")
    data = release(tmp_path / "root", max_length=20, num_train=2)
    assert data.train.tokens.shape == (2, 2, 20)
    assert said(data.train, 1, 1) == " café and more than twenty bytes".encode()[:20]


def test_a_missing_file_is_named(tmp_path):
    write_release(tmp_path / "tsv_data")
    (tmp_path / "tsv_data" / FILES[1]).unlink()
    with pytest.raises(SourceUnavailableError, match=rf"lacks {FILES[1]}.*tsv_data"):
        release(tmp_path)


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(SourceUnavailableError, match="absent does not exist"):
        release(tmp_path / "absent")


@pytest.mark.parametrize("row", [b"1\ta\tb\tone text", b"2\ta\tb\tx\ty", b"1\ta\tb\tx\ty\tz"])
def test_a_malformed_line_is_named_with_its_number(tmp_path, row):
    write_release(tmp_path / "root")
    (tmp_path / "root" / FILES[2]).write_bytes(b"\n".join([*ROWS, row]))
    with pytest.raises(SourceUnavailableError, match=f"{FILES[2]}, line 4"):
        release(tmp_path / "root")


COUNTS = [2, 9, 5, 7, 3, 4]
YEARS = [1790, 1800, 1850, 1850, 1930, 1990]


@pytest.mark.parametrize("num", [1, 12, 31])
def test_half_of_the_pairs_are_of_one_document(num):
    documents, _, labels = draw_pairs(COUNTS, num, seed=0, years=YEARS)
    assert len(labels) == num
    assert labels.sum() == num // 2
    np.testing.assert_array_equal(documents[:, 0] == documents[:, 1], labels == 1)


def test_the_passages_of_a_pair_differ():
    documents, passages, labels = draw_pairs(COUNTS, 60, seed=0, years=YEARS)
    assert (passages[labels == 1, 0] != passages[labels == 1, 1]).all()
    assert (passages < np.array(COUNTS)[documents]).all()


def test_no_pair_comes_twice_not_even_reversed():
    documents, passages, _ = draw_pairs(COUNTS, 60, seed=0, years=YEARS)
    pairs = {
        frozenset([(d[0], p[0]), (d[1], p[1])])
        for d, p in zip(documents.tolist(), passages.tolist(), strict=True)
    }
    assert len(pairs) == 60


def test_more_pairs_than_there_are_get_a_sentence():
    with pytest.raises(ValueError, match="distinct pairs of one document"):
        draw_pairs([2, 2, 2], 8, seed=0, years=YEARS[:3])


@pytest.mark.parametrize("years_apart", [0, 60])
def test_one_side_of_a_pair_says_nothing_about_its_label(years_apart):
    years = range(1790, 1990, 20)
    documents, _, labels = draw_pairs([40] * 10, 4000, seed=3, years=years, years_apart=years_apart)
    for side in (0, 1):
        shown = [labels[documents[:, side] == d] for d in range(10)]
        errors = [(s.mean() - 0.5) / np.sqrt(0.25 / len(s)) for s in shown]
        assert np.abs(errors).max() < 4


def test_two_documents_lie_as_far_apart_as_asked():
    documents, _, labels = draw_pairs(COUNTS, 40, seed=0, years=YEARS, years_apart=60)
    years = np.array(YEARS)[documents[labels == 0]]
    assert np.abs(years[:, 0] - years[:, 1]).min() >= 60


def test_a_distance_that_no_two_documents_have_gets_a_sentence():
    with pytest.raises(ValueError, match="no two documents lie 300 years apart"):
        draw_pairs(COUNTS, 4, seed=0, years=YEARS, years_apart=300)


def test_no_passage_is_in_two_splits():
    data = packaged(max_length=1000, num_train=300, num_validation=100, num_test=300)
    parts = [
        {said(split, row, tower) for row in range(len(split)) for tower in (0, 1)}
        for split in (data.train, data.validation, data.test)
    ]
    assert sum(map(len, parts)) == len(set.union(*parts))


def test_the_pairs_are_the_same_on_every_machine():
    data = packaged(max_length=1000, num_train=30, num_validation=10, num_test=20)
    assert data.digest == "19e432cd22b594914fb30a5175c3fa3fde0de78a7b329ec7dff14dbac35910fa"
