"""A visit of a browser to a page, of which everything is noted that must not happen."""

import time
from urllib.parse import urlsplit

from playwright.sync_api import Page

TIMEOUT_MS = 30_000


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
