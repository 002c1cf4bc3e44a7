"""ListOps expressions by the official generator's rules, grown level by level in numpy.

A node is an operator with probability 1/4 where its depth (the root's is 1) is below the greatest,
else a digit. An operator is MIN, MAX, MED or SM (sum modulo 10) and has from 2 to `max_args`
arguments, each count equally likely. A tree is kept if its length lies strictly between the two
bounds. Tokens: digits 1 to 10, operators 11 to 14, the closing bracket 15.

The draws, which fix the data: per batch of trees and level the kinds of all nodes, then the
arguments of the operators; a tree that is already too long is not grown further. Then per level of
the kept trees the digits and the operators.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TREES_PER_BATCH = 8192
MIN, MAX, MED, SUM_MOD = range(4)
FIRST_OPERATOR, CLOSE, VOCABULARY = 11, 15, 16
SYMBOLS = ("", *map(str, range(10)), "[MIN", "[MAX", "[MED", "[SM", "]")
"""The text of every token."""

Ints = NDArray[np.integer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Lengths are exclusive bounds, in tokens."""

    min_length: int = 500
    max_length: int = 2000
    max_depth: int = 10
    max_args: int = 10

    def __post_init__(self) -> None:
        if self.max_args < 2 or self.max_depth < 1:
            raise ValueError("ListOps needs max_args of at least 2 and max_depth of at least 1.")
        if self.max_length < self.min_length + 2:
            raise ValueError(
                "no ListOps expression has a length strictly between min_length"
                f" {self.min_length} and max_length {self.max_length}."
            )


@dataclass(frozen=True, slots=True)
class _Level:
    """The nodes of one depth, the children of an operator next to one another in the next."""

    tree: Ints
    is_operator: NDArray[np.bool_]
    num_args: Ints
    """Of the operators alone."""

    def of(self, kept: NDArray[np.bool_]) -> "_Level":
        mine = kept[self.tree]
        return _Level(
            self.tree[mine], self.is_operator[mine], self.num_args[mine[self.is_operator]]
        )


def expressions(rules: Rules, num: int, seed: int) -> tuple[list[bytes], NDArray[np.uint8]]:
    """`num` distinct expressions as strings of tokens, and their values, in a random order."""
    rng = np.random.RandomState(seed)
    found: dict[bytes, int] = {}
    idle = 0
    while len(found) < num:
        before = len(found)
        for text, value in _batch(rng, rules):
            found.setdefault(text, value)
        # Less than one new expression in a thousand trees: the rules hold hardly any more.
        idle = idle + 1 if len(found) - before < TREES_PER_BATCH // 1000 else 0
        if idle == 20 and len(found) < num:
            raise ValueError(
                f"these ListOps rules give {len(found)} distinct expressions in reasonable time,"
                f" {num} were asked for. Ask for fewer, or raise max_length, max_depth or max_args."
            )
    # Common (short) expressions are found first: without a shuffle the splits would differ.
    texts = list(found)[:num]
    order = rng.permutation(num)
    values = np.fromiter(found.values(), dtype=np.uint8, count=len(found))[:num]
    return [texts[i] for i in order], values[order]


def _batch(rng: np.random.RandomState, rules: Rules) -> list[tuple[bytes, int]]:
    levels, lengths = _grow(rng, rules)
    if not len(lengths):
        return []
    contents = [_contents(rng, level) for level in levels]
    values, sizes = _evaluate(levels, contents)
    flat = _serialise(levels, contents, sizes, lengths).tobytes()
    ends = np.cumsum(lengths)
    starts = (ends - lengths).tolist()
    return [
        (flat[start:end], value)
        for start, end, value in zip(starts, ends.tolist(), values.tolist(), strict=True)
    ]


def _grow(rng: np.random.RandomState, rules: Rules) -> tuple[list[_Level], Ints]:
    """The levels of the kept trees and the trees' lengths."""
    levels: list[_Level] = []
    tree = np.arange(TREES_PER_BATCH, dtype=np.int64)
    lengths = np.ones(TREES_PER_BATCH, dtype=np.int64)
    for depth in range(1, rules.max_depth + 1):
        is_operator = np.zeros(len(tree), dtype=bool)
        if depth < rules.max_depth:
            is_operator = rng.randint(0, 4, size=len(tree), dtype=np.uint8) == 0
        parents = tree[is_operator]
        num_args = rng.randint(2, rules.max_args + 1, size=len(parents), dtype=np.int64)
        levels.append(_Level(tree, is_operator, num_args))
        # An operator adds its closing bracket and its arguments.
        lengths += np.bincount(parents, weights=num_args + 1, minlength=len(lengths)).astype(int)
        growing = lengths[parents] < rules.max_length
        tree = np.repeat(parents[growing], num_args[growing])
    kept = (lengths > rules.min_length) & (lengths < rules.max_length)
    kept_levels = [level.of(kept) for level in levels]
    return [level for level in kept_levels if len(level.tree)], lengths[kept]


def _contents(rng: np.random.RandomState, level: _Level) -> Ints:
    """A digit for every leaf, one of four operators for every operator."""
    content = np.empty(len(level.tree), dtype=np.int64)
    num_operators = len(level.num_args)
    content[~level.is_operator] = rng.randint(
        0, 10, size=len(content) - num_operators, dtype=np.int64
    )
    content[level.is_operator] = rng.randint(0, 4, size=num_operators, dtype=np.int64)
    return content


def _evaluate(levels: list[_Level], contents: list[Ints]) -> tuple[Ints, list[Ints]]:
    """The values of the roots, and the length of every node's text, by level."""
    values = np.empty(0, dtype=np.int64)
    sizes: list[Ints] = []
    for level, content in zip(reversed(levels), reversed(contents), strict=True):
        below, below_values = sizes[-1:], values
        values, size = content.copy(), np.ones(len(content), dtype=np.int64)
        if below and len(level.num_args):
            first = np.cumsum(level.num_args) - level.num_args
            operators = content[level.is_operator]
            values[level.is_operator] = _apply(operators, below_values, first, level.num_args)
            size[level.is_operator] = 2 + np.add.reduceat(below[0], first)
        sizes.append(size)
    return values, sizes[::-1]


def _apply(operators: Ints, values: Ints, first: Ints, num_args: Ints) -> Ints:
    """Every operator on its arguments, which start at `first` in `values`."""
    group = np.repeat(np.arange(len(first)), num_args)
    ordered = np.sort(group * 10 + values) % 10
    middle = ordered[first + (num_args - 1) // 2] + ordered[first + num_args // 2]
    results = np.empty((4, len(first)), dtype=np.int64)
    results[MIN] = ordered[first]
    results[MAX] = ordered[first + num_args - 1]
    results[MED] = middle // 2
    results[SUM_MOD] = np.add.reduceat(values, first) % 10
    return results[operators, np.arange(len(first))]


def _serialise(
    levels: list[_Level], contents: list[Ints], sizes: list[Ints], lengths: Ints
) -> NDArray[np.uint8]:
    """The texts of all trees one after another."""
    text = np.empty(int(lengths.sum()), dtype=np.uint8)
    start = np.cumsum(lengths) - lengths
    for depth, (level, content, size) in enumerate(zip(levels, contents, sizes, strict=True)):
        text[start] = content + np.where(level.is_operator, FIRST_OPERATOR, 1)
        opened = start[level.is_operator]
        text[opened + size[level.is_operator] - 1] = CLOSE
        if len(opened):
            below = sizes[depth + 1]
            first = np.cumsum(level.num_args) - level.num_args
            before = np.cumsum(below) - below
            start = before + np.repeat(opened + 1 - before[first], level.num_args)
    return text
