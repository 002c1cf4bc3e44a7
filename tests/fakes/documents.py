"""Documents of random words, which tell whether two parts share one."""

import random
import string

from tasks.data.packing import PARTS


def words(num: int, seed: int = 0) -> str:
    drawn = random.Random(seed)
    return " ".join("".join(drawn.choices(string.ascii_lowercase, k=5)) for _ in range(num))


DOCUMENTS = [words(8, seed) for seed in range(400)]


def read(blocks) -> bytes:
    return bytes(blocks.ravel().tolist())


def whole_words(block) -> set[bytes]:
    """Those that no end of the block cuts."""
    return set(read(block).replace(b"\0", b" ").split(b" ")[1:-1])


def require_no_shared_words(corpus) -> None:
    """Random words of five letters: two of these documents never share one."""
    seen = {part: set().union(*map(whole_words, getattr(corpus, part))) for part in PARTS}
    assert all(len(found) > 2 for found in seen.values())
    for part, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not seen[part] & seen[other]
