"""Every command that a document prints is run here, or stands in a table with the reason why not.

What takes hours, such as `bench run`, is planned with --dry-run; the tests of that command run it.
"""

import contextlib
import itertools
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cli import COMMANDS
from results.store import Store
from tests.processes import ROOT, Done, bench
from tests.results.language import finetuned

DOCUMENTS = ("README.md", "CONTRIBUTING.md", *sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")
))  # fmt: skip
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`((?:python -m|make) [^`]+)`")

NOT_RUN = {
    "pip install": "It downloads; the extras that it names are looked up instead.",
    "python -m reports.readme": "It writes the documents; test_documents compares them instead.",
    "python -m bench.docs.claims": "It writes the documents; test_documents compares them instead.",
    "python -m examples.swap_attention": "tests/methods/test_pretrained_generation.py runs it.",
    "python -m tests.adversaries.page": "It writes a table, which test_adversaries.py compares.",
    "python -m tests.faults.soak": "It takes half an hour; test_faults.py runs a part of it.",
    "python -m tests.security.soak": "Ten minutes; tests/security/test_fuzz.py runs its targets.",
}
LONG = ("run", "reproduce")
"""Commands that are planned only."""
STANDS_FOR = {
    "my-method": "./my_attention.py",
    "./my_method.py": "./my_attention.py",
    "H100": "EPYC",
}
"""Names that a reader puts another one for."""
SHORTER = {
    "python -m bench compare --task probes --figures": "--task probes/bias",
    "python -m bench report": "--task lra",
}
"""How commands begin that would draw for many seconds, and what makes them draw less."""
ALONE = ("list", "compare", "doctor")
"""Commands that need no more than their name."""
NAMES = tuple(f"python -m bench {name}" for name in COMMANDS if name not in ALONE)
"""Printed as the names of commands, without what these need: they are asked for their help."""
ENDLESS = "python -m bench serve"
"""It waits for a browser, and is asked for its help too."""


def commands(text: str) -> Iterator[str]:
    """Lines of blocks without a language, and what stands between backticks, without remarks."""
    for language, block in FENCE.findall(text):
        if not language:
            lines = (re.sub(r"\s+#.*", "", line).strip() for line in block.splitlines())
            yield from filter(None, lines)
    yield from INLINE.findall(FENCE.sub("", text))


def printed() -> list[str]:
    texts = ((ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS)
    return sorted(set(itertools.chain.from_iterable(map(commands, texts))))


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Path:
    """A folder as a reader's: their files, and records of every kind."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("my_attention.py", "my_task.py"):
        shutil.copy(ROOT / "examples" / name, folder)
    (folder / "results").symlink_to(ROOT / "results")
    for target, kinds in {
        "bench-results": ("demo", "cost", "probes"),
        "results-of-june": ("demo",),
        "results-of-july": ("demo",),
        "merged": ("demo",),
        "shared/results": ("demo",),
    }.items():
        for kind in kinds:
            # Those of real queries and keys take a second to read, every time.
            shutil.copytree(
                ROOT / "results" / "measured" / kind,
                folder / target,
                ignore=shutil.ignore_patterns("*real-qk*"),
                dirs_exist_ok=True,
            )
    for record in finetuned():
        Store(folder / "bench-results").write(record)
    with contextlib.chdir(folder):
        for command in printed():
            if command.startswith("python -m bench new "):
                bench(*shlex.split(command)[3:])
    return folder


def to_run() -> list[str]:
    """Those of `bench`, with what stands for something else put in."""
    found = [c for c in printed() if c.startswith("python -m bench ")]
    return sorted({" ".join(STANDS_FOR.get(w, w) for w in c.split(" ")) for c in found})


def run_shortly(command: str) -> Done:
    """The command, as far as it takes seconds."""
    words = shlex.split(command)[3:]
    for beginning, less in SHORTER.items():
        if command.startswith(beginning):
            words = [word for word in words if word not in ("--task", "probes")] + less.split()
    if command in NAMES or command.startswith(ENDLESS):
        return bench(words[0], "--help")
    planned = words[0] in LONG and "--dry-run" not in words
    return bench(*words, *["--dry-run"] * planned)


@pytest.mark.parametrize("command", to_run())
def test_a_command_of_the_documents_does_what_it_is_printed_for(
    command, reader, tmp_path, monkeypatch
):
    # A new file is never written over one that is there.
    monkeypatch.chdir(tmp_path if " new " in command else reader)
    done = run_shortly(command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("command", [c for c in printed() if c.startswith("make ")])
def test_a_target_of_the_documents_is_in_the_makefile(command):
    done = subprocess.run(
        [*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_other_command_has_a_reason_why_it_is_not_run_and_no_reason_is_left_over():
    for command in printed():
        if not command.startswith(("python -m bench ", "make ")):
            assert reason(command), command
    assert all(any(c.startswith(words) for c in printed()) for words in NOT_RUN)


def reason(command: str) -> str:
    """Why it is not run; empty where it is."""
    return next((why for words, why in NOT_RUN.items() if command.startswith(words)), "")


def test_the_extras_that_the_documents_install_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [re.findall(r"\[([\w,]+)\]", c) for c in printed() if c.startswith("pip install")]
    extras = {extra for found in named for words in found for extra in words.split(",")}
    assert "models" in extras
    assert extras <= set(project["optional-dependencies"])


def scripts() -> list[str]:
    texts = ((ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS)
    return [
        block for text in texts for language, block in FENCE.findall(text) if language == "bash"
    ]


@pytest.mark.parametrize("script", scripts())
def test_a_script_for_a_cluster_runs_a_command_that_can_be_planned(script, reader, monkeypatch):
    stub = reader / "bin" / "python"
    stub.parent.mkdir(exist_ok=True)
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stub.chmod(0o755)
    asked = subprocess.run(
        ["bash", "-euc", script],
        env={"PATH": f"{stub.parent}{os.pathsep}{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": "2"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert asked[:2] == ["-m", "bench"]
    monkeypatch.chdir(reader)
    done = run_shortly(shlex.join(["python", *asked]))
    assert done.returncode == 0, done.stderr
    assert "to run" in done.stdout or "on record" in done.stdout


def test_the_task_that_the_documents_print_is_run_with_its_settings(reader, monkeypatch):
    (command,) = [c for c in printed() if "./my_task.py --set" in c]
    monkeypatch.chdir(reader)
    more = ("--no-controls", "--threads", "1", "--results", "mine", "--cache", "kept")
    done = bench(*shlex.split(command)[3:], *more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "first-and-last" in done.stdout
