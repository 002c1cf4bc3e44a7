"""Faults that need no moment: each function makes one happen and gives the account.

In the process of a driver, and in what it forks, `prepare` puts the fault in place.
"""

import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch

from tests.faults.moments import OFTEN, QUICK
from tests.faults.scene import COMPLETED, LANGUAGE, TRAINED, UNRULY, Scene, Tally

GREEDY = "tests/fakes/greedy_task.py"
BAD = "tests.fakes.bad_methods"
STEPS = ("--set", "steps=3")
OUT_OF_MEMORY = ("out-of-memory", "emory")
TIMED_OUT = ("timed-out", "time limit of 2 s")


def _quick(folder: Path) -> Scene:
    return Scene(folder, TRAINED, QUICK, *STEPS)


def no_memory_in_a_pass(folder: Path) -> Tally:
    """Forward, backward, and more than any machine has."""
    greedy = dict.fromkeys(
        (f"{UNRULY}:GORGES", f"{UNRULY}:GREEDY_BACKWARD", f"{BAD}:DEVOURS"), OUT_OF_MEMORY
    )
    scene = Scene(folder, TRAINED, greedy | {"no-mixing": COMPLETED}, *STEPS)
    return _run_twice(scene, "--memory-limit", "0.5")


def no_memory_for_data(folder: Path) -> Tally:
    """While the data are loaded."""
    scene = Scene(folder, GREEDY, {"no-mixing": OUT_OF_MEMORY}, *STEPS)
    return _run_twice(scene, "--memory-limit", "0.5")


def hung(folder: Path) -> Tally:
    """Asleep with a child, deaf to SIGTERM, and in C with the interpreter locked."""
    asleep = (f"{BAD}:HANGS", f"{UNRULY}:IGNORES_SIGTERM", f"{UNRULY}:HOLDS_THE_LOCK")
    return _run_twice(
        Scene(folder, TRAINED, dict.fromkeys(asleep, TIMED_OUT) | {"no-mixing": COMPLETED}, *STEPS),
        "--time-limit", "2",
    )  # fmt: skip


def hung_without_a_driver(folder: Path) -> Tally:
    """The driver is killed while its trial holds the interpreter's lock."""
    scene = Scene(folder, TRAINED, {f"{UNRULY}:HOLDS_THE_LOCK": TIMED_OUT}, *STEPS)
    run = scene.start()
    while run.find("trial") is None and run.poll() is None:
        time.sleep(0.01)
    time.sleep(1.0)
    os.kill(run.pid, signal.SIGKILL)
    scene.end(run)
    scene.run("--time-limit", "2")
    return scene.tally()


def talkative(folder: Path) -> Tally:
    """Tens of megabytes on its standard output, none of which is kept."""
    scene = Scene(folder, TRAINED, {f"{UNRULY}:PRINTS": COMPLETED}, *STEPS)
    scene.run()
    return scene.tally() + Tally(unexplained="xxxx" in scene.says())


def full_disk(folder: Path) -> Tally:
    """No file may grow beyond 2 KiB, which is less than a record."""
    scene = _quick(folder)
    scene.run(prepare=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048)))
    return _refused_then_done(scene, "cannot write a record")


def full_file_system(folder: Path) -> Tally:
    """One of 4 KiB, which holds the first record and not the second. Raises PermissionError where
    mounting is not permitted."""
    scene = _quick(folder)
    with _Mounted(scene.results, "size=4k") as mounted:
        scene.run()
        mounted.change("remount,size=16m")
        (spare,) = re.findall("The record is in '(.*)': move it there", scene.says())
        shutil.move(spare, scene.results)
        Path(spare).parent.rmdir()
        # That it was moved is all that was missing: no trial is run again.
        scene.remember()
        return _refused_then_done(scene, "cannot write a record")


def read_only_store(folder: Path) -> Tally:
    """Mounted so. Raises PermissionError where mounting is not permitted."""
    scene = _quick(folder)
    with _Mounted(scene.results, "size=16m") as mounted:
        mounted.change("remount,ro")
        scene.run()
        mounted.change("remount,rw")
        return _refused_then_done(scene, "cannot write into")


def clock_going_backwards(folder: Path) -> Tally:
    """A second for each time that it is read."""
    scene = _quick(folder)

    def prepare() -> None:
        now = time.time()

        def backwards() -> float:
            nonlocal now
            now -= 1
            return now

        time.time = backwards

    scene.run(prepare=prepare)
    scene.remember()
    scene.run(prepare=prepare)
    return scene.tally()


