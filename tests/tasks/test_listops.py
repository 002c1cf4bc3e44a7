"""Laws of ListOps: the rules, the splits, the release's files."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tasks.api import LoadRequest, SourceUnavailableError
from tasks.data.expressions import SYMBOLS, Rules, expressions
from tasks.lra.listops import FILES, OFFICIAL, TASK

TINY = {
    "num_train": 70,
    "num_validation": 11,
    "num_test": 13,
    "min_length": 5,
    "max_length": 40,
    "max_depth": 4,
    "max_args": 5,
}
TINY_DIGEST = "cf1adec26513e60aab7613943c1a5a8bfcfbcb180bfdf6acf10c70831ba2001c"
PINNED_BY = """
from tasks.api import LoadRequest
from tasks.lra.listops import TASK
print(TASK.source("generated").load(LoadRequest(data={data})).digest)
"""
OPERATORS = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda values: int(np.median(values)),
    "[SM": lambda values: sum(values) % 10,
}


def generated(**changed):
    return TASK.source("generated").load(LoadRequest(data={**TINY, **changed}))


def release(path, **changed):
    return TASK.source("release").load(LoadRequest(data={**TINY, **changed}, path=path))


def symbols(tokens):
    return [SYMBOLS[token] for token in tokens]


def evaluated(words):
    """Value, depth and greatest number of arguments, by a stack machine."""
    stack, deepest, widest = [[]], 0, 0
    for word in words:
        deepest = max(deepest, len(stack))
        if word in OPERATORS:
            stack.append([word])
        elif word == "]":
            operator, *values = stack.pop()
            assert len(values) >= 2
            widest = max(widest, len(values))
            stack[-1].append(OPERATORS[operator](values))
        else:
            stack[-1].append(int(word))
    ((value,),) = stack
    return value, deepest, widest


@pytest.fixture(scope="module")
def official():
    texts, values = expressions(Rules(), 4000, seed=7)
    return texts, values


def test_a_label_is_the_value_of_its_expression(official):
    texts, values = official
    assert [evaluated(symbols(t))[0] for t in texts[:300]] == values[:300].tolist()


def test_lengths_lie_strictly_between_the_official_bounds(official):
    lengths = np.array([len(text) for text in official[0]])
    assert lengths.min() > 500
    assert lengths.max() < 2000


def test_lengths_are_distributed_as_the_official_rules_give(official):
    lengths = np.array([len(text) for text in official[0]])
    four_errors = 4 * lengths.std() / np.sqrt(len(lengths))
    assert abs(lengths.mean() - 1038) < four_errors
    quartiles = np.percentile(lengths, [25, 50, 75])
    np.testing.assert_allclose(quartiles, [705, 959, 1314], atol=2 * four_errors)


def test_labels_are_distributed_as_the_official_rules_give(official):
    shares = np.bincount(official[1], minlength=10) / len(official[1])
    four_errors = 4 * np.sqrt(0.17 * 0.83 / len(official[1]))
    assert abs(shares[0] - 0.169) < four_errors
    assert abs(shares[9] - 0.167) < four_errors
    assert shares[1:9].min() > 0.075 - four_errors
    assert shares[1:9].max() < 0.091 + four_errors


def test_operators_are_equally_likely(official):
    counts = np.bincount(np.frombuffer(b"".join(official[0]), dtype=np.uint8), minlength=16)
    shares = counts[11:15] / counts[11:15].sum()
    np.testing.assert_allclose(shares, 0.25, atol=4 * np.sqrt(0.19 / counts[11:15].sum()))


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_no_expression_is_deeper_or_wider_than_asked(depth):
    texts, _ = expressions(Rules(min_length=1, max_length=60, max_depth=depth, max_args=3), 300, 1)
    found = [evaluated(symbols(text)) for text in texts]
    assert max(d for _, d, _ in found) == depth
    assert max(w for _, _, w in found) == 3


def test_no_expression_comes_twice_in_any_split():
    data = generated()
    rows = np.concatenate([s.tokens[:, 0] for s in (data.train, data.validation, data.test)])
    assert len(np.unique(rows, axis=0)) == 94


def test_splits_are_as_large_as_asked():
    data = generated()
    assert [len(s) for s in (data.train, data.validation, data.test)] == [70, 11, 13]


def test_the_data_are_the_same_on_every_machine():
    assert generated().digest == TINY_DIGEST


def test_the_data_do_not_depend_on_the_hash_seed():
    run = subprocess.run(
        [sys.executable, "-c", PINNED_BY.format(data=TINY)],
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == TINY_DIGEST


def test_a_second_load_reads_the_cache_and_equals_the_first(tmp_path):
    request = LoadRequest(data=TINY, cache=tmp_path)
    first = TASK.source("generated").load(request)
    (kept,) = tmp_path.iterdir()
    written = kept.stat().st_mtime_ns
    assert TASK.source("generated").load(request).digest == first.digest
    assert kept.stat().st_mtime_ns == written


def test_a_damaged_cache_is_made_again(tmp_path):
    request = LoadRequest(data=TINY, cache=tmp_path)
    TASK.source("generated").load(request)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert TASK.source("generated").load(request).digest == TINY_DIGEST
    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"max_length": 6}, "no ListOps expression has a length"),
        ({"max_args": 1}, "max_args of at least 2"),
        ({"num_test": 0}, "at least one example"),
        (
            {"max_length": 9, "max_depth": 2, "max_args": 2, "min_length": 3, "num_train": 999},
            "400",
        ),
        ({"depth": 3}, "no data option is named 'depth'"),
        ({"max_depth": 2.5}, "whole number"),
    ],
)
def test_impossible_rules_get_a_sentence(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        generated(**changed)


def printed(words):
    """An expression in the release's notation: every application in parentheses."""
    stack = []
    for word in words:
        stack.append([word] if word in OPERATORS else word)
        if word == "]":
            stack.pop()
            arguments = []
            while not isinstance(stack[-1], list):
                arguments.append(stack.pop())
            text = stack.pop()[0]
            for argument in (*reversed(arguments), "]"):
                text = f"( {text} {argument} )"
            stack.append(text)
    return stack[0]


