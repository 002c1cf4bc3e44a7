"""Laws of methods that other installed packages announce."""

from pathlib import Path

import pytest

from bench.registry import load_registry
from tests.bench.test_registry import METHOD


@pytest.fixture
def install(tmp_path: Path, monkeypatch):
    """Lay a distribution beside the installed ones: a module and its entry point."""

    def install(name: str, program: str) -> None:
        (tmp_path / f"{name}.py").write_text(program)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[bench.methods]\n{name} = {name}:METHOD\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    return install


def test_an_announced_method_is_registered(install):
    install("plug_in_good", METHOD.format(name="announced"))
    registry = load_registry(("METHOD",))
    assert registry.method("announced").locator == "plug_in_good:METHOD"


@pytest.mark.parametrize(
    ("name", "program", "word"),
    [
        ("plug_in_failing", "1 / 0", "ZeroDivisionError"),
        ("plug_in_doubling", METHOD.format(name="softmax"), "Two origins"),
        ("plug_in_empty", "", "has nothing named METHOD"),
    ],
)
def test_a_broken_plug_in_is_listed_and_stops_nothing(install, name, program, word):
    install(name, program)
    registry = load_registry(("METHOD",))
    (broken,) = registry.broken
    assert broken.locator == f"{name}:METHOD"
    assert word in broken.reason
    assert registry.methods["softmax"].locator == "methods.softmax:METHOD"
