"""GlassLM of the package `glassllm`, as a Llama of transformers."""

from typing import Any

from tasks.data.tokenizers import Tokenizer, glassllm_tokenizer


def load_glassllm() -> tuple[Any, Tokenizer]:
    """The model in float32, and its tokenizer."""
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
    return model, glassllm_tokenizer(tokenizer)


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
