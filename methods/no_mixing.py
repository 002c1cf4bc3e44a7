"""No mixing: each position keeps its own value, so that only the rest of the model can learn."""

from methods.api import Capabilities, KeyPadding, Keys, Method, Outputs, Queries, Values


def own_value(
    q: Queries,
    k: Keys,
    v: Values,
    *,
    causal: bool = False,
    key_padding: KeyPadding | None = None,
) -> Outputs:
    """The value at the query's own position; zeros where that position is padding."""
    del k, causal
    if key_padding is not None:
        v = v.masked_fill(key_padding[:, None, :, None], 0.0)
    return v.repeat_interleave(q.shape[1] // v.shape[1], dim=1)


METHOD = Method(
    name="no-mixing",
    attention=own_value,
    can=Capabilities(causal=True, bidirectional=True, key_padding=True, grouped_query=True),
    role="floor",
    family="control",
    time="T d",
)
