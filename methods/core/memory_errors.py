"""What running out of memory looks like."""

import errno

_MESSAGES = (
    "can't allocate memory",
    "not enough memory",
    "CUDA out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "bad_alloc",
)
"""How a plain RuntimeError of torch tells of it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this error says that memory of the machine or of the GPU ran out."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if not isinstance(error, RuntimeError):
        return False
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(m in str(error) for m in _MESSAGES)
