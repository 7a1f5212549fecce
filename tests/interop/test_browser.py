"""Chromium on the ops page: live ticks, nothing executed that came over the wire, no other host."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from support.serving import Serving
from support.udp import Venue

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HOSTILE = "<img/src=x/onerror=alert(1)>"
TIMEOUT_MS = 30_000

TICKS_FROM_THE_CONSOLE = """
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("program chromium is absent")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


class Visit:
    """A page and everything about it that must not be."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.hosts: set[str] = set()
        self.wrong: list[str] = []
        page.set_default_timeout(TIMEOUT_MS)
        page.on("request", lambda request: self._seen(request.url))
        page.on("websocket", lambda socket: self._seen(socket.url))
        page.on("pageerror", lambda error: self.wrong.append(f"exception: {error}"))
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        page.on("crash", lambda _: self.wrong.append("crash"))
        page.on(
            "console",
            lambda said: (
                self.wrong.append(f"{said.type}: {said.text}")
                if said.type in ("error", "warning")
                else None
            ),
        )

    def _seen(self, url: str) -> None:
        if not url.startswith("data:"):
            self.hosts.add(urlsplit(url).hostname or "")

    def until(self, script: str) -> None:
        """Waits until a JavaScript expression is true in the page.

        Not by `wait_for_function`: it evaluates in the page, which the page's policy forbids.
        """
        deadline = time.monotonic() + TIMEOUT_MS / 1000
        while not self.page.evaluate(script):
            assert time.monotonic() < deadline, f"never true: {script}; {self.wrong}"
            self.page.wait_for_timeout(20)

    def check(self) -> None:
        """Nothing was wrong, and nobody but this host was asked for anything."""
        assert self.wrong == []
        assert self.hosts == {"127.0.0.1"}


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield Visit(context.new_page())
    context.close()


def cell(symbol: str, column: int) -> str:
    """The JavaScript for what a row of live ticks shows."""
    rows = "[...document.querySelectorAll('#ticks tr')]"
    return f"{rows}.find(r => r.cells[0].textContent === '{symbol}')?.cells[{column}].textContent"


def test_the_page_shows_live_ticks(gateway: Serving, visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    page.goto(gateway.ops)
    visit.until("document.getElementById('ready').textContent === 'ready'")
    visit.until(f"{cell('A.SIM', 1)} === '100.10' && {cell('B.SIM', 3)} === '100.10'")
    time_of_last = page.evaluate(cell("A.SIM", 5))
    visit.until(f"{cell('A.SIM', 5)} !== '{time_of_last}'")
    visit.until("Number(document.getElementById('published').textContent) > 0")
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    visit.check()


def test_f63_names_from_the_wire_stay_text(gateway: Serving, venue: Venue, visit: Visit) -> None:
    page = visit.page
    page.goto(gateway.ops)
    visit.until(f"{cell('A.SIM', 1)} === '100.10'")
    venue.trades(HOSTILE, 1)  # appears later, and is shown nevertheless
    visit.until(f"{cell(f'{HOSTILE}.SIM', 1)} === '100.10'")
    assert page.locator("img").count() == 0
    visit.check()


def test_a_client_in_the_pages_console(gateway: Serving, visit: Visit) -> None:
    visit.page.goto(gateway.ops)
    code, seqs = visit.page.evaluate(TICKS_FROM_THE_CONSOLE, gateway.url)
    assert code == 1000
    assert seqs == list(range(seqs[0], seqs[0] + 20))
    visit.check()
