"""A tokenizer without a package: a text's bytes."""

from tasks.data.tokenizers import Tokenizer


def bytes_of(separator: int | None = 0, start: int | None = None) -> Tokenizer:
    """Tokens are the bytes of UTF-8; 0 stands between documents."""
    return Tokenizer(
        name="bytes",
        encode=lambda text: list(text.encode()),
        decode=lambda tokens: bytes(tokens).decode(errors="replace"),
        separator=separator,
        start=start,
        vocab_size=256,
        fingerprint="utf-8",
    )
