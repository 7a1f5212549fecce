"""Where clients of a load test connect: a WebSocket URL, its address, the upgrade request."""

import base64
import hashlib
import os
import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.errors import TickgateError
from gateway.loadtest.processes import is_local
from gateway.text import plain

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2

PROBE_S = 5.0
"""Where a server is to be had at all, it answers one upgrade request within this."""
HEAD_BYTES_MAX = 16384

Headers = Sequence[tuple[str, str]]


class BadUrl(TickgateError):
    """The URL or a header can't be used; a mistake in usage."""

    exit_code = 2


@dataclass(frozen=True)
class Endpoint:
    """A parsed `ws://` or `wss://` URL.

    Attributes:
        url: as it was given.
        authority: host and port as the Host header has them.
        path: with the query; at least "/".
        address: of the host: IPv4 where it has one, else IPv6.
        port: TCP port.
        local: whether the address is one of this host's.
        tls_host: over TLS, whose certificate it has to have; "": it is plain.
    """

    url: str
    authority: str
    path: str
    address: str
    port: int
    local: bool
    tls_host: str = ""


def parse(url: str) -> Endpoint:
    """The endpoint of a URL; its host's name is looked up.

    Raises:
        BadUrl: it is neither a `ws://` nor a `wss://` URL.
        TickgateError: its host has no address.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadUrl(f"--url: {error}") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise BadUrl(f"--url: found {url!r}; expected ws://HOST[:PORT]/PATH, or wss://")
    secure = parts.scheme == "wss"
    try:
        port = parts.port or (443 if secure else 80)
    except ValueError as error:
        raise BadUrl(f"--url: {error}") from None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not (path.isascii() and path.isprintable()) or " " in path:
        raise BadUrl("--url: the path may only have printable ASCII characters, without spaces")
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise TickgateError(f"{parts.hostname}: no address: {error.strerror}") from None
    # As gateways do by default, `localhost` means IPv4 where it means both.
    address = str(min(found, key=lambda each: each[0] != socket.AF_INET)[4][0])
    if "%" in address:
        raise BadUrl(f"--url: {address}: an address with a zone is not supported")
    authority = parts.netloc.rpartition("@")[2]
    local, tls_host = is_local(address), parts.hostname if secure else ""
    return Endpoint(url, authority, path, address, port, local, tls_host)


def header(text: str) -> tuple[str, str]:
    """One `--header 'NAME: VALUE'` in its two parts.

    Raises:
        BadUrl: it is not of that form.
    """
    name, colon, value = text.partition(":")
    value = value.strip()
    if not colon or not _TOKEN.fullmatch(name) or not (value.isascii() and value.isprintable()):
        raise BadUrl(f"--header: found {text!r}; expected 'NAME: VALUE' in ASCII")
    return name, value


def key() -> bytes:
    """A fresh Sec-WebSocket-Key: one for all connections of a test."""
    return base64.b64encode(os.urandom(16))


def accept(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept that a server has to answer with (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())


def upgrade(
    endpoint: Endpoint, key: bytes, *, subprotocol: str = "", headers: Headers = ()
) -> bytes:
    """The whole upgrade request. There is no Origin: this is no page."""
    lines = [
        f"GET {endpoint.path} HTTP/1.1",
        f"Host: {endpoint.authority}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key.decode()}",
        "Sec-WebSocket-Version: 13",
        *([f"Sec-WebSocket-Protocol: {subprotocol}"] if subprotocol else []),
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join((*lines, "", "")).encode("ascii")


def _connected(address: tuple[str, int], tls_host: str) -> socket.socket:
    peer = socket.create_connection(address, timeout=PROBE_S)
    if not tls_host:
        return peer
    try:
        return ssl.create_default_context().wrap_socket(peer, server_hostname=tls_host)
    except BaseException:
        peer.close()
        raise


def probe(endpoint: Endpoint, request: bytes, *, subprotocol: str = "") -> None:
    """Sends one upgrade request, to say why before a thousand clients fail.

    Raises:
        TickgateError: there is no server, it does not answer with 101, or not with the
            `subprotocol`, where one is needed; the text has its words.
    """
    where = f"cannot connect to {endpoint.url}"
    head, end = b"", b"\r\n\r\n" if subprotocol else b"\r\n"
    try:
        address = (endpoint.address, endpoint.port)
        with _connected(address, endpoint.tls_host) as peer:
            peer.sendall(request)
            while end not in head and len(head) < HEAD_BYTES_MAX:
                more = peer.recv(HEAD_BYTES_MAX)
                if not more:
                    break
                head += more
    except TimeoutError:
        raise TickgateError(f"{where}: no answer within {PROBE_S:g} s") from None
    except OSError as error:
        raise TickgateError(f"{where}: {error.strerror or error}") from None
    status = head.partition(b"\r\n")[0].decode("ascii", "replace")
    if not re.match(r"HTTP/1\.1 101\b", status):
        shown = plain(status[:100])
        raise TickgateError(f"{where}: the server answered {shown!r}, not with 101")
    chosen = rb"\r\nsec-websocket-protocol: *" + re.escape(subprotocol).encode() + rb" *\r\n"
    if subprotocol and not re.search(chosen, head, re.IGNORECASE):
        raise TickgateError(f"{where}: the server did not choose the subprotocol {subprotocol}")
