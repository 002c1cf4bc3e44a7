"""English C4 from the Hugging Face hub as text for next-token prediction."""

from tasks.data.hub import stream_hub_texts, why_hub_is_missing
from tasks.data.packing import Part, corpus, first_blocks
from tasks.language import Blocks, Corpus, TextRequest, TextSource

C4 = ("allenai/c4", "1588ec454efa1a09f29cd18ddd04fe05fc8653a2")
SHARDS: dict[Part, tuple[str, ...]] = {
    # Each holds about 170 million tokens of SmolLM2, and is read only when those before it are.
    "train": tuple(f"en/c4-train.{number:05}-of-01024.json.gz" for number in range(64)),
    "validation": ("en/c4-validation.00000-of-00008.json.gz",),
    "test": ("en/c4-validation.00001-of-00008.json.gz",),
}
"""C4 has no test set: its validation shards serve both, and share no document."""
ADVICE = (
    "C4 is streamed: connect to the network, or fetch some of its files elsewhere, such as"
    " {file} of huggingface.co/datasets/allenai/c4, and name their folder with `--source PATH`."
)


def load_c4(request: TextRequest) -> Corpus:
    """The first documents of each part's shards, in order, as far as blocks are asked for."""
    name, revision = C4

    def make(part: Part) -> Blocks:
        advice = ADVICE.format(file=SHARDS[part][0])
        texts = stream_hub_texts(name, revision, SHARDS[part], advice)
        return first_blocks(texts, request, part, name)

    what = (
        f"C4, English, revision {revision[:12]}: the first documents of the training shards, of"
        " validation shard 0 for validation and of validation shard 1 for testing, in order."
    )
    return corpus(request, "c4", f"{name} {revision} {SHARDS}", make, what)


HUB = TextSource(
    name="hub", title="C4, English (allenai/c4)", load=load_c4, missing=why_hub_is_missing
)
