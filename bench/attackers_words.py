"""What is attacked, and what attackers say to it."""

from __future__ import annotations

import base64
import os
import struct
from dataclasses import dataclass

NO_MASK = bytes(4)


@dataclass(frozen=True)
class Aim:
    """What is attacked.

    Attributes:
        address, port: of the gateway.
        ca: the file by which its certificate is good; "": it is plain.
        token: a good one, which an attacker has like any user.
        strange: tokens that are not: of another key, of no algorithm, of a key nobody knows.
    """

    address: str
    port: int
    ca: str
    token: str
    strange: list[str]

    @property
    def url(self) -> str:
        """For programs of others."""
        return f"{'https' if self.ca else 'http'}://{self.address}:{self.port}"


def upgrade(aim: Aim, token: str) -> bytes:
    """A whole request."""
    lines = (
        "GET /v1 HTTP/1.1",
        f"Host: {aim.address}:{aim.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        f"Authorization: Bearer {token}",
    )
    return "\r\n".join((*lines, "", "")).encode()


def frame(first: int, payload: bytes) -> bytes:
    """One from a client, whose mask changes nothing (RFC 6455 section 5.2)."""
    size = len(payload)
    head = struct.pack("!BB", first, 0x80 | size) if size < 126 else b""
    head = head or struct.pack("!BBH", first, 0xFE, size)
    return head + NO_MASK + payload
