"""`bench serve`: the same page for this machine's browser, while a run goes on."""

import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from bench.cli.pages import check_packages, page_of, state_of
from bench.cli.records import Filters
from bench.errors import UsageError
from results.folders import StoreError

ADDRESS: Final = "127.0.0.1"
"""Of this machine alone: no other can reach it."""
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def serve_command(
    *folders: str,
    filters: Filters | None = None,
    results: str = "bench-results",
    port: int = 8765,
) -> int:
    """Show the page of `bench report` in this machine's browser, and keep it up to date.

    It is made anew when a record is added, and the browser shows it by itself. No other machine can
    reach it. Ctrl-C ends it. Needs the extra `report`.

    Examples:

        python -m bench serve

        python -m bench serve --results results-of-june --port 9000

    Parameters
    ----------
    folders:
        Nothing, to show --results; or folders in its place. They may be empty, or not be there yet.
    results:
        The folder of records, one file a trial.
    port:
        Where the browser finds it; 0 takes any that is free.
    """
    check_packages()
    server = make_server(folders or (results,), filters or Filters(), port)
    address = f"http://{ADDRESS}:{server.server_port}/"
    try:
        print(f"{address} shows the records; Ctrl-C ends it.", flush=True)
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        sys.stderr.write("Ended.\n")
    finally:
        server.server_close()
    return 0


def make_server(folders: Sequence[str], filters: Filters, port: int) -> "LiveServer":
    """A server that listens and does not answer yet. Raises UsageError where the port is taken."""
    try:
        return LiveServer(folders, filters, port)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "there is no such port"
        raise UsageError(f"port {port} cannot be used: {why}. Name another with --port.") from error


class LiveServer(ThreadingHTTPServer):
    """Answers with the page of what the folders hold now."""

    def __init__(self, folders: Sequence[str], filters: Filters, port: int) -> None:
        super().__init__((ADDRESS, port), _Handler)
        self.folders, self.filters = folders, filters
        self._lock = threading.Lock()
        self._state, self._page = "", b""

    @property
    def hosts(self) -> frozenset[str]:
        """What a browser calls this server; any other name was made to point here by someone."""
        return frozenset(f"{name}:{self.server_port}" for name in (ADDRESS, "localhost"))

    def page(self) -> bytes:
        """Made once for each state of the folders, however many ask."""
        with self._lock:
            # Taken first: what is written meanwhile makes another state, and another page.
            state = state_of(self.folders)
            if state != self._state:
                page = page_of(self.folders, self.filters, live=state)
                self._state, self._page = state, page.encode()
            return self._page


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer
    server_version, sys_version = "bench", ""
    timeout = 30.0

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        if self.headers.get("Host", "") not in self.server.hosts:
            # A page of another site whose name was made to point here may not read the records.
            self._send(403, "text/plain", b"This address is for this machine's browser alone.\n")
            return
        try:
            if self.path == "/":
                self._send(200, "text/html", self.server.page())
            elif self.path == "/version":
                self._send(200, "text/plain", state_of(self.server.folders).encode())
            else:
                self._send(404, "text/plain", b"There is one page here, at /.\n")
        except StoreError as error:
            # The network may be back when the browser asks again.
            self._send(503, "text/plain", f"{error}\n".encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A line a question would bury what else the terminal shows."""
