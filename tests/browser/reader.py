"""Somebody who reads a page: what they see and what they do."""

import json
import time
from pathlib import Path
from typing import Any

LONGEST = 60.0
"""Seconds that a page may take on a busy machine."""


class Reader:
    """Drives a browser."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        """Anew, with nothing of another page left in the console."""
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get(address)

    def start_again(self) -> None:
        """All rows, the top of the page, and a desk in daylight."""
        self.size(1280, 1000)
        self.run("document.querySelector('#filters button[type=reset]').click()")
        self.run("history.replaceState(null, '', location.pathname); scrollTo(0, 0)")
        self.run("document.activeElement.blur()")

    def until_drawn(self) -> None:
        """Waits for all figures."""
        self.until("return document.body.dataset.ready === 'true'")

    def run(self, script: str, *arguments: object) -> Any:
        """What the page answers."""
        return self.driver.execute_script(script, *arguments)

    def until(self, script: str, *arguments: object) -> None:
        """Waits until the page says so."""
        end = time.monotonic() + LONGEST
        while not self.run(script, *arguments):
            assert time.monotonic() < end, f"still not: {script}"
            time.sleep(0.05)

    def look(self, *, width: int, height: int, scheme: str, target: Path) -> bytes:
        """A picture of what is seen at this size in this scheme."""
        self.size(width, height, scheme)
        self.run("scrollTo(0, 0)")
        self.driver.save_screenshot(str(target))
        return target.read_bytes()

    def size(self, width: int, height: int, scheme: str = "light") -> None:
        """Of the window, and the scheme that the reader likes."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )

    def asked(self) -> set[str]:
        """Every address that the browser asked for since the last time."""
        log = self.driver.get_log("performance")
        messages = [json.loads(entry["message"])["message"] for entry in log]
        return {
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        }

    def complaints(self) -> list[str]:
        """Whatever the console shows."""
        return [entry["message"] for entry in self.driver.get_log("browser")]
