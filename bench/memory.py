"""Peak memory of a block, a limit on memory, and what running out of it looks like."""

import contextlib
import ctypes
import errno
import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from bench.errors import UsageError

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_HIGH_WATER_MARK = "5"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
"""Options of glibc's mallopt, from malloc.h."""
_MOST_MAPPINGS = 65_536
"""What M_MMAP_MAX is by itself."""
_LARGE_BLOCK = 65_536
_CGROUP = Path("/sys/fs/cgroup")

Reading = Callable[[], int | None]


class PeakMemory:
    """A context manager: by how many bytes memory rose, at its highest, above the moment of entry.

    On a GPU the memory that torch's allocator handed out; on a processor the resident memory of the
    whole process, as exactly as the kernel counts it: some pages a core. `bytes` is
    None where the peak cannot be known.
    """

    def __init__(self, device: str) -> None:
        self.bytes: int | None = None
        self.method = ""
        self._device = device
        self._peak: Reading = lambda: None

    def __enter__(self) -> "PeakMemory":
        gc.collect()
        if self._device != "cpu":
            self.method, self._peak = _gpu_allocator(self._device)
            return self
        _return_free_memory()
        if _reset_high_water_mark():
            self.method, self._peak = _high_water_mark()
        else:
            self.method, self._peak = _growth_of_lifetime_peak()
        return self

    def __exit__(self, *_: object) -> None:
        self.bytes = self._peak()


def keep_freed_memory() -> None:
    """Have the C library keep large blocks for reuse, as torch does on a GPU; glibc only.

    Otherwise every large temporary is a new mapping whose pages the kernel clears one by one: a tax
    on whichever method has the largest temporaries, and no property of its mathematics.
    """
    if (set_option := _mallopt()) is not None:
        set_option(_M_MMAP_MAX, 0)
        set_option(_M_TRIM_THRESHOLD, 2**31 - 1)


@contextlib.contextmanager
def large_blocks_mapped() -> Iterator[None]:
    """Within, each large block is a mapping of its own, given back when freed; then blocks are kept
    again, as `keep_freed_memory` has it. Only for a thread that has kept nothing: a thread's arena
    is used up first. glibc only."""
    set_option = _mallopt()
    if set_option is None:
        yield
        return
    set_option(_M_MMAP_MAX, _MOST_MAPPINGS)
    # Said outright, it no longer grows with what is freed.
    set_option(_M_MMAP_THRESHOLD, _LARGE_BLOCK)
    try:
        yield
    finally:
        set_option(_M_MMAP_MAX, 0)


def _mallopt() -> Callable[[int, int], object] | None:
    if not sys.platform.startswith("linux"):
        return None
    found: Callable[[int, int], object] | None = getattr(ctypes.CDLL(None), "mallopt", None)
    return found


def free_memory(device: str) -> int:
    """Bytes that this process could still take on the device without driving anyone into swap."""
    if device != "cpu":
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + kept)
    found: list[int] = [psutil.virtual_memory().available, *_cgroup_rest()]
    if sys.platform.startswith("linux"):
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
        if soft != resource.RLIM_INFINITY:
            found.append(soft - _status_bytes("VmData"))
    return max(0, min(found))


def _cgroup_rest() -> list[int]:
    """What a container's limit leaves, if there is one."""
    try:
        limit, used = ((_CGROUP / f"memory.{name}").read_text() for name in ("max", "current"))
        return [int(limit) - int(used)]
    except (OSError, ValueError):
        return []


@contextlib.contextmanager
def limited_memory(num_bytes: int) -> Iterator[None]:
    """`limit_memory` for a while, where the system can and no stricter limit stands."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _status_bytes("VmData") + num_bytes
    stricter = [x for x in (soft, hard) if x != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([limit, *stricter]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def limit_memory(num_bytes: int) -> None:
    """Let this process take at most `num_bytes` above what it holds now; Linux only.

    What exceeds it fails as an allocation does, with an error that `is_out_of_memory` knows.
    """
    if num_bytes < 1:
        raise UsageError(f"A memory limit must be positive, got {num_bytes} bytes.")
    if not sys.platform.startswith("linux"):
        raise UsageError("Only Linux can limit the memory of a trial. Leave the limit out.")
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _status_bytes("VmData") + num_bytes
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _gpu_allocator(device: str) -> tuple[str, Reading]:
    import torch

    torch.cuda.reset_peak_memory_stats(device)
    start = torch.cuda.memory_allocated(device)
    return "CUDA allocator's peak", lambda: torch.cuda.max_memory_allocated(device) - start


def _high_water_mark() -> tuple[str, Reading]:
    start = _status_bytes("VmRSS")
    return "resident high-water mark", lambda: max(0, _status_bytes("VmHWM") - start)


def _growth_of_lifetime_peak() -> tuple[str, Reading]:
    """The mark cannot be reset: it tells of this block only if the block raised it."""
    start, mark = psutil.Process().memory_info().rss, _lifetime_peak()

    def peak() -> int | None:
        now = _lifetime_peak()
        return now - start if now > mark else None

    return "growth of the process's lifetime peak", peak


def _lifetime_peak() -> int:
    if _STATUS.exists():
        # Not ru_maxrss: that one is inherited from the process that started this one.
        return _status_bytes("VmHWM")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _reset_high_water_mark() -> bool:
    try:
        _CLEAR_REFS.write_text(_RESET_HIGH_WATER_MARK)
    except OSError:
        return False
    return True


def _return_free_memory() -> None:
    """Give back what the C library keeps for later: the block would reuse it unseen."""
    if sys.platform.startswith("linux"):
        library = ctypes.CDLL(None)
        # Only the GNU library has it.
        trim = getattr(library, "malloc_trim", None)
        if trim is not None:
            trim(0)


def _status_bytes(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(errno.ENODATA, f"the kernel does not tell {field}", str(_STATUS))
