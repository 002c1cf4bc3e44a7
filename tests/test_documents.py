"""What the documents say is what the commands print."""

import re
from pathlib import Path

import pytest

from bench.cli import COMMANDS
from bench.docs import claims
from bench.registry import load_locator
from methods.core.testing import assert_method
from reports.readme import DOCUMENTS, ROOT, with_tables


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_table_in_a_document_is_what_its_records_give(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "<!-- table:" in text
    assert with_tables(text) == text, "run `python -m reports.readme`"


@pytest.mark.parametrize("name", claims.DOCUMENTS)
def test_verdicts_in_a_document_are_what_its_records_give(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "<!-- claims:" in text
    assert claims.with_claims(text) == text, "run `python -m bench.docs.claims`"


def test_the_readme_names_both_set_up_commands_and_every_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in text
    assert "make test" in text
    for command in COMMANDS:
        assert f"bench {command}" in text


def test_every_file_that_a_document_links_to_exists():
    for name in ("README.md", "CONTRIBUTING.md", "DESIGN.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!http)([^)#]+)", text):
            assert (ROOT / target).exists(), f"{name} links to {target}"


def test_the_method_that_the_readme_prints_keeps_the_contract(tmp_path: Path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    file = tmp_path / "printed.py"
    file.write_text(program)
    assert_method(load_locator(str(file), "METHOD").value)
