"""`bench serve`: who is answered, with what, and how it ends."""

import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cli.records import Filters
from bench.cli.serve import ADDRESS, LiveServer, make_server
from bench.errors import UsageError
from reports.page import build
from results.store import Store
from tests.results.records import fake_identity, fake_record

pytest.importorskip("altair")
pytest.importorskip("jinja2")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServer]:
    monkeypatch.setattr(build, "_bundle", lambda: "window.vegaEmbed = null;")
    server = make_server([tmp_path / "results"], Filters(), 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def ask(
    server: LiveServer, path: str = "/", *, host: str | None = None, method: str = "GET"
) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection(ADDRESS, server.server_port, timeout=60)
    try:
        name = f"{ADDRESS}:{server.server_port}" if host is None else host
        connection.request(method, path, headers={"Host": name})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        connection.close()


def test_a_folder_that_is_not_there_yet_is_an_empty_page_and_a_record_another(server):
    status, page, _ = ask(server)
    assert status == 200
    assert "no records yet" in page
    before = ask(server, "/version")[1]
    assert f'data-live="{before}"' in page
    Store(server.folders[0]).write(fake_record())
    after = ask(server, "/version")[1]
    assert after != before
    assert "1 trial of 1 method" in ask(server)[1]
    assert ask(server, "/version")[1] == after


def test_the_page_is_made_once_for_each_state(server, monkeypatch):
    made = []
    real = build.build_page
    monkeypatch.setattr(build, "build_page", lambda *a, **k: made.append(1) or real(*a, **k))
    for _ in range(3):
        ask(server)
    Store(server.folders[0]).write(fake_record(fake_identity(seed=1)))
    ask(server)
    assert len(made) == 2


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1"])
@pytest.mark.parametrize("path", ["/", "/version"])
def test_another_name_for_this_machine_is_refused(server, host, path):
    status, body, _ = ask(server, path, host=host)
    assert status == 403
    assert "<" not in body


def test_localhost_is_answered(server):
    assert ask(server, "/version", host=f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize(
    "path", ["/index.html", "/../pyproject.toml", "/?x=1", "/version/", "/results"]
)
def test_no_other_path_is_answered(server, path):
    assert ask(server, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_sent(server, method):
    assert ask(server, method=method)[0] == 501


def test_an_answer_may_be_neither_kept_nor_framed_nor_guessed_at(server):
    _, body, headers = ask(server, method="HEAD")
    assert body == ""
    assert int(headers["Content-Length"]) > 1000
    assert headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_only_this_machine_is_listened_to(server):
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_is_none_is_one_sentence(tmp_path, port):
    with pytest.raises(UsageError, match="Name another with --port"):
        make_server([tmp_path], Filters(), port)


def test_a_port_that_is_taken_is_one_sentence(server, tmp_path):
    with pytest.raises(UsageError, match="Name another with --port"):
        make_server([tmp_path], Filters(), server.server_port)


def test_ctrl_c_ends_it_cleanly(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "serve", str(tmp_path), "--port", "0"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "http://127.0.0.1:" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 0
    assert complaint == "Ended.\n"
