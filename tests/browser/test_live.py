"""The page while a run goes on, in a real browser. Marked `browser`."""

import threading
from pathlib import Path
from typing import Any

import pytest

from bench.cli.records import Filters
from bench.cli.serve import ADDRESS, make_server
from results.store import Store
from tests.browser.reader import Reader
from tests.results.records import fake_identity, fake_record

pytestmark = pytest.mark.browser


def test_a_new_record_appears_by_itself_and_a_choice_stays(driver: Any, tmp_path: Path):
    store = Store(tmp_path)
    for task in ("lra/listops", "lra/text"):
        store.write(fake_record(fake_identity("first", task)))
    server = make_server([tmp_path], Filters(), 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    reader = Reader(driver)
    try:
        reader.asked()
        reader.open(f"http://{ADDRESS}:{server.server_port}/")
        reader.run("""
            const select = document.querySelector('select[name=task]');
            select.value = '1';
            select.dispatchEvent(new Event('change', { bubbles: true }));
        """)
        store.write(fake_record(fake_identity("second", "lra/text")))
        reader.until("return document.querySelectorAll('.trial').length === 3")
        assert reader.run("return document.querySelector('select[name=task]').value") == "1"
        assert reader.run("return document.querySelectorAll('.trial[data-away]').length") == 1
        reader.until_drawn()
        own = f"http://{ADDRESS}:{server.server_port}/"
        away = [url for url in reader.asked() if not url.startswith((own, "data:", "about:"))]
        assert away == []
        assert reader.complaints() == []
    finally:
        driver.get("about:blank")
        server.shutdown()
        thread.join()
        server.server_close()
