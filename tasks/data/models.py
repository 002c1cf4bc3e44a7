"""Pretrained causal language models: two from installed packages, any other from transformers."""

import contextlib
import hashlib
import importlib.metadata
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.api import SourceUnavailableError
from tasks.data.tokenizers import (
    GLASSLLM,
    NEEDS,
    SMOLLM2,
    Tokenizer,
    load_tokenizer,
    refusals,
    why_model_is_missing,
)

MODELS = {
    GLASSLLM: "GlassLM, English: 0.85 million parameters, trained on Lewis Carroll",
    SMOLLM2: "SmolLM2-135M-Instruct, weights from four bits (Q4_1)",
}
"""The embedded ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """A causal model of the package transformers, in float32, and its tokenizer."""

    name: str
    model: Any
    """Its attention is called through transformers' attention interface."""
    tokenizer: Tokenizer
    longest: int
    """Tokens at most in one sequence."""
    what: str
    """One sentence: what it is and where it came from."""

    @property
    def encode(self) -> Callable[[str], list[int]]:
        return self.tokenizer.encode

    @property
    def decode(self) -> Callable[[list[int]], str]:
        return self.tokenizer.decode

    @property
    def separator(self) -> int | None:
        return self.tokenizer.separator

    @property
    def vocab_size(self) -> int:
        return self.tokenizer.vocab_size


def load_model(name: str, cache: Path | None, *, remote_code: bool = False) -> LanguageModel:
    """`glassllm`, `smollm2`, or whatever transformers finds under this name or path.

    Code that comes with a model runs only with `remote_code`. Raises SourceUnavailableError with
    one sentence, also for a tokenizer that is not the model's own.
    """
    missing = why_model_is_missing(name)
    if missing:
        raise SourceUnavailableError(missing)
    with _without_progress_bars():
        model, tokenizer = _loaded(name, cache, remote_code)
    _require_rows(name, model, tokenizer)
    size = sum(p.numel() for p in model.parameters()) / 1e6
    return LanguageModel(
        name=name,
        model=model.eval(),
        tokenizer=tokenizer,
        longest=getattr(model.config, "max_position_embeddings", None) or 2**30,
        what=MODELS.get(name, f"{name}, {size:.3g} million parameters"),
    )


def _loaded(name: str, cache: Path | None, remote_code: bool) -> tuple[Any, Tokenizer]:
    if name == GLASSLLM:
        from tasks.data.glassllm import load_glassllm

        return load_glassllm()
    if name == SMOLLM2:
        from tasks.data.smollm2 import load_smollm2

        return load_smollm2(cache and cache / "models" / fingerprint(name).replace(" ", "-"))
    import torch
    from transformers import AutoModelForCausalLM

    where = str(Path(name).expanduser())
    with refusals(name, "causal language model"):
        model, loaded = AutoModelForCausalLM.from_pretrained(
            where, trust_remote_code=remote_code, dtype=torch.float32, output_loading_info=True
        )
    _require_weights(name, loaded["missing_keys"])
    return model, load_tokenizer(name, remote_code=remote_code)


def _require_weights(name: str, missing: Collection[str]) -> None:
    """What a file lacks transformers draws at random, and goes on."""
    if missing:
        raise SourceUnavailableError(
            f"the weights of {name!r} lack {len(missing)} tensors of its model, such as"
            f" {min(missing)}: they are damaged, or of another model."
        )


def _require_rows(name: str, model: Any, tokenizer: Tokenizer) -> None:
    rows = len(model.get_input_embeddings().weight)
    if tokenizer.vocab_size > rows:
        raise SourceUnavailableError(
            f"the tokenizer of {name!r} has tokens up to {tokenizer.vocab_size - 1}, and its model"
            f" embeds {rows} of them: they do not belong together."
        )


@contextlib.contextmanager
def _without_progress_bars() -> Iterator[None]:
    """The harness shows its own progress."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def fingerprint(name: str) -> str:
    """What tells two models of one name apart: a package's version, a folder's files and dates."""
    if name in NEEDS:
        package = NEEDS[name][1][0].replace("_", "-")
        return f"{package} {importlib.metadata.version(package)}"
    digest = hashlib.sha256(name.encode())
    for file in sorted(Path(name).expanduser().glob("*")):
        stat = file.stat()
        digest.update(f"{file.name} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
