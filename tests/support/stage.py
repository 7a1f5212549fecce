"""A whole gateway with clients, for one test."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from support.fleet import Client
from support.serving import Serving, serving


class Stage:
    """A gateway and the clients that came to it; they leave first, then it has to stop cleanly."""

    def __init__(self, log: Path) -> None:
        self._stack = ExitStack()
        self._log = log
        self._url = ""

    def serve(self, *sets: str) -> Serving:
        """Starts the gateway, with these settings."""
        gateway = self._stack.enter_context(serving(self._log, *sets))
        self._url = gateway.url
        return gateway

    def connect(self, *, receive_buffer_bytes: int = 0) -> Client:
        """A new client of it."""
        client = Client(self._url, receive_buffer_bytes=receive_buffer_bytes)
        return self._stack.enter_context(client)

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)
