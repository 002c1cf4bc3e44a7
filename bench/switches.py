"""Torch's settings for the whole process: how many threads, how exact, with or without gradients. A
method that changes one changes what everything beside it costs, its reference above all."""

import functools
import operator
import sys
from collections.abc import Callable, Mapping

import torch

_READ: Mapping[str, Callable[[], object]] = {
    "torch.set_num_threads": torch.get_num_threads,
    "torch.set_num_interop_threads": torch.get_num_interop_threads,
    "torch.set_default_dtype": torch.get_default_dtype,
    "torch.set_default_device": torch.get_default_device,
    # Torch does not tell: the smallest normal number is halved instead.
    "torch.set_flush_denormal": lambda: sys.float_info.min / 2 == 0,
    "torch.inference_mode": torch.is_inference_mode_enabled,
    "torch.set_grad_enabled": torch.is_grad_enabled,
    "torch.set_anomaly_enabled": torch.is_anomaly_enabled,
    "torch.set_autocast_enabled('cpu')": lambda: torch.is_autocast_enabled("cpu"),
    "torch.set_autocast_enabled('cuda')": lambda: torch.is_autocast_enabled("cuda"),
    "torch.set_deterministic_debug_mode": torch.get_deterministic_debug_mode,
    "torch.backends.cuda.enable_flash_sdp": torch.backends.cuda.flash_sdp_enabled,
    "torch.backends.cuda.enable_mem_efficient_sdp": torch.backends.cuda.mem_efficient_sdp_enabled,
    "torch.backends.cuda.enable_math_sdp": torch.backends.cuda.math_sdp_enabled,
    "torch.backends.cuda.enable_cudnn_sdp": torch.backends.cuda.cudnn_sdp_enabled,
}
"""What reads each setting, by what sets it."""
# The older names of the same precisions raise where a newer one was used.
_ATTRIBUTES = (
    "utils.deterministic.fill_uninitialized_memory",
    "backends.fp32_precision",
    "backends.cuda.matmul.fp32_precision",
    "backends.cuda.matmul.allow_fp16_accumulation",
    "backends.cuda.matmul.allow_fp16_reduced_precision_reduction",
    "backends.cuda.matmul.allow_bf16_reduced_precision_reduction",
    "backends.cudnn.enabled",
    "backends.cudnn.benchmark",
    "backends.cudnn.deterministic",
    "backends.cudnn.conv.fp32_precision",
    "backends.cudnn.rnn.fp32_precision",
    "backends.mkldnn.enabled",
    "backends.mkldnn.deterministic",
    "backends.mkldnn.matmul.fp32_precision",
    "backends.mkldnn.conv.fp32_precision",
    "backends.mkldnn.rnn.fp32_precision",
    "backends.opt_einsum.enabled",
    "backends.opt_einsum.strategy",
)
_SWITCHES: dict[str, Callable[[], object]] = {
    **_READ,
    **{
        f"torch.{name}": functools.partial(operator.attrgetter(name), torch) for name in _ATTRIBUTES
    },
}


def switches() -> dict[str, object]:
    """How each stands now, in this thread where it belongs to a thread."""
    return {name: read() for name, read in _SWITCHES.items()}
