"""One run of `tickgate top`: connects, follows, draws, reads keys; says how it ended."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from typing import Any, Final, TextIO
from urllib.parse import urlsplit, urlunsplit

from rich.console import Console
from rich.live import Live
from rich.text import Text

from gateway.client import Backoff, Client, ConnectFailed, Hello, RequestRefused
from gateway.errors import TickgateError
from gateway.top.blocks import TRAIL_S
from gateway.top.screen import Size, draw
from gateway.top.watch import CHANNEL, Watch
from gateway.top.words import safe

FIRST_S: Final = 10.0
"""How long the first document may take; the gateway sends one at once."""
REDRAW_S: Final = 0.5
"""The age of what is shown goes on while nothing comes."""
RETRY_S_MAX: Final = 5.0
QUIT: Final = b"qQ"


async def top(
    url: str, *, once: bool = False, as_json: bool = False, out: TextIO, ca: str | None = None
) -> None:
    """Shows the gateway's dashboard in the terminal until somebody leaves.

    Args:
        url: of the ops listener; the dashboard's address will do.
        once: prints one snapshot and ends; so does an `out` that is no terminal.
        as_json: prints the document itself, once.
        ca: a file of authorities that a listener over TLS is checked by.

    Raises:
        TickgateError: there is no gateway at the URL, it has no such channel, or it ended the
            connection for good.
    """
    watch = Watch()
    try:
        backoff = Backoff(cap_s=RETRY_S_MAX)
        async with Client(endpoint(url), backoff=backoff, tls=ca) as client:
            await _subscribe(client)
            if as_json or once or not out.isatty():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FIRST_S):
                        await _follow(client, watch, first=True)
                _print(watch, out, as_json=as_json)
            else:
                await _live(client, watch, out)
    except ConnectFailed as error:
        raise TickgateError(f"{error}. Does the gateway run, is this its ops listener?") from None
    except ConnectionError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise TickgateError(f"{url}: {error}") from None


def endpoint(url: str) -> str:
    """The WebSocket endpoint: `http` becomes `ws`, and no path is the protocol's.

    Raises:
        TickgateError: it is no URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise TickgateError(f"{url}: {error}") from None
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    path = "/v1" if parts.path in ("", "/") else parts.path
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


async def _subscribe(client: Client) -> None:
    try:
        results = await client.subscribe(CHANNEL, ["*"])
    except RequestRefused as error:
        raise TickgateError(f"{client.url}: {error}. Is it the ops listener?") from None
    for result in results:
        if result.error is not None:
            raise TickgateError(f"{client.url}: {result.error.message}. Is it the ops listener?")


async def _follow(client: Client, watch: Watch, *, first: bool = False) -> None:
    """Takes what comes, until the first document or the end; after each greeting, the past too."""
    async for event in client:
        watch.take(event, time.monotonic())
        if isinstance(event, Hello):
            past = {"from": event.now - TRAIL_S * 1_000_000_000, "points": TRAIL_S}
            with contextlib.suppress(RequestRefused, ConnectionError, TimeoutError):
                watch.remember(await client.history(**past))
        if first and watch.now is not None:
            return


def _print(watch: Watch, out: TextIO, *, as_json: bool) -> None:
    now_s = time.monotonic()
    if watch.now is None:
        raise TickgateError(watch.trouble(now_s) or f"no document within {FIRST_S:g} s")
    if as_json:
        # ASCII alone: a terminal may obey the control characters beyond it as well.
        print(json.dumps(watch.document), file=out)
        return
    console = Console(file=out, highlight=False, soft_wrap=False)
    size = Size(console.size.width, None)
    console.print(draw(watch.now, watch.points, size, watch.trouble(now_s)))


async def _live(client: Client, watch: Watch, out: TextIO) -> None:
    console = Console(file=out, highlight=False)
    left = asyncio.Event()
    follow = asyncio.create_task(_follow(client, watch))
    leave = asyncio.create_task(left.wait())
    with (
        _leaving(left),
        Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False) as live,
    ):
        try:
            while not leave.done() and not follow.done():
                live.update(_picture(watch, console), refresh=True)
                await asyncio.wait(
                    (follow, leave), timeout=REDRAW_S, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            follow.cancel()
            leave.cancel()
    if not left.is_set():
        await follow
        raise TickgateError(watch.trouble(time.monotonic()))


def _picture(watch: Watch, console: Console) -> Any:
    trouble = watch.trouble(time.monotonic())
    if watch.now is None:
        return safe(trouble) if trouble else Text("connected; waiting for the first figures")
    size = Size(console.size.width, console.size.height)
    return draw(watch.now, watch.points, size, trouble)


@contextlib.contextmanager
def _leaving(left: asyncio.Event) -> Iterator[None]:
    """Sets the event at `q` and at every signal that means leave; the terminal is put back after.

    As on any terminal, Ctrl-C is a signal here; that the window has gone is one too.
    """
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, left.set)
    try:
        with _keys(left):
            yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _keys(left: asyncio.Event) -> Iterator[None]:
    """Takes single keys from standard input, if that is a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    loop, fd = asyncio.get_running_loop(), sys.stdin.fileno()

    def read() -> None:
        keys = os.read(fd, 64)
        if not keys or any(key in QUIT for key in keys):
            loop.remove_reader(fd)
            left.set()

    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    loop.add_reader(fd, read)
    try:
        yield
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
