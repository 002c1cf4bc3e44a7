"""A stand-in for flash-linear-attention: its signatures, layouts and refusals, on a processor."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import torch


def _recurrence(q, k, v, scale, initial_state, output_final_state, *, gate=None, beta=None):
    """Token by token, in float64; everything is [batch, time, heads, ...]."""
    assert q.shape == k.shape
    assert v.shape[:3] == q.shape[:3]
    assert all(x.is_contiguous() for x in (q, k, v))
    if initial_state is not None:
        assert initial_state.dtype == torch.float32, "initial_state must be in float32."
        assert initial_state.shape == (q.shape[0], q.shape[2], q.shape[3], v.shape[3])
        S = initial_state.double()
    else:
        S = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3], dtype=torch.float64)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    outputs = []
    for t in range(q.shape[1]):
        q_t, k_t, v_t = (x[:, t].double() for x in (q, k, v))
        if gate is not None:
            S = gate[:, t].double().exp()[..., None] * S
        if beta is not None:
            v_t = beta[:, t, :, None].double() * (v_t - (k_t[..., None] * S).sum(-2))
        S = S + k_t[..., None] * v_t[..., None, :]
        outputs.append((scale * q_t[..., None] * S).sum(-2))
    o = torch.stack(outputs, 1).to(v.dtype)
    return o, S.float() if output_final_state else None


def chunk_gla(
    q,
    k,
    v,
    g,
    scale=None,
    initial_state=None,
    output_final_state=False,
    state_v_first=False,
    cu_seqlens=None,
    cu_seqlens_cpu=None,
):
    assert q.shape == k.shape == g.shape, "q, k, g must have the same shape."
    return _recurrence(q, k, v, scale, initial_state, output_final_state, gate=g)


def fused_recurrent_gla(
    q,
    k,
    v,
    gk=None,
    gv=None,
    scale=None,
    initial_state=None,
    output_final_state=False,
    reverse=False,
    state_v_first=False,
    cu_seqlens=None,
    **kwargs,
):
    assert q.shape == gk.shape
    return _recurrence(q, k, v, scale, initial_state, output_final_state, gate=gk)


def chunk_simple_gla(
    q,
    k,
    v,
    g=None,
    g_gamma=None,
    scale=None,
    initial_state=None,
    output_final_state=False,
    state_v_first=False,
    cu_seqlens=None,
    cu_seqlens_cpu=None,
    **kwargs,
):
    chunk = kwargs.pop("chunk_size", 64)
    assert chunk == 2 ** (chunk.bit_length() - 1), "`chunk_size` must be a power of 2"
    assert not kwargs
    assert q.dtype == torch.float32 or (q.shape[-1] % 2 == 0 and v.shape[-1] % 2 == 0)
    return fused_recurrent_simple_gla(q, k, v, g, g_gamma, scale, initial_state, output_final_state)


def fused_recurrent_simple_gla(
    q,
    k,
    v,
    g=None,
    g_gamma=None,
    scale=None,
    initial_state=None,
    output_final_state=False,
    reverse=False,
    state_v_first=False,
    cu_seqlens=None,
    **kwargs,
):
    assert not kwargs
    assert q.dtype == k.dtype == v.dtype
    assert g.shape == q.shape[:3], "one gate a token and head"
    assert g.dtype == torch.float32
    gate = g[..., None]
    return _recurrence(q, k, v, scale, initial_state, output_final_state, gate=gate)


def chunk_delta_rule(
    q,
    k,
    v,
    beta,
    scale=None,
    initial_state=None,
    output_final_state=False,
    use_qk_l2norm_in_kernel=False,
    cu_seqlens=None,
    cu_seqlens_cpu=None,
    **kwargs,
):
    assert q.dtype == k.dtype == v.dtype
    assert q.dtype != torch.float32, "float32 is not supported."
    return fused_recurrent_delta_rule(
        q, k, v, beta, scale, initial_state, output_final_state, use_qk_l2norm_in_kernel
    )


def fused_recurrent_delta_rule(
    q,
    k,
    v,
    beta=None,
    scale=None,
    initial_state=None,
    output_final_state=False,
    use_qk_l2norm_in_kernel=False,
    cu_seqlens=None,
):
    assert not use_qk_l2norm_in_kernel
    assert beta.shape == q.shape[:3]
    return _recurrence(q, k, v, scale, initial_state, output_final_state, beta=beta)


def chunk_linear_attn(
    q,
    k,
    v,
    scale=None,
    initial_state=None,
    output_final_state=False,
    normalize=True,
    cu_seqlens=None,
):
    o, state = _recurrence(q, k, v, scale, initial_state, output_final_state)
    if normalize:
        total = (q * scale * k.cumsum(1)).sum(-1, keepdim=True) + 1e-10
        return o / total, (state, None)
    return o, state


KERNELS = {
    "gla": (chunk_gla, fused_recurrent_gla),
    "simple_gla": (chunk_simple_gla, fused_recurrent_simple_gla),
    "delta_rule": (chunk_delta_rule, fused_recurrent_delta_rule),
    "linear_attn": (chunk_linear_attn,),
}


def install(monkeypatch):
    """For the length of a test, `import fla.ops.gla` and the others find the stand-ins, and count:
    gives the list of the names of the kernels called."""
    called = []

    def counted(kernel):
        def run(*args, **kwargs):
            called.append(kernel.__name__)
            return kernel(*args, **kwargs)

        return run

    names = ["triton", "fla", "fla.ops", *(f"fla.ops.{name}" for name in KERNELS)]
    for name in names:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None, is_package=True)
        module.__path__ = []
        for kernel in KERNELS.get(name.rpartition(".")[2], ()):
            setattr(module, kernel.__name__, counted(kernel))
        monkeypatch.setitem(sys.modules, name, module)
    return called
