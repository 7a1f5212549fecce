"""The client's address as trusted proxies tell it: X-Forwarded-For, or Forwarded (RFC 7239).

Each proxy appends whom it has got the request from, so the list is believed from its right end as
long as those who appended are trusted: the right-most address that is not a proxy's is the
client's. What stands left of it is the client's own text. Where an entry is none (`unknown`, a
name) or both headers tell something else, the last trusted proxy stands for its client.
"""

import re
from collections.abc import Sequence
from typing import Final

from websockets.datastructures import Headers

from gateway.networks import Networks, canonical

ENTRIES_MAX: Final = 32
"""Entries that are looked at, from the right."""
_FOR: Final = re.compile(
    r'(?:^|;)[ \t]*for=("(?:[^"\\]|\\.)*"|[^;,"\s]+)[ \t]*(?=;|$)', re.IGNORECASE
)
_PORT: Final = re.compile(r":(?:[0-9]{1,5}|_[A-Za-z0-9._-]+)")


def client_of(headers: Headers, trusted: Networks, peer: str) -> str:
    """The client's address, of a request that came from this peer, which is trusted."""
    told = {
        _last_untrusted(entries, trusted, peer)
        for entries in (_x_forwarded_for(headers), _forwarded(headers))
        if entries
    }
    return told.pop() if len(told) == 1 else peer


def _last_untrusted(entries: Sequence[str], trusted: Networks, peer: str) -> str:
    for entry in reversed(entries[-ENTRIES_MAX:]):
        address = canonical(_without_port(entry))
        if not address:
            break
        peer = address
        if address not in trusted:
            break
    return peer


def _x_forwarded_for(headers: Headers) -> list[str]:
    lines = headers.get_all("X-Forwarded-For")
    return [entry.strip() for line in lines for entry in line.split(",")]


def _forwarded(headers: Headers) -> list[str]:
    """Of each element the `for`; empty where it has none, or not exactly one."""
    found = []
    for line in headers.get_all("Forwarded"):
        for element in _elements(line):
            nodes = _FOR.findall(element)
            found.append(nodes[0].strip('"') if len(nodes) == 1 else "")
    return found


def _elements(line: str) -> list[str]:
    """The line cut at its commas, but for those in quotes."""
    if '"' not in line:
        return line.split(",")
    elements, start, quoted, escaped = [], 0, False, False
    for at, character in enumerate(line):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            elements.append(line[start:at])
            start = at + 1
    return [*elements, line[start:]]


def _without_port(entry: str) -> str:
    """The address in `192.0.2.1:80` and `[2001:db8::1]:80`; what is none stays none."""
    if entry.startswith("["):
        address, bracket, port = entry[1:].partition("]")
        good = bracket and ":" in address and (not port or _PORT.fullmatch(port))
        return address if good else ""
    if entry.count(":") == 1:
        address, _, port = entry.partition(":")
        return address if _PORT.fullmatch(f":{port}") else ""
    return entry
