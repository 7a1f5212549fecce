"""A page of another origin, in a browser that has a user's cookies, gets nothing of the gateway."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from support.identity import Issuer
from support.serving import serving
from support.site import site
from support.visit import chromium

STRANGE, OURS = "evil.desk.test", "md.desk.test"
"""Of one site, so that the browser sends the cookies of one with what the other's pages ask."""
OPENED = """
url => new Promise(resolve => {
  const socket = new WebSocket(url);
  socket.onopen = () => resolve("open");
  socket.onclose = ({code}) => resolve(code);
})
"""


@pytest.fixture(scope="module")
def victim() -> Iterator[Browser]:
    """A browser for which both names are of this host."""
    with chromium("--host-resolver-rules=MAP *.desk.test 127.0.0.1") as one:
        yield one


@contextmanager
def _page(victim: Browser, directory: Path, host: str) -> Iterator[Page]:
    """An empty page of this host's, in a browser that has a cookie of the gateway's."""
    context = victim.new_context()
    context.add_cookies([{"name": "session", "value": "good", "url": f"http://{OURS}/"}])
    page = context.new_page()
    with site(directory) as address:
        page.goto(address.replace("127.0.0.1", host))
        yield page
    context.close()


def _named(url: str) -> str:
    """The gateway by its name, for which there is a cookie."""
    return url.replace("127.0.0.1", OURS)


@pytest.fixture
def asked() -> Iterator[tuple[str, list[bytes]]]:
    """A socket where one request is taken: its URL, and the request once it has come."""
    requests: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def take() -> None:
            one, _ = listening.accept()
            with one:
                requests.append(one.recv(65536))

        thread = threading.Thread(target=take)
        thread.start()
        yield f"ws://127.0.0.1:{listening.getsockname()[1]}/v1", requests
        thread.join(20)


@pytest.mark.threat("S2")
def test_f07_a_page_of_another_origin_does_not_get_in(
    victim: Browser, asked: tuple[str, list[bytes]], tmp_path: Path
) -> None:
    with serving(tmp_path / "log") as gateway:  # without tokens: all depends on the origin
        before = gateway.metrics()
        with _page(victim, tmp_path, STRANGE) as page:
            page.evaluate(OPENED, _named(asked[0]))
            (request,) = asked[1]
            assert b"\r\nCookie: session=good\r\n" in request  # the browser does send it
            assert f"\r\nOrigin: http://{STRANGE}:".encode() in request
            assert page.evaluate(OPENED, _named(gateway.url)) == 1006
        gateway.rises(before, "handshakes_total", "origin")
        assert STRANGE in gateway.lines()
        with _page(victim, tmp_path, "127.0.0.1") as page:
            assert page.evaluate(OPENED, _named(gateway.url)) == "open"  # ours is welcome
        gateway.rises(before, "handshakes_total", "ok")


@pytest.mark.threat("S2")
def test_f08_a_cookie_lets_nobody_in(victim: Browser, tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    with serving(tmp_path / "log", *issuer.sets()) as gateway:
        before = gateway.metrics()
        with _page(victim, tmp_path, "127.0.0.1") as page:
            assert page.evaluate(OPENED, _named(gateway.url)) == 1006
        gateway.rises(before, "handshakes_total", "unauthorized")
