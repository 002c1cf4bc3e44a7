"""Laws of `--results` with a URL: every command takes it, from end to end."""

import json

import pytest

from bench.provenance import command_line
from results.store import Store
from tests.bench.test_run import TASK
from tests.processes import bench, run_command
from tests.results.places import new_memory, s3_server
from tests.results.records import fake_identity, fake_record


@pytest.fixture(scope="module")
def bucket():
    with s3_server() as url:
        yield url


def test_a_run_leaves_its_records_at_the_url_and_does_them_once(bucket):
    words = ("--methods", "no-mixing", "--task", TASK, "--no-controls", "--results", bucket)
    done = bench("run", *words, "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert f"1 records are in {bucket}." in done.stdout
    (record,) = Store(bucket).read().records
    assert record.status == "completed"
    (planned,) = json.loads(bench("plan", *words, "--json").stdout)
    assert planned["state"] == "on record"


def test_another_process_compares_what_lies_at_the_url(bucket):
    for seed in (0, 1):
        Store(f"{bucket}/june").write(fake_record(fake_identity(seed=seed)))
    done = run_command("-m", "bench", "compare", "--results", f"{bucket}/june")
    assert done.returncode == 0, done.stderr
    assert "fake-attention" in done.stdout
    assert not done.stderr


def test_two_urls_are_held_against_each_other():
    places = new_memory(), new_memory()
    for place, seconds in zip(places, (0.01, 0.02), strict=True):
        for seed in range(5):
            identity = fake_identity(seed=seed)
            Store(place).write(fake_record(identity, step_seconds=seconds + seed * 1e-5))
    done = bench("compare", *places, "--fail-over", "1.1", "--format", "markdown")
    assert done.returncode == 1, done.stderr
    assert places[0] in done.stdout


@pytest.mark.parametrize(
    "words",
    [("compare",), ("power", "--difference", "0.1", "--task", "lra/listops")],
    ids=lambda words: words[0],
)
def test_a_place_that_cannot_be_opened_is_one_sentence(words):
    done = bench(*words, "--results", "nonsense://somebody:sesame@place/x")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: cannot open 'nonsense://***@place/x': Protocol not known")
    assert done.stderr.count("\n") == 1
    assert "sesame" not in done.stdout + done.stderr


def test_a_place_without_records_is_told_as_it_was_typed():
    place = new_memory()
    done = bench("compare", "--results", place)
    assert done.returncode == 2
    assert f"the results folder '{place}' holds no records" in done.stderr


def test_a_command_in_a_record_holds_no_password():
    told = command_line(["run", "--results", "sftp://somebody:sesame@place/x"])
    assert "sesame" not in told
    assert "@place/x" in told
