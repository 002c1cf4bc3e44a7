"""Adversaries that replace what they are judged with: torch, the clock, the laws themselves."""

TEMPLATE = """
import time
import torch
import torch.nn.functional as F
import bench.gate
import bench.trial
from methods.api import Capabilities, Method
from methods.softmax import softmax_attention

def patch():
    {patch}

{at_import}

def attend(q, k, v, *, causal=False, key_padding=None):
    {at_call}
    return softmax_attention(q, k, v, causal=causal, key_padding=key_padding)

CAN = Capabilities(causal=True, bidirectional=True, key_padding=True)
METHOD = Method(name="adversary-patcher", attention=attend, can=CAN)
"""

PATCHES = {
    "torch.Tensor.__matmul__": "torch.Tensor.__matmul__ = lambda a, b: torch.matmul(a, b)",
    "torch.nn.functional.scaled_dot_product_attention": (
        "F.scaled_dot_product_attention = lambda q, k, v, **_: v"
    ),
    "torch.allclose": "torch.allclose = lambda *_, **__: True",
    "torch.equal": "torch.equal = lambda *_: True",
    "torch.Generator": "torch.Generator = type('Generator', (torch.Generator,), {})",
    "torch.cuda.Event": "torch.cuda.Event = type('Event', (), {'elapsed_time': lambda *_: 0.0})",
    "time.perf_counter": "time.perf_counter = lambda: 0.0",
    "bench.gate.check_method": "bench.gate.check_method = lambda *_, **__: []",
    "bench.trial._gate": (
        "bench.trial._gate.__code__ = (lambda trial, method, options: None).__code__"
    ),
}
"""By what each replaces."""


def source(patch: str, *, at_import: bool) -> str:
    """A method's file that patches when it is imported, or when it is called."""
    return TEMPLATE.format(
        patch=patch,
        at_import="patch()" if at_import else "",
        at_call="pass" if at_import else "patch()",
    )
