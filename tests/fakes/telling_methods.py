"""Methods that tell where they run, through the reason of their record."""

import os

from methods.api import Capabilities, Method

CAN = Capabilities(bidirectional=True, causal=True, key_padding=True)


def sees(q, k, v, *, causal=False, key_padding=None):
    """Raises with the GPUs that its process is shown."""
    raise RuntimeError(f"sees {os.environ.get('CUDA_VISIBLE_DEVICES')}")


SEES = Method(name="fake-sees", attention=sees, can=CAN)
