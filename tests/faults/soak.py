"""`python -m tests.faults.soak --moments 200 --seed 0`: every fault, and a table of what it did."""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import astuple, fields
from pathlib import Path

from tests.faults.moments import BLOWS, Moments
from tests.faults.scenarios import SCENARIOS
from tests.faults.scene import Tally
from tests.faults.supervisor import adopt_orphans


def main(words: list[str]) -> int:
    """Prints the table; 1 where anything went wrong, with what those runs printed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--moments", type=int, default=200, help="signals at random moments")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", default="", help="faults whose name has this pattern")
    asked = parser.parse_args(words)
    adopt_orphans()
    started, table = time.monotonic(), dict[str, Tally]()
    with tempfile.TemporaryDirectory() as folder:
        for name, tally in _faults(Path(folder), asked.moments, asked.seed, asked.only):
            table[name] = table.get(name, Tally()) + tally
            seconds = time.monotonic() - started
            print(f"{seconds:6.0f} s  {name}", file=sys.stderr, flush=True)
    total = sum(table.values(), Tally())
    _print(table | {"all": total})
    print(f"{total.injected} faults in {time.monotonic() - started:.0f} s, seed {asked.seed}.")
    return 0 if total.is_clean and total.injected else 1


def _faults(folder: Path, moments: int, seed: int, only: str) -> Iterator[tuple[str, Tally]]:
    for scenario in SCENARIOS:
        name = scenario.__name__.replace("_", " ")
        if not re.search(only, name):
            continue
        try:
            yield name, scenario(folder / scenario.__name__)
        except PermissionError as error:
            print(f"{name}: not injected, {error}", file=sys.stderr)
    blows = [blow for blow in BLOWS if re.search(only, str(blow))]
    drawn = Moments(folder, seed)
    for number in range(moments if blows else 0):
        blow = blows[number % len(blows)]
        yield str(blow), drawn.strike(blow)


def _print(table: dict[str, Tally]) -> None:
    width = max(map(len, table))
    heads = [field.name for field in fields(Tally)]
    print(f"{'fault':<{width}}", *heads, sep="  ")
    for name, tally in table.items():
        counts = (f"{n:>{len(h)}}" for h, n in zip(heads, astuple(tally), strict=True))
        print(f"{name:<{width}}", *counts, sep="  ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
