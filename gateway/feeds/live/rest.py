"""REST requests to a venue, off the feed's thread: urllib3 on threads of their own.

urllib3, because it has no dependencies of its own, verifies by the system's authorities, and blocks
a thread that has nothing else to do. Its sockets are known here, so that an end need not wait for a
venue that does not answer: they are shut down, and the threads return. A thread that resolves a
name cannot be woken; it is left to itself, and ends behind that.
"""

import contextlib
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from gateway.feeds.live.words import wait_s

THREADS: Final = 2
CONNECT_S: Final = 5.0
READ_S: Final = 10.0
"""Without a byte."""
TOTAL_S: Final = 30.0
BODY_BYTES_MAX: Final = 64 << 20
CHUNK_BYTES: Final = 64 << 10
WAITING_MAX: Final = 64
"""Requests that wait for a thread."""
JOIN_S: Final = 2.0
_HEADERS: Final = {"Accept-Encoding": "gzip", "User-Agent": "tickgate"}


class Answer(NamedTuple):
    """What became of a request.

    Attributes:
        status: of HTTP; 0: there is no answer, and `body` says why.
        wait_s: seconds that the venue asks for before the next request; 0: none.
    """

    url: str
    status: int
    body: bytes
    wait_s: float = 0.0


Done = Callable[[Answer], None]


class Rest:
    """GET requests, a few at a time.

    Args:
        deliver: runs a call on the thread that is to have the answers.
        tls: what certificates are checked by.
    """

    def __init__(
        self, name: str, deliver: Callable[[Callable[[], None]], object], tls: ssl.SSLContext
    ) -> None:
        self._deliver = deliver
        self._tls = tls
        self._jobs: queue.Queue[tuple[str, Done] | None] = queue.Queue()
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}:rest-{n}", daemon=True)
            for n in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def free(self) -> bool:
        """Whether a request would be made at once."""
        return self._jobs.qsize() < THREADS

    def get(self, url: str, done: Done) -> bool:
        """Makes a request; False: too many wait, and this one is not made."""
        if self._jobs.qsize() >= WAITING_MAX:
            return False
        self._jobs.put((url, done))
        return True

    def close(self) -> None:
        """Ends requests and threads; no answer is delivered any more."""
        with self._lock:
            self._closed = True
            open_now = list(self._sockets)
        for one in open_now:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(JOIN_S)
        for pool in self._pools.values():
            pool.clear()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            url, done = job
            if self._closed:
                continue
            answer = self._get(url)
            with self._lock:
                if not self._closed:
                    self._deliver(lambda done=done, answer=answer: done(answer))  # type: ignore[misc]

    def _get(self, url: str) -> Answer:
        ends_s = time.monotonic() + TOTAL_S
        timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
        try:
            response = self._pool(url).request(
                "GET",
                url,
                headers=_HEADERS,
                retries=False,
                redirect=False,
                timeout=timeout,
                preload_content=False,
            )
            try:
                body = bytearray()
                for chunk in response.stream(CHUNK_BYTES):
                    body += chunk
                    if len(body) > BODY_BYTES_MAX:
                        return Answer(url, 0, b"an answer of more than 64 MiB")
                    if time.monotonic() > ends_s:
                        return Answer(url, 0, b"no whole answer within %d s" % TOTAL_S)
                asked = response.headers.getlist("Retry-After")
                status = response.status
                return Answer(url, status, bytes(body), wait_s(status, asked, time.time()))
            finally:
                response.release_conn()
                response.close()
        except (HTTPError, OSError, ValueError) as error:
            return Answer(url, 0, f"no answer: {error.__cause__ or error}".encode())

    def _pool(self, url: str) -> urllib3.PoolManager:
        """The pool of the URL's way: there, or to the proxy that the environment names."""
        parts = urlsplit(url)
        proxy = None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)
        with self._lock:
            pool = self._pools.get(proxy or "")
            if pool is None:
                options: dict[str, Any] = {"ssl_context": self._tls, "maxsize": THREADS}
                pool = _to_proxy(proxy, options) if proxy else urllib3.PoolManager(**options)
                pool.pool_classes_by_scheme = _watched(self._watch)
                self._pools[proxy or ""] = pool
            return pool

    def _watch(self, sock: socket.socket | None) -> None:
        """Knows the socket of a connection; those that are closed meanwhile are forgotten."""
        if sock is None:
            return
        with self._lock:
            self._sockets = {one for one in self._sockets if one.fileno() >= 0} | {sock}
            closed = self._closed
        if closed:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _to_proxy(proxy: str, options: dict[str, Any]) -> urllib3.ProxyManager:
    """Connections to a proxy, with the name and password that its URL has."""
    parts = urlsplit(proxy)
    headers = None
    if parts.username:
        known = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=known)
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)


def _watched(watch: Callable[[socket.socket | None], None]) -> dict[str, Any]:
    """Pools whose connections' sockets are told to `watch`."""

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            watch(self.sock)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            watch(self.sock)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
