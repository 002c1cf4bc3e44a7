"""The compare command: what it prints, where, and with which exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.compare import compare_command
from bench.cli.records import Filters
from bench.errors import UsageError
from results.store import Store
from tests.results.curves import fake_cost_record, fake_crossovers
from tests.results.probes import fake_probe_record, second_moments
from tests.results.records import failed_record, fake_identity, fake_record

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = Store(tmp_path)
    for method in ("performer", "fake-other"):
        for seed in (0, 1):
            store.write(fake_record(fake_identity(method, seed=seed)))
    store.write(fake_record(fake_identity("fake-floor"), role="floor", accuracy=0.2))
    store.write(failed_record(fake_identity("performer", "lra/text")))
    return tmp_path


def compared(
    capsys: pytest.CaptureFixture[str], folder: Path, against: str | None = None, **filters: object
) -> list[dict]:
    options = {"results": folder, "format": "json", "against": against}
    assert compare_command(filters=Filters(**filters), **options) == 0
    return json.loads(capsys.readouterr().out)


def test_a_table_is_printed(folder, capsys):
    assert compare_command(results=folder) == 0
    out = capsys.readouterr().out
    assert "performer" in out
    assert "majority class" in out


def test_a_filter_by_method_keeps_the_controls(folder, capsys):
    rows = compared(capsys, folder, methods=("performer",))
    assert {row["method"] for row in rows} == {"performer", "fake-floor", "majority class"}


def test_a_filter_by_task_takes_families_and_tasks(folder, capsys):
    assert {r["task"] for r in compared(capsys, folder, task=("lra/text",))} == {"lra/text"}
    assert len({r["task"] for r in compared(capsys, folder, task=("lra",))}) == 2


def test_a_filter_by_seed_leaves_the_other_seeds_out(folder, capsys):
    rows = compared(capsys, folder, seeds=(1,), task=("lra/listops",))
    assert {row["seeds"] for row in rows if row["method"] == "performer"} == {"1"}


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("methods", "perfomer", "Did you mean 'performer'"),
        ("task", "lra/listop", "Did you mean 'lra/listops'"),
        ("preset", "quik", "quick"),
        ("seeds", 7, "0, 1"),
    ],
)
def test_a_filter_that_matches_nothing_offers_what_there_is(folder, option, value, hint):
    with pytest.raises(UsageError, match=hint):
        compare_command(filters=Filters(**{option: (value,)}), results=folder)


def test_problems_are_one_line_each_on_stderr_and_the_table_is_whole(folder, capsys):
    (folder / "foreign.json").write_text('{"not": "ours"}')
    (folder / "broken.json").write_text('{"schema": 1, ')
    assert compare_command(results=folder, format="csv") == 0
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 2
    assert "foreign.json: is not a record" in captured.err
    assert "performer" in captured.out


def test_published_numbers_come_when_asked_for(folder, capsys):
    assert not any(r["role"] == "published" for r in compared(capsys, folder))
    assert any(r["role"] == "published" for r in compared(capsys, folder, against="published"))


@pytest.mark.parametrize("make", ["nothing", "file", "folder"])
def test_where_there_are_no_records_one_sentence_says_what_to_do(tmp_path, make):
    target = tmp_path / "target"
    if make == "file":
        target.write_text("")
    elif make == "folder":
        target.mkdir()
    with pytest.raises(UsageError, match="bench run") as caught:
        compare_command(results=target)
    assert "\n" not in str(caught.value)


def test_bad_input_exits_with_two_and_no_traceback_and_never_imports_torch(tmp_path):
    code = (
        "import sys; sys.argv = ['bench', 'compare', '--results', sys.argv[1]]\n"
        "from bench.__main__ import main\n"
        "try:\n    main()\n"
        "finally:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "nowhere")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert done.stdout.strip() == "False"
    assert "does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_comparing_needs_no_torch(folder):
    code = (
        "import sys; from pathlib import Path; from bench.cli.compare import compare_command\n"
        "compare_command(results=Path(sys.argv[1]), format='csv', against='published')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, cwd=ROOT)


def test_one_part_of_cost_trials_can_be_asked_for(folder, capsys):
    Store(folder).write(fake_cost_record("performer", crossovers=fake_crossovers()))
    assert compare_command(results=folder, part="crossovers") == 0
    out = capsys.readouterr().out
    assert "from 640-704" in out
    assert "majority class" not in out


def test_a_part_that_has_nothing_to_show_says_what_measures_it(folder):
    with pytest.raises(UsageError, match="--task cost"):
        compare_command(results=folder, part="proxy")


@pytest.mark.parametrize("other", [{"cost": False}, {"against": "published"}])
def test_a_part_of_cost_trials_goes_with_nothing_else(folder, other):
    with pytest.raises(UsageError, match="leave out"):
        compare_command(results=folder, part="curves", **other)


def test_figures_are_written_beside_the_table_and_named_on_stderr(folder, tmp_path, capsys):
    pytest.importorskip("altair")
    Store(folder).write(fake_probe_record(second_moments((0.05, 0.3))))
    figures = tmp_path / "figures"
    assert compare_command(filters=Filters(task=("probes",)), results=folder, figures=figures) == 0
    captured = capsys.readouterr()
    assert "second moment" in captured.out
    written = sorted(path.name for path in figures.iterdir())
    assert written == [f"probes-variance-quick-second-moment.{end}" for end in ("png", "svg")]
    assert all(name in captured.err for name in written)


def test_records_with_nothing_to_draw_say_what_measures_some(folder, tmp_path):
    pytest.importorskip("altair")
    with pytest.raises(UsageError, match="--task probes"):
        compare_command(
            filters=Filters(task=("lra/text",)), results=folder, figures=tmp_path / "figures"
        )


def test_figures_that_cannot_be_written_are_one_sentence(folder, tmp_path):
    pytest.importorskip("altair")
    Store(folder).write(fake_probe_record(second_moments((0.05, 0.3))))
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match="Name another folder with --figures"):
        compare_command(results=folder, figures=tmp_path / "taken")


def test_figures_without_their_packages_say_what_to_install(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="pip install altair"):
        compare_command(results=folder, figures=tmp_path / "figures")
