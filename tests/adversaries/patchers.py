"""Adversaries that replace what they are judged with: torch, the clock, the laws themselves, what
they are held against; and those that change torch's settings."""

from typing import NamedTuple

TEMPLATE = """
import copy
import math
import random
import time
import numpy
import torch
import bench.gate
import bench.runners.audit
import bench.trial
import methods.core.laws
import methods.core.subject
import methods.softmax
import tasks.data.pathfinder_drawing
import tasks.lra.image
import tasks.lra.listops
from methods.api import Capabilities, Method
from methods.softmax import softmax_attention

KEPT = {kept}

def patch():
    {patch}

def undo():
    {undo}

{at_import}

def attend(q, k, v, *, causal=False, key_padding=None):
    {at_call}
    return softmax_attention(q, k, v, causal=causal, key_padding=key_padding)

CAN = Capabilities(bidirectional=True, key_padding=True, devices=("{device}",))
METHOD = Method(name="adversary-patcher", attention=attend, can=CAN)
"""


class Deed(NamedTuple):
    """What is done, what undoes it, and what must be kept for that."""

    patch: str
    undo: str
    kept: str = "None"


def _put(target: str, value: str) -> Deed:
    return Deed(f"{target} = {value}", f"{target} = KEPT", target)


def _call(setter: str, value: str, before: str) -> Deed:
    return Deed(f"{setter}({value})", f"{setter}({before})")


def _code(function: str, instead: str) -> Deed:
    return _put(f"{function}.__code__", f"({instead}).__code__")


_REPLACED = {
    "torch.nn.functional.scaled_dot_product_attention": "lambda q, k, v, **_: v",
    "torch.allclose": "lambda *_, **__: True",
    "torch.equal": "lambda *_: True",
    "torch.float64": "torch.float32",
    "torch.Generator": "type('Generator', (torch.Generator,), {})",
    "torch.cuda.Event": "type('Event', (), {'elapsed_time': lambda *_: 0.0})",
    "time.perf_counter": "lambda: 0.0",
    "copy.deepcopy": "lambda x: x",
    "math.ceil": "lambda _: 0",
    "numpy.quantile": "lambda *_, **__: 0.0",
    "random.Random.randint": "lambda _, least, most: least",
    "bench.gate.check_method": "lambda *_, **__: []",
    "bench.gate.GATE_LAWS": "()",
    "bench.runners.audit.TOLERANCE": "1e9",
    "bench.runners.audit.random": "torch.random",
    "methods.core.subject.SECRET.getrandbits": "lambda _: 0",
    "methods.core.laws.require_close.__defaults__": "(1e9, 1e-3)",
    "tasks.lra.image.DEFAULTS['side']": "1",
}
_HIDDEN = {
    "torch.Tensor.__matmul__": "lambda a, b: torch.matmul(a, b)",
    "torch.Tensor.shape": "property(lambda _: torch.Size())",
    "random.SystemRandom.randrange": "lambda _, least, *__: least",
    "bench.runners.audit.zip": "lambda *_, **__: ()",
    "bench.runners.audit.Sketch.__eq__": "lambda *_: True",
}
"""What was inherited, or built in, and is hidden."""
PATCHES = {
    **{target: Deed(f"{target} = {value}", f"del {target}") for target, value in _HIDDEN.items()},
    **{target: _put(target, value) for target, value in _REPLACED.items()},
    "bench.trial._gate.__code__": _code("bench.trial._gate", "lambda trial, method, options: None"),
    "bench.trial._outcome.func": _put(
        "bench.trial._outcome.__closure__[0].cell_contents", "lambda _: iter([None])"
    ),
    # With shapes checked, as in tests, it is a function inside another.
    "methods.softmax.softmax_attention.__code__": _put(
        "methods.softmax.softmax_attention.__code__", "KEPT.replace(co_name='slow')"
    ),
    "methods.softmax.METHOD.attention": Deed(
        "object.__setattr__(methods.softmax.METHOD, 'attention', None)",
        "object.__setattr__(methods.softmax.METHOD, 'attention', KEPT)",
        "methods.softmax.METHOD.attention",
    ),
    "tasks.lra.listops._split.__code__": _code(
        "tasks.lra.listops._split", "lambda tokens, lengths, values: None"
    ),
    "tasks.data.pathfinder_drawing.brush_for.__code__": _code(
        "tasks.data.pathfinder_drawing.brush_for.__wrapped__", "lambda *_: None"
    ),
}
"""By what each replaces."""

_BACKENDS = {
    "torch.backends.cudnn.benchmark": "not KEPT",
    "torch.backends.cudnn.deterministic": "not KEPT",
    "torch.backends.mkldnn.enabled": "not KEPT",
    "torch.backends.mkldnn.matmul.fp32_precision": "'bf16'",
}
SWITCHED = {
    "torch.set_num_threads": Deed(
        "torch.set_num_threads(1 if KEPT > 1 else 2)",
        "torch.set_num_threads(KEPT)",
        "torch.get_num_threads()",
    ),
    "torch.set_default_dtype": _call("torch.set_default_dtype", "torch.float64", "torch.float32"),
    "torch.set_default_device": _call("torch.set_default_device", "'meta'", "None"),
    "torch.set_flush_denormal": _call("torch.set_flush_denormal", "True", "False"),
    "torch.set_grad_enabled": _call("torch.set_grad_enabled", "False", "True"),
    "torch.inference_mode": Deed(
        "KEPT.__enter__()", "KEPT.__exit__(None, None, None)", "torch.inference_mode()"
    ),
    "torch.set_anomaly_enabled": _call("torch.set_anomaly_enabled", "True", "False"),
    "torch.set_autocast_enabled('cpu')": Deed(
        "torch.set_autocast_enabled('cpu', True)", "torch.set_autocast_enabled('cpu', False)"
    ),
    "torch.set_deterministic_debug_mode": _call(
        "torch.use_deterministic_algorithms", "True", "False"
    ),
    "torch.backends.cuda.enable_flash_sdp": _call(
        "torch.backends.cuda.enable_flash_sdp", "False", "True"
    ),
    **{target: _put(target, value) for target, value in _BACKENDS.items()},
    "torch.backends.cuda.matmul.fp32_precision": Deed(
        "torch.set_float32_matmul_precision('medium')",
        "torch.set_float32_matmul_precision('highest');"
        " torch.backends.cuda.matmul.fp32_precision = KEPT;"
        " torch.backends.mkldnn.matmul.fp32_precision = KEPT",
        "torch.backends.cuda.matmul.fp32_precision",
    ),
}
"""By the setting of torch's that each changes."""


def source(deed: Deed, *, at_import: bool) -> str:
    """A method's file that patches when it is imported, or when it is called.

    One that has patched at import need not be called, and has no device: its trial ends soon.
    """
    return TEMPLATE.format(
        **deed._asdict(),
        at_import="patch()" if at_import else "",
        at_call="pass" if at_import else "patch()",
        device="meta" if at_import else "cpu",
    )
