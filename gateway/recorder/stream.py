"""A recording on demand: a WebSocket on the ops listener, in whose binary messages the file comes.

Nothing is kept on this host, and no page can ask: a browser always says where a script came from,
and whoever says so is refused. One at a time, since each is the work of writing a file.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import parse_qsl

from websockets.http11 import Request

from gateway import log
from gateway.recorder.recorder import Recorder, write
from gateway.wire.response import Response

PATH: Final = "/record"
SECONDS_MAX: Final = 50.0
"""What the black box has samples for, less those of before the first record."""
SEND_TIMEOUT_S: Final = 10.0
"""A peer that takes one message no faster than this is cut off."""

_log = log.get("recorder")


class Peer(Protocol):
    """Who asked, on a WebSocket; all that is awaited raises ConnectionError when it has ended."""

    @property
    def request(self) -> Request: ...
    async def send(self, payload: bytes) -> None: ...
    async def close(self, code: int, reason: str) -> None: ...


class Stream:
    """Answers at PATH?seconds=N."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._busy = False

    def refuse(self, request: Request) -> Response | None:
        """Why this request gets no recording; None where it is well."""
        if "Origin" in request.headers:
            return Response(403, b"not for pages\n")
        if self._seconds(request.path) is None:
            return Response(400, b"seconds: expected 1 to %.0f\n" % SECONDS_MAX)
        if self._busy:
            return Response(503, b"one recording is under way\n")
        return None

    async def serve(self, peer: Peer) -> None:
        """Sends the recording; then the caller closes."""
        seconds = self._seconds(peer.request.path)
        assert seconds is not None
        if self._busy:  # another was let in at the same time
            await peer.close(1013, "one recording is under way")
            return
        self._busy = True
        try:
            excerpt = self._recorder.excerpt("request", time.monotonic_ns(), seconds)
            out = _sender(peer, asyncio.get_running_loop())
            size = await asyncio.to_thread(write, out, excerpt, self._recorder.options.bytes_max)
        except (ConnectionError, TimeoutError):
            _log.info("recording.abandoned")
        except (OSError, ValueError, MemoryError) as error:
            _log.error("recording.failed", message=str(error))
            await peer.close(1011, "it could not be made; the gateway's log says why")
        else:
            self._recorder.streamed()
            _log.info("recording.streamed", bytes=size, seconds=seconds)
        finally:
            self._busy = False

    def _seconds(self, path: str) -> float | None:
        query = dict(parse_qsl(path.partition("?")[2]))
        try:
            seconds = float(query.get("seconds", self._recorder.options.seconds))
        except ValueError:
            return None
        return seconds if 1 <= seconds <= SECONDS_MAX else None


def _sender(peer: Peer, loop: asyncio.AbstractEventLoop) -> Callable[[bytes], object]:
    """Sends from a thread, which waits until the message has room."""

    def send(data: bytes) -> None:
        asyncio.run_coroutine_threadsafe(peer.send(data), loop).result(SEND_TIMEOUT_S)

    return send
