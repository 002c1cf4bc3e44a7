"""Fuzzes every target for a while: `python -m tests.security.soak --seconds 600`.

Led by coverage where atheris is installed (`pip install atheris`), at random elsewhere. A tape of
bytes that breaks a target is printed: `--replay NAME HEX` runs it again. Exit code 1 if one did.
"""

import argparse
import importlib
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

LONGEST = 400
"""Bytes of a tape."""
PACKAGES = ["bench", "reports", "results", "tasks"]
NAMES = {
    "tests.security.record_targets": ("records", "migrations", "comparison", "published"),
    "tests.security.file_targets": (
        "listops",
        "retrieval",
        "cifar",
        "pathfinder",
        "text",
        "selectors",
    ),
}
"""The targets by module, so that each process imports, and instruments, what it needs."""
SHARES = {"comparison": 6}
"""Of the time, where it is not 1: a page or a table takes a hundred times as long as a line."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    every = [name for names in NAMES.values() for name in names]
    parser.add_argument("--seconds", type=float, default=600.0, help="for all targets together")
    parser.add_argument("--targets", nargs="+", choices=every, default=every)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay", nargs=2, metavar=("NAME", "HEX"))
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.replay:
        _target(asked.replay[0])(bytes.fromhex(asked.replay[1]))
        return 0
    if asked.inside:
        fuzz = _led if find_spec("atheris") else _at_random
        fuzz(asked.inside[0], Path(asked.inside[1]), asked.seconds, asked.seed)
        return 0
    shares = {name: SHARES.get(name, 1) for name in asked.targets}
    second = asked.seconds / sum(shares.values())
    return max([_soak(name, share * second, asked.seed) for name, share in shares.items()])


def _soak(name: str, seconds: float, seed: int) -> int:
    """One target in a process of its own, which a crash below Python ends too."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--inside", name, folder, "--seconds", str(seconds), "--seed", str(seed)]
        process = subprocess.run(
            [sys.executable, "-m", "tests.security.soak", *words],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            errors="replace",
        )
        tapes = [file.read_bytes().hex() for file in sorted(Path(folder).glob("*-*"))]
    runs = re.findall(r"Done (\d+)", process.stderr)
    print(f"{name}: {runs[-1] if runs else 'unknown'} executions, exit {process.returncode}")
    if process.returncode:
        print(process.stderr[-4_000:], *(f"--replay {name} {tape}" for tape in tapes), sep="\n")
    sys.stdout.flush()
    return int(process.returncode != 0)


def _target(name: str) -> Callable[[bytes], None]:
    module = next(module for module, names in NAMES.items() if name in names)
    found: Callable[[bytes], None] = importlib.import_module(module).TARGETS[name]
    return found


def _led(name: str, folder: Path, seconds: float, seed: int) -> None:
    """By coverage; this ends the process."""
    import atheris

    with atheris.instrument_imports(include=PACKAGES):
        target = _target(name)
    corpus = folder / "corpus"
    corpus.mkdir()
    for number in range(20):
        (corpus / str(number)).write_bytes(random.Random(seed + number).randbytes(LONGEST))
    limits = [f"-max_total_time={round(seconds)}", f"-max_len={LONGEST}", "-timeout=60"]
    rest = [f"-seed={seed}", "-rss_limit_mb=4096", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *limits, *rest, str(corpus)], target)
    atheris.Fuzz()


def _at_random(name: str, folder: Path, seconds: float, seed: int) -> None:
    target, drawn = _target(name), random.Random(seed)
    end, runs = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        tape = drawn.randbytes(LONGEST)
        (folder / "crash-0").write_bytes(tape)
        target(tape)
        runs += 1
    sys.stderr.write(f"Done {runs} runs\n")


if __name__ == "__main__":
    sys.exit(main())
