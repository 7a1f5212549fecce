"""What a client says to be let in: a token or an API key, fresh for each connection."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Final

Token = str | Callable[[], str | Awaitable[str]]
"""A token, an API key, or what gives one, also later (a coroutine function)."""

API_KEY: Final = "tg_"


class NoToken(Exception):
    """What should have given a token raised."""


class Credentials:
    """Those of one client; None: it has none."""

    def __init__(self, token: Token | None) -> None:
        self._token = token

    @property
    def renews(self) -> bool:
        """Whether another token may be had."""
        return callable(self._token)

    async def headers(self) -> list[tuple[str, str]]:
        """Of the next request; raises `NoToken`."""
        token = await self.fresh()
        if not token:
            return []
        if token.startswith(API_KEY):
            return [("X-Api-Key", token)]
        return [("Authorization", f"Bearer {token}")]

    async def fresh(self) -> str:
        """A token now; empty where there is none. Raises `NoToken`."""
        if self._token is None or isinstance(self._token, str):
            return self._token or ""
        try:
            found = self._token()
            token = await found if inspect.isawaitable(found) else found
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the program's own, or of its network: it may work later
            raise NoToken(f"{type(error).__name__}: {error}") from error
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise NoToken("what it gave is no token")
        return token