def killed_while_writing_a_record(folder: Path) -> Tally:
    """The second record's file is written, and has not its name yet."""
    scene = _quick(folder)
    scene.run(prepare=lambda: _kill_at("fsync", 3))
    scene.remember()
    scene.run()
    return scene.tally()


def killed_while_saving_a_checkpoint(folder: Path) -> Tally:
    """Half of it is on disk."""
    scene = Scene(folder, LANGUAGE, {"softmax": COMPLETED}, "--set", "steps=9", OFTEN)

    def prepare() -> None:
        save, count = torch.save, 0

        def half(state: object, file: Path) -> None:
            nonlocal count
            save(state, file)
            count += 1
            if count == 4:
                os.truncate(file, file.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        torch.save = half

    scene.run(prepare=prepare)
    crashed = scene.tally(may_crash=1)
    scene.run("--rerun")
    resumed = sum(d["language"]["resumed"] != 1 for d in scene.documents())
    return scene.tally() + Tally(lost=resumed, unexplained=crashed.unexplained)


def damaged_records(folder: Path) -> Tally:
    """Cut short, and full of something else: neither is believed, and both are made again."""
    scene = _quick(folder)
    scene.run()
    names = list(scene.files())
    for name, content in zip(names, (scene.files()[names[0]][:999], b"\xff{"), strict=True):
        (scene.results / name).write_bytes(content)
    scene.run()
    return scene.tally()


def damaged_checkpoint(folder: Path) -> Tally:
    """It is refused by name; once it is deleted, the same command does the rest."""
    scene = Scene(folder, LANGUAGE, {"softmax": COMPLETED}, "--set", "steps=9", OFTEN)
    scene.run(prepare=lambda: setattr(torch, "save", _save_rubbish_and_die))
    scene.run("--rerun")
    refused = scene.documents()[0]["reason"]
    unexplained = 1
    for file in (scene.cache / "checkpoints").iterdir():
        unexplained = f"the checkpoint {file.name} is damaged" not in refused
        file.unlink()
    scene.run()
    return scene.tally() + Tally(unexplained=unexplained)


def two_drivers(folder: Path) -> Tally:
    """On one folder, at the same time."""
    scene = _quick(folder)
    both = scene.start(), scene.start()
    codes = [run.wait() for run in both]
    scene.end(both[0])
    scene.remember()
    scene.run()
    return scene.tally() + Tally(unexplained=sum(code != 0 for code in codes))


SCENARIOS: tuple[Callable[[Path], Tally], ...] = (
    no_memory_in_a_pass,
    no_memory_for_data,
    hung,
    hung_without_a_driver,
    talkative,
    full_disk,
    full_file_system,
    read_only_store,
    clock_going_backwards,
    killed_while_writing_a_record,
    killed_while_saving_a_checkpoint,
    damaged_records,
    damaged_checkpoint,
    two_drivers,
)


def _run_twice(scene: Scene, *words: str) -> Tally:
    scene.run(*words)
    scene.remember()
    scene.run(*words)
    return scene.tally()


def _refused_then_done(scene: Scene, sentence: str) -> Tally:
    """A run that could not write said so; the next one, which can, does the rest."""
    unexplained = sentence not in scene.says()
    scene.run()
    return scene.tally() + Tally(unexplained=unexplained)


def _kill_at(call: str, count: int) -> None:
    """This process is killed in place of its `count`-th call of a function of `os`."""
    driver, made, real = os.getpid(), 0, getattr(os, call)

    def fatal(*given: object) -> object:
        nonlocal made
        made += os.getpid() == driver
        if made == count:
            os.kill(driver, signal.SIGKILL)
        return real(*given)

    setattr(os, call, fatal)


def _save_rubbish_and_die(_: object, file: Path) -> None:
    """As a file system may leave it: whole by its name, and not by its content."""
    target = file.with_name(file.name[1 : file.name.index(".pt") + 3])
    target.write_bytes(b"PK rubbish")
    os.kill(os.getppid(), signal.SIGKILL)


class _Mounted:
    """A file system in memory, for the length of the block."""

    def __init__(self, folder: Path, options: str) -> None:
        self._folder, self._options = folder, options

    def __enter__(self) -> "_Mounted":
        self._folder.mkdir(parents=True)
        self.change(self._options)
        return self

    def __exit__(self, *_: object) -> None:
        # What the account is about stays readable until the block's end.
        subprocess.run(["umount", str(self._folder)], check=True, capture_output=True)

    def change(self, options: str) -> None:
        """Mount it, or mount it otherwise."""
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self._folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PermissionError(done.stderr.strip())
