"""An attention to start from: softmax over squared distances between queries and keys."""

# The line above is what `bench list methods` shows: say there what is computed.

import torch

from methods.api import Capabilities, KeyPadding, Keys, Method, Outputs, Queries, Values


# Options are the keyword-only parameters but `causal` and `key_padding`: typed, with defaults. On
# the command line they are set as NAME:width=2. What has parameters to learn, or numbers to draw,
# is a class instead: an `AttentionModule` of `methods.api`.
def starting_point_output(
    q: Queries,
    k: Keys,
    v: Values,
    *,
    causal: bool = False,
    key_padding: KeyPadding | None = None,
    width: float = 4.0,
) -> Outputs:
    """Weights exp(-|q - k|^2 / (2 width^2)), normalised over the keys that a query may see.

    A query that sees no key at all gets zeros.
    """
    if not width > 0:
        raise ValueError(f"width must be above 0, and it is {width}.")
    # Half precisions are added up in float32, and what is returned has the dtype of v.
    dtype = torch.promote_types(q.dtype, torch.float32)
    # In grouped-query attention r query heads share one of the g key-value heads.
    b, g, _, d = k.shape
    grouped = q.to(dtype).reshape(b, g, -1, q.shape[2], d)
    keys, values = k.to(dtype)[:, :, None], v.to(dtype)
    distances = (
        grouped.square().sum(-1)[..., :, None]
        - 2 * grouped @ keys.transpose(-1, -2)
        + keys.square().sum(-1)[..., None, :]
    )
    hidden = _hidden(q, k, causal, key_padding)
    scores = (-distances / (2 * width**2)).masked_fill(hidden, -torch.inf)
    # A row without any key would be 0 / 0; its weights are zeros before and after.
    blind = hidden.all(-1, keepdim=True)
    weights = scores.masked_fill(blind, 0.0).softmax(-1).masked_fill(blind, 0.0)
    return torch.einsum("bgrts,bgsv->bgrtv", weights, values).flatten(1, 2).to(v.dtype)


def _hidden(q: Queries, k: Keys, causal: bool, key_padding: KeyPadding | None) -> torch.Tensor:
    """Which keys a query may not see, `[b, 1, 1, t, s]`: padding, and in causal use the future."""
    b, query_time, key_time = q.shape[0], q.shape[2], k.shape[2]
    hidden = torch.zeros(b, query_time, key_time, dtype=torch.bool, device=q.device)
    if key_padding is not None:
        hidden = hidden | key_padding[:, None]
    if causal:
        hidden = hidden | torch.ones_like(hidden).triu(1)
    return hidden[:, None, None]


METHOD = Method(
    name="starting-point",
    attention=starting_point_output,
    # Declared: the contract tests it. Undeclared: calling it raises. Delete what is not meant.
    can=Capabilities(
        causal=True, bidirectional=True, cross=True, key_padding=True, grouped_query=True
    ),
    family="exact",
    # Operations in T (time) and d (head dimension).
    time="T^2 d",
    paper="",
)
