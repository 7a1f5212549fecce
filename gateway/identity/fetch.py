"""A key set over https, fetched by a thread that may wait: no redirect, no private address, 64 KiB.

The name is looked up once, its addresses are judged, and the connection goes to the one that was
judged: a name that points elsewhere a moment later gains nothing. The certificate is verified for
the name.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from gateway.identity.keys import BYTES_MAX

TIMEOUT_S: Final = 5.0
"""Without a byte."""
WHOLE_S = 10.0
"""From the connection to the last byte."""


class FetchError(Exception):
    """Why there is no key set, in words that hold nothing of the answer."""


class _Pinned(http.client.HTTPSConnection):
    """Connects to an address, and verifies the name."""

    def __init__(self, name: str, port: int, address: str, context: ssl.SSLContext) -> None:
        super().__init__(name, port, timeout=TIMEOUT_S, context=context)
        self._address = address
        self._context_of_name = context

    def connect(self) -> None:
        """As the parent's, to the address that was judged."""
        raw = socket.create_connection((self._address, self.port), TIMEOUT_S)
        try:
            self.sock = self._context_of_name.wrap_socket(raw, server_hostname=self.host)
        except BaseException:
            raw.close()
            raise

    def cut(self) -> None:
        """Ends a server that dribbles, from another thread."""
        if self.sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # the library's is not for two


def fetch(url: str, *, private: bool, context: ssl.SSLContext | None = None) -> bytes:
    """The body of the answer.

    Args:
        url: https.
        private: whether addresses of this host and of private networks may be asked.
        context: for a server that the system's authorities do not know.

    Raises:
        FetchError: why there is none.
    """
    name, port, path = parts(url)
    try:
        address = _address(name, port, private=private)
        connection = _Pinned(name, port, address, context or ssl.create_default_context())
        cut = threading.Timer(WHOLE_S, connection.cut)
        cut.start()
        try:
            connection.request("GET", path, headers={"Accept": "application/json"})
            with connection.getresponse() as answer:
                if answer.status != 200:
                    raise FetchError(f"status {answer.status}")
                body = answer.read(BYTES_MAX + 1)
        finally:
            cut.cancel()
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(f"{type(error).__name__}: {error}"[:200]) from None
    if len(body) > BYTES_MAX:
        raise FetchError(f"more than {BYTES_MAX} bytes")
    return body


def parts(url: str) -> tuple[str, int, str]:
    """(host, port, path with query) of an https URL.

    Raises:
        FetchError: it is none, or has a user in it.
    """
    try:
        split = urlsplit(url)
        name, port = split.hostname or "", split.port or 443
    except ValueError as error:
        raise FetchError(str(error)) from None
    if split.scheme != "https" or not name or split.username is not None:
        raise FetchError("not an https:// URL of a host")
    return name, port, (split.path or "/") + (f"?{split.query}" if split.query else "")


def _address(name: str, port: int, *, private: bool) -> str:
    """One of the name's; all have to be allowed, or a name could have one of each."""
    found = [one[4][0] for one in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]
    for text in found:
        address = ipaddress.ip_address(str(text).partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None) or address
        if not private and not mapped.is_global:
            raise FetchError(f"{name} is at {address}, a private address (auth.jwks_private)")
    return str(found[0])
