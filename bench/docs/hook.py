"""The hook of mkdocs.yml: generates the reference and the tables as the site is built.

Nothing that is generated is kept in the repository, so that it cannot be out of date.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page as SitePage

from bench.docs.command_pages import command_pages
from bench.docs.drawings import Drawing, method_drawings, task_drawings
from bench.docs.markdown import Page
from bench.docs.method_pages import method_pages
from bench.docs.task_pages import task_pages
from bench.registry import Registry, load_registry
from reports.readme import DOCUMENTS, ROOT, with_tables

HOUSE = {"house/design.md": "DESIGN.md", "house/contributing.md": "CONTRIBUTING.md"}
"""Documents of the repository that are pages as they are."""


@cache
def registry() -> Registry:
    """What is registered, plug-ins too."""
    return load_registry()


@cache
def drawings(wanted: bool) -> tuple[dict[str, Drawing], dict[str, Drawing]]:
    """Of methods and of tasks, by name."""
    if not wanted:
        return {}, {}
    return method_drawings(registry().methods), task_drawings(registry().tasks)


@cache
def sections(wanted: bool) -> dict[str, list[Page]]:
    """Every generated page, under the word that stands for its section in mkdocs.yml."""
    of_methods, of_tasks = drawings(wanted)
    return {
        "METHODS": method_pages(registry(), of_methods),
        "TASKS": task_pages(registry(), of_tasks),
        "COMMANDS": command_pages(),
    }


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts the generated pages into the navigation."""
    config.nav = _filled(config.nav, sections(config.extra["figures"]))
    return config


def _filled(nav: Any, generated: Mapping[str, list[Page]]) -> Any:
    if isinstance(nav, list):
        return [_filled(part, generated) for part in nav]
    if isinstance(nav, dict):
        return {title: _filled(part, generated) for title, part in nav.items()}
    if nav in generated:
        return [{page.title: page.path} for page in generated[nav]]
    return nav


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages, their figures, and the documents of the repository."""
    wanted = config.extra["figures"]
    for pages in sections(wanted).values():
        for page in pages:
            files.append(File.generated(config, page.path, content=page.text))
    for drawn in drawings(wanted):
        for drawing in drawn.values():
            files.append(File.generated(config, drawing.path, content=drawing.svg))
    for path, document in HOUSE.items():
        files.append(File.generated(config, path, abs_src_path=str(ROOT / document)))
    return files


def on_page_markdown(markdown: str, *, page: SitePage, **_: Any) -> str:
    """Renders marked tables from their records; documents that `reports.readme` keeps have them."""
    kept = {name.removeprefix("docs/") for name in DOCUMENTS}
    return markdown if page.file.src_uri in kept else with_tables(markdown)
