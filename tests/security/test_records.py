"""Records are text that anyone may have written: what they can do to whoever reads them."""

import base64
import csv
import gzip
import io
import json
import os
import random
import signal
from pathlib import Path

import pytest

from bench.cli import run_words
from reports.table import render
from results import foreign
from results.folders import LocalFolder
from results.loading import Found, Problem, load
from results.record import Record
from results.store import Store
from tests.results.records import failed_record, fake_identity, fake_record

EVIL = "\x1b[2J\x1b]8;;http://evil.example\x1b\\x\x07\x9b31m\u202e\r\x7f\x00"


def text_of(**changes: object) -> str:
    document = json.loads(fake_record().model_dump_json())
    return json.dumps(document | changes)


def loaded(text: str) -> Record:
    found = load("a.json", text.encode())
    assert isinstance(found, Found), found
    return found.record


def refused(text: str | bytes, name: str = "a.json") -> str:
    found = load(name, text.encode() if isinstance(text, str) else text)
    assert isinstance(found, Problem)
    return str(found)


@pytest.mark.parametrize(
    "where", ["\x1b[31m", "\x9b", "\u202e", "\u2066", "\0", "\r", "\b", "\x7f"]
)
def test_what_a_terminal_obeys_is_written_out(where):
    assert loaded(text_of(same_as=f"a{where}b")).same_as == f"a{foreign.printable(where)}b"
    assert foreign.printable(where).isascii()


@pytest.mark.parametrize(
    "text", ["", "plain", "é ± 日本語", "two\nlines\tand a tab", "a\u00a0b", "😀"]
)
def test_what_a_terminal_shows_is_left_as_it_is(text):
    assert foreign.printable(text) == text
    assert loaded(text_of(same_as=text)).same_as == text


def test_a_reason_quotes_what_crashed_without_its_colours():
    record = failed_record().model_copy()
    made = Record.model_validate(record.model_dump() | {"reason": f"It said {EVIL}."})
    assert "\x1b" not in made.reason
    assert r"\x1b[2J" in made.reason


@pytest.mark.parametrize("format", ["table", "csv", "json", "markdown", "latex"])
def test_no_command_prints_what_a_terminal_obeys(tmp_path, capsys, format):
    names = {"identity": json.loads(fake_identity().model_dump_json()) | {"method": EVIL}}
    (tmp_path / "a.json").write_text(text_of(**names, same_as=EVIL))
    (tmp_path / f"{EVIL[:-1].replace('/', '')}.json").write_text("{")
    (tmp_path / "b.json").write_text(text_of(**{EVIL: 1}))
    assert run_words(["compare", "--results", str(tmp_path), "--format", format]) == 0
    shown = capsys.readouterr()
    assert foreign.printable(shown.out + shown.err) == shown.out + shown.err
    assert r"\x1b[2J" in shown.err


def test_a_few_kilobytes_do_not_unpack_to_gigabytes(monkeypatch):
    monkeypatch.setattr(foreign, "LARGEST", 2**20)
    packed = gzip.compress(b" " * 2**22)
    assert len(packed) < 2**13
    assert "holds more than" in refused(packed, "a.json.gz")


def test_a_record_may_be_as_large_as_the_limit(monkeypatch):
    text = text_of().encode()
    monkeypatch.setattr(foreign, "LARGEST", len(text))
    assert isinstance(load("a.json.gz", gzip.compress(text)), Found)
    monkeypatch.setattr(foreign, "LARGEST", len(text) - 1)
    refused(gzip.compress(text), "a.json.gz")


@pytest.mark.skipif(os.name != "posix", reason="pipes with names")
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    signal.alarm(20)
    try:
        reading = Store(tmp_path).read()
    finally:
        signal.alarm(0)
    assert "no regular file" in str(reading.problems[0])


def test_a_device_without_end_is_not_read(tmp_path):
    (tmp_path / "a.json").symlink_to("/dev/zero")
    content = dict(LocalFolder(tmp_path).read(["a.json"]))["a.json"]
    assert isinstance(content, OSError)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"schema":5,"identity":' * 20_000,
        "\ufeff" + text_of(),
        text_of(same_as="x").replace('"x"', '"\\ud800"'),
        text_of()[:-1] + ', "unknown": 1}',
        text_of(schema=10**4000),
        text_of(schema=[[[[]]]] * 9000),
        text_of().replace('"task_version": 1', f'"task_version": {"1" * 5000}'),
        text_of().replace('"task_version": 1', f'"task_version": {"1" * 30}'),
        text_of().replace('"seed": 0', f'"seed": {2**63}'),
        text_of().replace('"step_seconds": [', '"step_seconds": [0.0, '),
        text_of().replace('"step_seconds": [', '"step_seconds": [1e-300, '),
        text_of().replace('"parameters": ', '"parameters": -'),
        text_of().replace('"trials": 500', '"trials": 1'),
        text_of(language={"predictions_per_block": 0}),
    ],
    ids=lambda text: text[:12],
)
def test_what_no_trial_can_have_written_is_refused_in_one_line(text):
    said = refused(text)
    assert len(said) < 400
    assert "\n" not in said


def test_a_file_cannot_take_the_place_of_another_trial():
    record = fake_record(fake_identity(seed=3))
    changed = record.model_dump_json().replace('"seed":3', '"seed":4')
    assert "another trial" in refused(changed, record.identity.file_name())


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "a\0b", "x" * 500, "é"])
def test_a_name_cannot_leave_the_folder(tmp_path, name):
    identity = fake_identity(name, name, preset=name)
    Store(tmp_path / "results").write(fake_record(identity))
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert (tmp_path / "results" / identity.file_name()).is_file()


def test_a_preset_cannot_lead_a_figure_out_of_its_folder():
    figures = pytest.importorskip("reports.figures")
    for preset in ("/../../x", "..", "/etc/x", "a\0b", "x" * 300):
        name = figures._unused(f"cost-{preset}-sketch", [])
        assert Path(name).name == name
        assert len(name) <= 150


def test_a_spreadsheet_has_nothing_to_compute():
    records = [fake_record(fake_identity(name)) for name in ("=1+1", "@x", "+1", "-1", "plain")]
    rows = list(csv.DictReader(io.StringIO(render(records, "csv"))))
    names = {row["method"] for row in rows} - {"majority class"}
    assert names == {"'=1+1", "'@x", "'+1", "'-1", "plain"}
    assert any(row["value"] for row in rows)
    assert not any(row["value"].startswith("'") for row in rows)


def test_markdown_has_no_link_and_no_tag_of_a_record():
    name = "[x](javascript:alert(1))<img src=x>|`code`"
    shown = render([fake_record(fake_identity(name))], "markdown")
    assert name not in shown
    assert r"\[x\](javascript:alert(1))\<img src=x\>\|\`code\`" in shown


def test_outcomes_that_are_not_the_examples_cost_a_test_and_no_more():
    drawn = random.Random(0).randbytes(99)
    for outcomes in ("%%%", "AAAA", "é", base64.b64encode(drawn).decode()):
        document = json.loads(text_of())
        document["training"]["outcomes"] = outcomes
        other = fake_record(fake_identity("other"))
        assert "fake-attention" in render([loaded(json.dumps(document)), other])
