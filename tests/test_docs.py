"""The documentation is built from what is there: registry, records and help."""

import re
from pathlib import Path

import numpy as np
import pytest

from bench.cli import COMMANDS, build_app
from bench.cli.selection import find_method
from bench.docs.command_pages import command_pages
from bench.docs.drawings import NONE, method_drawings
from bench.docs.markdown import Page, escaped, linked
from bench.docs.method_pages import method_pages
from bench.docs.task_pages import path, task_pages
from bench.registry import load_locator, load_registry
from tasks.api import LoadRequest
from tests.processes import ROOT, run_command

SHELL = re.compile(r"^ *(python -m bench .+(?:\n +--.+)*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def registry():
    return load_registry()


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        # Drawn by `make docs`; a test of their own draws one.
        patch.setenv("DOCS_FIGURES", "false")
        done = run_command("-m", "mkdocs", "build", "--strict", "--site-dir", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def by_path(pages: list[Page]) -> dict[str, str]:
    return {page.path: page.text for page in pages}


def commands(text: str) -> list[str]:
    return [" ".join(found.split()) for found in SHELL.findall(text)]


def test_the_site_is_built_without_a_warning_and_has_a_page_for_everything(site, registry):
    for name in registry.methods:
        assert (site / f"reference/methods/{name}.html").exists()
    for name in registry.tasks:
        assert (site / path(name).replace(".md", ".html")).exists()
    for name in COMMANDS:
        assert (site / f"reference/commands/{name}.html").exists()


def test_no_page_loads_anything_from_elsewhere(site):
    loads = re.compile(
        r"<(?:script|img|iframe)[^>]*src=\"(?:https?:)?//|<link[^>]*href=\"https?://"
    )
    for page in site.rglob("*.html"):
        # A link that names the page's own address loads nothing.
        assert not loads.search(page.read_text(encoding="utf-8")), page.name


def test_marked_tables_are_rendered_from_their_records(site):
    page = (site / "how-to/read-a-table.html").read_text(encoding="utf-8")
    assert "<td>majority class</td>" in re.sub(r"<td [^>]*>", "<td>", page)


def test_a_figure_is_drawn_where_there_are_records_and_its_absence_is_said(registry):
    drawings = method_drawings(["performer", "fla-delta-rule"])
    assert list(drawings) == ["performer"]
    assert drawings["performer"].svg.startswith("<svg")
    pages = by_path(method_pages(registry, drawings))
    file = drawings["performer"].path.rpartition("/")[2]
    assert f"](../figures/{file})" in pages["reference/methods/performer.md"]
    assert NONE in pages["reference/methods/fla-delta-rule.md"]


def test_a_method_s_page_says_what_the_registry_knows(registry):
    text = by_path(method_pages(registry, {}))["reference/methods/performer.md"]
    assert "https://arxiv.org/abs/2009.14794" in text
    assert "`T m d`" in text
    assert "`'isotropic' | 'optimal' | 'typical'` | `isotropic`" in text
    assert "[performer-pytorch](performer-pytorch.md)" in text
    assert "| `stepwise` | yes |" in text


def test_every_option_and_capability_of_every_method_is_on_its_page(registry):
    pages = by_path(method_pages(registry, {}))
    for name, entry in registry.methods.items():
        text = pages[f"reference/methods/{name}.md"]
        assert all(f"| `{option}` |" in text for option in entry.value.options)
        assert all(dtype in text for dtype in entry.value.can.dtypes)
        assert all(package in text for package in entry.value.can.packages)


def test_every_preset_and_source_of_every_task_is_on_its_page(registry):
    pages = by_path(task_pages(registry, {}))
    for name, entry in registry.tasks.items():
        text = pages[path(name)]
        for preset in entry.value.presets:
            assert f"### {escaped(preset.name)}\n\n{linked(preset.note)}" in text
        for source in entry.value.sources:
            assert linked(source.title) in text


def test_every_command_on_a_generated_page_means_something(registry):
    pages = [*method_pages(registry, {}), *task_pages(registry, {})]
    found = [command for page in pages for command in commands(page.text)]
    assert len(found) > len(registry.methods) + len(registry.tasks)
    for command in found:
        _, bound, _ = parsed(command)
        words = bound.arguments
        for method in words.get("methods", getattr(words.get("selection"), "methods", ())):
            find_method(method, registry)
        if "selection" in words:
            (task,) = registry.tasks_named(words["selection"].task[0])
            assert task.value.preset(words["selection"].preset)


def parsed(command: str):
    words = command.split("#")[0].replace('"random features"', "random").split()[3:]
    return build_app(words[0]).parse_args(words, exit_on_error=False, print_error=False)


def test_every_example_of_every_help_is_a_command_line_that_is_understood():
    pages = by_path(command_pages())
    for name in COMMANDS:
        examples = commands(pages[f"reference/commands/{name}.md"].split("**Parameters")[0])
        # The first is the usage line, which names what to put in.
        assert len(examples) > 1
        for example in examples[1:]:
            parsed(example)


def test_a_help_page_has_every_option_that_the_command_takes():
    text = by_path(command_pages())["reference/commands/run.md"]
    assert "python -m bench run --methods" in text
    for option in ("--methods", "--task", "--rerun", "--time-limit", "--dry-run"):
        assert f"`{option}" in text


def test_the_task_that_the_docs_print_keeps_what_it_says():
    task = load_locator("examples/my_task.py", "TASK").value
    (preset,) = task.presets
    data = task.source(preset.source).load(LoadRequest(data=preset.data))
    test = data.test
    last = test.tokens[np.arange(len(test)), 0, test.lengths[:, 0] - 1]
    assert ((test.tokens[:, 0, 0] == last) == test.labels).all()
    assert 0.4 < test.labels.mean() < 0.6
    assert test.lengths.max() == preset.max_time
    assert 1 <= test.tokens.min() <= test.tokens.max() < data.vocab_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b * [c] | <d> #e", r"a\_b \* \[c\] \| \<d\> \#e"),
        ("`a_b | c` and d_e", r"`a_b | c` and d\_e"),
        ("", ""),
    ],
)
def test_plain_text_stays_what_it_is_in_markdown(text, expected):
    assert escaped(text) == expected


def test_the_documentation_s_files_are_all_in_its_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert page.relative_to(ROOT / "docs").as_posix() in navigation
