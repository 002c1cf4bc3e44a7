"""A browser without a window, and the page made of the records that this project ships."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.cli.report import report_command
from tests.browser.reader import Reader

MEASURED = Path(__file__).parents[2] / "results" / "measured"
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--force-color-profile=srgb",
)


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of every folder of measured records."""
    for package in ("altair", "jinja2", "vl_convert"):
        pytest.importorskip(package)
    target = tmp_path_factory.mktemp("page") / "page.html"
    folders = [folder for folder in sorted(MEASURED.iterdir()) if folder.is_dir()]
    assert report_command(*folders, html=target) == 0
    return target


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    """Chromium by its own driver; the tests are skipped where either is missing."""
    webdriver = pytest.importorskip("selenium.webdriver")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    tool = shutil.which("chromedriver")
    if not browser or not tool:
        pytest.skip("there is no Chromium here: install the packages chromium, chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=service.Service(tool))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def opened(driver: Any, page: Path) -> Reader:
    """The page in the browser, once: drawing all of its figures takes seconds."""
    reader = Reader(driver)
    reader.open(page.as_uri())
    return reader


@pytest.fixture
def reader(opened: Reader) -> Iterator[Reader]:
    """The page as it was opened; afterwards no word of complaint and no question to anyone."""
    opened.start_again()
    yield opened
    assert opened.complaints() == []
    away = [url for url in opened.asked() if not url.startswith(("file:", "data:"))]
    assert away == []