def write_release(folder, data):
    folder.mkdir(parents=True)
    for name, split in zip(FILES, (data.train, data.validation, data.test), strict=True):
        lines = ["Source\tTarget"]
        for tokens, length, label in zip(split.tokens, split.lengths, split.labels, strict=True):
            lines.append(f"{printed(symbols(tokens[0, : length[0]]))}\t{label}")
        (folder / name).write_bytes("".join(line + "\r\n" for line in lines).encode())


@pytest.mark.parametrize(
    "nesting",
    ["", "listops-1000", "lra_release/listops-1000", "lra_release/lra_release/listops-1000"],
)
def test_the_release_is_read_in_every_nesting(tmp_path, nesting):
    data = generated()
    write_release(tmp_path / "root" / nesting, data)
    read = release(tmp_path / "root")
    for mine, theirs in ((data.train, read.train), (data.test, read.test)):
        np.testing.assert_array_equal(theirs.tokens[:, :, : mine.tokens.shape[2]], mine.tokens)
        np.testing.assert_array_equal(theirs.labels, mine.labels)


def test_the_release_is_cut_at_max_length(tmp_path):
    write_release(tmp_path / "root", generated())
    assert release(tmp_path / "root", max_length=12).train.lengths.max() == 12


def test_a_missing_file_is_named_with_its_folder(tmp_path):
    write_release(tmp_path / "listops-1000", generated())
    (tmp_path / "listops-1000" / FILES[1]).unlink()
    with pytest.raises(SourceUnavailableError, match="the release under") as caught:
        release(tmp_path)
    assert FILES[1] in str(caught.value)
    assert str(tmp_path / "listops-1000") in str(caught.value)
    request = LoadRequest(data=TINY, path=tmp_path)
    assert TASK.source("release").missing(request) == str(caught.value)


@pytest.mark.parametrize(
    "line", ["[MAXI 3 4 ]\t4", "( [MAX 12 ) ]\t2", "[MAX 3 4 ]\tx", "[MAX 3 4 ] 4"]
)
def test_a_malformed_line_is_named_with_its_number(tmp_path, line):
    write_release(tmp_path / "root", generated())
    file = tmp_path / "root" / FILES[0]
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:4], line, *lines[4:]]))
    with pytest.raises(SourceUnavailableError, match=f"{FILES[0]}, line 5"):
        release(tmp_path / "root")


def test_a_file_without_the_header_is_refused(tmp_path):
    write_release(tmp_path / "root", generated())
    (tmp_path / "root" / FILES[2]).write_text("[MAX 3 4 ]\t4\n")
    with pytest.raises(SourceUnavailableError, match=f"{FILES[2]}, line 1"):
        release(tmp_path / "root")


def test_published_presets_ask_for_the_official_data():
    assert all(TASK.preset(n).data == OFFICIAL for n in ("lra-paper", "lra-repo", "nystrom", "s4"))
