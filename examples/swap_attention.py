"""A pretrained model with Performer's attention: what it loses, and text from a constant memory.

Needs the extra `models`. Try it with

    python -m examples.swap_attention
"""

import sys

import torch

from methods.core.pretrained import recurrent_cache, restore_attention, swap_attention
from methods.performer import METHOD
from tasks.data.models import load_model

TEXT = "Alice was beginning to get very tired of sitting by her sister on the bank"


def main() -> None:
    """Writes the loss before and after the swap, and what the swapped model says."""
    language = load_model("glassllm", None)
    model, ids = language.model, torch.tensor([language.encode(TEXT)])
    with torch.no_grad():
        before = float(model(ids, labels=ids).loss)
        swap_attention(model, METHOD, num_features=256, calibration=[ids], key_shift="both")
        after = float(model(ids, labels=ids).loss)
    said = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        past_key_values=recurrent_cache(model),
        max_new_tokens=16,
        do_sample=False,
        pad_token_id=0,
    )
    restore_attention(model)
    sys.stdout.write(f"softmax {before:.3f} nat/token, performer {after:.3f}\n")
    sys.stdout.write(f"{ids.shape[1]} tokens became {said.shape[1]}\n")


if __name__ == "__main__":
    main()
