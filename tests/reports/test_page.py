"""The page: what it says, that its links lead somewhere, and that it can do no harm."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterator

import pytest

from reports.page import build
from reports.page.trials import repeat
from reports.page.views import number_of
from results.record import Measured, Record
from tests.reports.pages import Page, page_of
from tests.reports.samples import suite
from tests.results.curves import fake_cost_record, fake_crossovers
from tests.results.language import finetuned
from tests.results.probes import fake_probe_record, second_moments
from tests.results.records import failed_record, fake_identity, fake_record

pytest.importorskip("altair")
pytest.importorskip("jinja2")

ATTACK = "</script></style><script>alert(1)</script><img src=x onerror=alert(1)>\"' onclick='a"


@pytest.fixture(autouse=True, scope="module")
def _without_the_drawing_library() -> Iterator[None]:
    # Making it takes seconds, and what it does only a browser can tell.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "_bundle", lambda: "window.vegaEmbed = null;")
        yield


@pytest.fixture(scope="module")
def everything() -> list[Record]:
    return [
        *suite((0, 1)),
        failed_record(fake_identity("broken", "lra/text")),
        fake_cost_record("linear", crossovers=fake_crossovers()),
        fake_probe_record(second_moments()),
        *finetuned(),
    ]


@pytest.fixture(scope="module")
def page(everything) -> Page:
    return page_of(everything)


def test_every_link_leads_somewhere_and_no_anchor_stands_twice(page):
    assert {link[1:] for link in page.links} <= set(page.names)
    assert len(page.names) == len(set(page.names))


def test_every_record_is_there_with_its_command(everything, page):
    for record in everything:
        assert f"r-{record.identity.digest()}" in page.names
        assert repeat(record) in page.text


def test_the_command_that_repeats_a_trial_says_every_option():
    identity = fake_identity(
        "performer",
        options={"num_features": 64, "orthogonal": True, "rank": None},
        settings={"steps": 5},
        seed=3,
        source="release:some folder",
    )
    command = repeat(fake_record(identity))
    assert "--methods performer:num_features=64,orthogonal=true,rank=none" in command
    assert "--source 'some folder'" in command
    assert "--set steps=5" in command
    assert "--seeds 3" in command


def test_the_summary_names_the_best_what_is_tied_and_what_failed(page):
    start, end = page.words.index("Summary"), page.words.index("Methods against tasks")
    summary = page.words[start:end]
    assert re.search(r"Best: (strong|close) \d+\.\d ±\d+\.\d %; tied with it: ", summary)
    assert "Not clear above the floor" in summary
    assert "Without a score: broken" in summary
    assert "On the front of score against training speed" in summary
    assert "1 unsupported" in page.words


def test_a_number_links_to_its_record_and_several_seeds_to_their_heading():
    page = page_of([*suite((0,)), *suite((1,), tasks=("lra/image",))])
    targets = {link[:3] for link in page.links if link.startswith(("#r-", "#g-"))}
    assert targets == {"#r-", "#g-"}


@pytest.mark.parametrize(("seeds", "said"), [((0,), True), ((0, 1), False)])
def test_a_best_method_of_one_seed_is_said_to_be_one(seeds, said):
    page = page_of(suite(seeds, ("lra/listops",)))
    assert ("One seed each" in page.words) == said


def hostile(value: object) -> object:
    """The same with an attack in every text that may say anything."""
    kept = ("status", "role", "mode", "level", "verdict", "outcomes", "started")
    free = ("method_options", "settings", "settings_resolved", "versions", "card")
    if isinstance(value, dict):
        attacked = {k: v if k in kept else hostile(v) for k, v in value.items()}
        more = {k: v | {f"key{ATTACK}": ATTACK} for k, v in attacked.items() if k in free}
        return attacked | more
    if isinstance(value, list):
        return [hostile(each) for each in value]
    words = isinstance(value, str) and value not in ("", "latency", "memory")
    return f"{value}{ATTACK}" if words else value


def test_script_tags_in_every_field_stay_text(everything):
    records = [
        Record.model_validate(hostile(json.loads(record.model_dump_json(by_alias=True))))
        for record in everything
    ]
    page = page_of(records, title=ATTACK, problems=[ATTACK])
    names = [tag for tag, _ in page.tags]
    assert names.count("script") == 3
    assert not {"img", "iframe", "object", "embed", "base"} & set(names)
    assert names.count("style") == 1
    assert not [name for _, found in page.tags for name in found if name.startswith("on")]
    assert "<script>alert(1)" in page.text
    figures = json.loads(page.scripts[0])
    assert figures
    assert "<" not in page.scripts[0]


def test_only_the_pages_own_scripts_may_run_and_nothing_may_be_fetched(page):
    policy = next(found["content"] for tag, found in page.tags if found.get("http-equiv"))
    assert policy
    for text in (*page.scripts[1:], *page.styles):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "unsafe" not in policy
    for tag, found in page.tags:
        assert "src" not in found, tag
        assert not str(found.get("href", "#")).startswith(("http", "//")), tag
    assert "url(" not in page.styles[0]


def test_a_live_page_may_ask_its_own_server_alone(everything):
    page = page_of(everything[:1], live="abc")
    assert "connect-src 'self'" in page.html.replace("&#39;", "'")
    assert ("body", {"data-live": "abc"}) in page.tags


def test_tables_say_what_their_headings_are_of(page):
    heads = [found for tag, found in page.tags if tag == "th"]
    assert heads
    assert all("scope" in found for found in heads)
    tables = [tag for tag, _ in page.tags].count("table")
    assert [tag for tag, _ in page.tags].count("caption") == tables


def test_no_records_and_nothing_but_failures_are_pages_too():
    assert "no records yet" in page_of([]).words
    page = page_of([failed_record(), failed_record(fake_identity("other"), status="crashed")])
    assert "0 of them completed" in page.words
    assert "fake-attention cannot mask padded keys." in page.words


def test_a_metric_that_is_no_number_is_shown_and_breaks_nothing():
    record = fake_record()
    nothing = Measured(name="accuracy", unit="fraction", higher_is_better=True, value=math.nan)
    page = page_of([record.model_copy(update={"metrics": [nothing]}), fake_record()])
    assert "nan" in page.words


def test_times_of_two_machines_have_columns_of_their_own():
    there = fake_record(fake_identity("there"), machine="Other CPU")
    page = page_of([fake_record(), there])
    spans = [found for tag, found in page.tags if tag == "th" and "colspan" in found]
    assert len([found for found in spans if found["scope"] == "colgroup"]) == 2
    assert "Other CPU, 2 threads" in page.words


def test_a_machine_and_a_protocol_are_said_once():
    page = page_of([fake_record(fake_identity(seed=seed)) for seed in range(5)])
    assert page.names.count("machine-1") == 1
    assert "machine-2" not in page.names
    assert "protocol-2" not in page.names


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("45.1 ±2.2", 45.1),
        ("*46.2", 46.2),
        ("41.9 k", 41_900.0),
        ("2 KiB", 2048.0),
        ("576 B", 576.0),
        ("-3.5e-05", -3.5e-05),
        ("12.0 ±4%", 12.0),
        ("not run", None),
        ("-", None),
        ("from 640-704", None),
    ],
)
def test_what_a_place_is_sorted_by(text, value):
    assert number_of(text) == value


def test_the_page_of_a_thousand_records_is_small():
    tasks = [f"lra/{name}" for name in ("listops", "text", "retrieval", "image", "pathfinder")]
    records = [
        fake_record(fake_identity(f"method-{i}", task, seed=seed), accuracy=0.2 + i / 100)
        for i in range(40)
        for task in tasks
        for seed in range(5)
    ]
    page = build.build_page(records)
    # The drawing library takes 0.9 MB.
    assert len(page.encode()) < 4_000_000
    assert Page(page).words.count("To repeat it:") == 1000
