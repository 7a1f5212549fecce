"""A visit of a browser to a page, of which everything is noted that must not happen."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

TIMEOUT_MS = 60_000
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    """The system's Chromium, with more arguments; where there is none the test skips."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("program chromium is absent")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *more])
        yield browser
        browser.close()


class Visit:
    """A page and everything about it that must not be."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.urls: list[str] = []
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
            self.urls.append(url)

    def until(self, script: str) -> None:
        """Waits until a JavaScript expression is true in the page.

        Not by `wait_for_function`: it evaluates in the page, which the page's policy forbids.
        """
        deadline = time.monotonic() + TIMEOUT_MS / 1000
        while not self.page.evaluate(script):
            assert time.monotonic() < deadline, f"never true: {script}; {self.wrong}"
            self.page.wait_for_timeout(20)

    def check(self, host: str | None = "127.0.0.1") -> None:
        """Nothing was wrong, and nobody but this host (None: a file) was asked for anything."""
        assert self.wrong == []
        assert {urlsplit(url).hostname for url in self.urls} == {host}
