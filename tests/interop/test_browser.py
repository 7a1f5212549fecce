"""Chromium as a client: the browser's own WebSocket, from a page on this host."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.serving import Serving
from support.visit import Visit

TICKS_FROM_THE_PAGE = """
url => new Promise((resolve, reject) => {
  const socket = new WebSocket(url), seen = [];
  const params = {channel: "trade", symbol: ["A.SIM"]};
  socket.onopen = () => socket.send(JSON.stringify({method: "subscribe", params}));
  socket.onmessage = ({data}) => {
    const message = JSON.parse(data);
    if (message.type === "update" && seen.push(message.seq) === 20) socket.close(1000);
  };
  socket.onerror = () => reject(new Error("no connection"));
  socket.onclose = ({code}) => resolve([code, seen]);
})
"""


class EmptyPage(BaseHTTPRequestHandler):
    """Serves a page with nothing on it."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>A client</title><link rel=icon href=data:,>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    """A server of pages on this host, which is not the gateway."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_client_on_a_page_of_this_host(gateway: Serving, site: str, visit: Visit) -> None:
    visit.page.goto(site)
    code, seqs = visit.page.evaluate(TICKS_FROM_THE_PAGE, gateway.url)
    assert code == 1000
    assert seqs == list(range(seqs[0], seqs[0] + 20))
    visit.check()
