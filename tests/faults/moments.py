"""Signals at random moments: who is hit, when, and what must be there after the same command."""

import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tests.faults.scene import COMPLETED, LANGUAGE, TRAINED, UNRULY, Scene, Tally

OFTEN = "checkpoint_seconds=1e-9"
"""Makes every step leave a checkpoint."""
QUICK = {"no-mixing": COMPLETED, f"{UNRULY}:NAPS": COMPLETED}
ESCAPING = {f"{UNRULY}:ESCAPES": COMPLETED} | QUICK


@dataclass(frozen=True, slots=True)
class Blow:
    """A signal, and whom it hits."""

    victim: str
    signum: signal.Signals
    language: bool = False
    """A training that keeps checkpoints is hit, and not a plan of short ones."""

    def __str__(self) -> str:
        return f"{self.signum.name} to the {self.victim}{', language' if self.language else ''}"


BLOWS = (
    Blow("driver", signal.SIGKILL),
    Blow("fork server", signal.SIGKILL),
    Blow("trial", signal.SIGKILL),
    Blow("keeper", signal.SIGKILL),
    Blow("driver", signal.SIGTERM),
    Blow("driver", signal.SIGINT),
    Blow("driver", signal.SIGKILL, language=True),
    Blow("driver", signal.SIGTERM, language=True),
    Blow("fork server", signal.SIGKILL, language=True),
    Blow("trial", signal.SIGKILL, language=True),
)


def make_scene(folder: Path, blow: Blow) -> Scene:
    """The plan that a blow hits."""
    if blow.language:
        words = ("--set", "steps=40", OFTEN)
        return Scene(folder, LANGUAGE, {"performer:num_features=8": COMPLETED}, *words)
    # Without its keeper, a trial's escaped process is no longer anyone's.
    methods = QUICK if blow.victim == "keeper" else ESCAPING
    return Scene(folder, TRAINED, methods, "--set", "steps=3")


class Moments:
    """Strikes at moments drawn from a seed, over the time that an undisturbed run takes."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._random, self._count = folder, random.Random(seed), 0
        self._seconds: dict[bool, float] = {}
        self._losses: list[float] = []

    def strike(self, blow: Blow) -> Tally:
        """The account of one blow. A run that was over before is begun again."""
        if blow.language not in self._seconds:
            self._measure(blow)
        while True:
            self._count += 1
            scene = make_scene(self._folder / str(self._count), blow)
            if self._hit(scene, blow):
                break
        may_crash = blow.victim in ("trial", "keeper")
        scene.run(*(["--rerun"] if may_crash and blow.language else []))
        tally = scene.tally(may_crash=0 if blow.language else may_crash)
        if blow.language:
            tally.unexplained += _losses(scene) != self._losses
        return tally

    def _measure(self, blow: Blow) -> None:
        scene = make_scene(self._folder / f"undisturbed-{blow.language}", blow)
        started = time.monotonic()
        scene.run()
        self._seconds[blow.language] = time.monotonic() - started
        assert scene.tally().is_clean
        if blow.language:
            self._losses = _losses(scene)

    def _hit(self, scene: Scene, blow: Blow) -> bool:
        until = time.monotonic() + self._random.uniform(0, self._seconds[blow.language])
        run = scene.start()
        while time.monotonic() < until and run.poll() is None:
            time.sleep(0.003)
        victim = None
        while run.poll() is None and (victim := run.find(blow.victim)) is None:
            time.sleep(0.003)
        if victim is not None and run.poll() is None:
            if not (blow.language and blow.victim == "trial"):
                scene.remember()
            os.kill(victim, blow.signum)
        scene.end(run)
        return victim is not None


def _losses(scene: Scene) -> list[float]:
    return [x for document in scene.documents() for x in document["language"]["losses"]]
