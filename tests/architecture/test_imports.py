"""Who may import whom, and who may do so without torch."""

import re

import pytest

from tests.processes import run_command, run_python

TORCH_FREE = ("results.store", "reports.table", "tasks.api", "bench.cli", "bench.provenance")


def test_the_import_contracts_are_kept() -> None:
    done = run_command(
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
        "--no-cache",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_is_shown_without_torch() -> None:
    done = run_command("-X", "importtime", "-m", "bench", "--help")
    assert done.returncode == 0, done.stderr
    assert "run" in done.stdout
    imported = re.findall(r"\|\s+(\S+)$", done.stderr, re.MULTILINE)
    assert "bench.cli" in imported
    assert "torch" not in imported


@pytest.mark.parametrize("module", TORCH_FREE)
def test_what_plans_and_reports_imports_no_torch(module: str) -> None:
    run_python(f"import sys, {module}\nassert 'torch' not in sys.modules")
