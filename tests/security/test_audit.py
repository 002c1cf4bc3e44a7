"""What `make audit` makes of an answer."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / ".ci" / "audit.py"
KNOWN = {"name": "sound", "version": "1.0", "vulns": []}
SKIPPED = {"name": "private", "skip_reason": "not found"}
WEAK = {"name": "weak", "version": "2.0", "vulns": [{"id": "CVE-0", "fix_versions": ["2.1"]}]}


@pytest.fixture(scope="module")
def audit():
    spec = importlib.util.spec_from_file_location("audit", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_known_weakness_fails_and_is_named_with_its_cure(audit):
    code, said = audit.verdict({"dependencies": [KNOWN, WEAK, SKIPPED]})
    assert code == 1
    assert "weak 2.0: CVE-0, mended in 2.1" in said


def test_no_known_weakness_passes_and_says_what_was_not_asked_about(audit):
    code, said = audit.verdict({"dependencies": [KNOWN, SKIPPED]})
    assert code == 0
    assert "1 of 2 packages audited" in said
    assert "Not known to it: private" in said


@pytest.mark.parametrize("report", [None, {"dependencies": [SKIPPED]}, {"dependencies": []}])
def test_where_nothing_can_be_asked_it_never_passes_for_an_audit(audit, report):
    assert audit.verdict(report)[0] is None


def test_it_says_so_where_no_service_answers(audit, monkeypatch, capsys):
    silent = subprocess.CompletedProcess([], 1, stdout="", stderr="no network")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: silent)
    assert audit.main("constraints.txt") == 0
    assert "NOT AUDITED" in capsys.readouterr().out
