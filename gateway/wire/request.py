"""What a request must say to become a WebSocket: checks that `ServerProtocol` leaves to its user.

Pure: a request in, a refusal or nothing out.
"""

import json
import re
from collections.abc import Collection, Sequence

from websockets.datastructures import MultipleValuesError
from websockets.exceptions import NegotiationError
from websockets.http11 import Request
from websockets.typing import Subprotocol

from gateway.text import escaped
from gateway.wire.response import Response, refusal

ORIGIN_CHARACTERS_MAX = 100
"""Of a refused origin as it is told: a browser's is shorter."""
WORD_CHARACTERS_MAX = 20
"""The same of a method and of a protocol."""

_WHOLE_URI = re.compile(r"(?:https?|wss?)://([^/?#@\\]+)((?:[/?].*)?)", re.IGNORECASE)


class Origins:
    """The allow-list of browsers' origins; `:*` at the end of an entry is any port."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._exact = {entry.lower() for entry in allowed if not entry.endswith(":*")}
        hosts = [re.escape(entry.removesuffix(":*")) for entry in allowed if entry.endswith(":*")]
        self._any_port = re.compile(rf"(?:{'|'.join(hosts)})(?::[0-9]{{1,5}})?", re.IGNORECASE)
        self._has_any_port = bool(hosts)

    def __contains__(self, origin: str) -> bool:
        if "*" in self._exact or origin.lower() in self._exact:
            return True
        return self._has_any_port and self._any_port.fullmatch(origin) is not None


def origin_form(target: str) -> tuple[str, str]:
    """(authority, path) of a request's target; the authority is empty in the usual form.

    A server must take a whole URI as well, whose authority then stands for Host (RFC 9112 section
    3.2.2).
    """
    whole = _WHOLE_URI.fullmatch(target)
    if whole is None:
        return "", target
    path = whole[2]
    return whole[1], path if path.startswith("/") else f"/{path}"


def origin_refused(origin: str) -> str:
    """Why a page of this origin is not let in, and what would let it in; printable ASCII."""
    name = json.dumps(origin[:ORIGIN_CHARACTERS_MAX])
    hint = " (pages opened from a file, and sandboxed ones, say null)" if origin == "null" else ""
    return f"header Origin: {name} is not in listen.origins{hint}"


def path_of(target: str) -> str:
    """The path of a request's target, without its query."""
    return origin_form(target)[1].partition("?")[0]


def door_of(path: str, doors: Collection[str]) -> str | None:
    """Which of the doors a path is: itself, or the longest `.../*` that it is below."""
    if path in doors:
        return path
    below = [one for one in doors if one.endswith("/*") and path.startswith(one[:-1])]
    return max(below, key=len, default=None)


def check(
    request: Request, doors: Collection[str], origins: Origins, pages: Collection[str] = ()
) -> Response | None:
    """Refuses what the library would accept, or would refuse in other words than the contract's.

    Args:
        request: with its head alone.
        doors: paths where a WebSocket is spoken (`door_of`).
        origins: of the pages that may come.
        pages: paths that are answered without one.
    """
    if request.method != "GET":
        method = escaped(request.method[:WORD_CHARACTERS_MAX])
        return refusal(405, "method", f"method {method}: only GET", (("Allow", "GET"),))
    if request.protocol != "HTTP/1.1":
        protocol = escaped(request.protocol[:WORD_CHARACTERS_MAX])
        return refusal(505, "version", f"{protocol}: only HTTP/1.1")
    headers = request.headers
    try:
        host = headers.get("Host")
        origin = headers.get("Origin")
        version = headers.get("Sec-WebSocket-Version")
    except MultipleValuesError as error:
        return refusal(400, "bad_request", f"header {error.args[0]}: more than one")
    if not host:
        return refusal(400, "bad_request", "header Host: missing")
    path = path_of(request.path)
    if path not in pages and door_of(path, doors) is None:
        return refusal(404, "not_found", f"the endpoint is {' or '.join(doors)}")
    if origin is not None and origin not in origins:
        return refusal(403, "origin", origin_refused(origin))
    if version is not None and version != "13" and "Upgrade" in headers:
        return refusal(
            426,
            "upgrade_required",
            "header Sec-WebSocket-Version: only 13",
            (("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")),
        )
    return None


def choose_subprotocol(
    offered: Sequence[Subprotocol], known: Collection[str]
) -> Subprotocol | None:
    """The client's first name that is known, to be echoed; None where it offered none.

    Raises:
        NegotiationError: only unknown ones were offered.
    """
    for name in offered:
        if name in known:
            return name
    if offered:
        raise NegotiationError(f"subprotocols: only {', '.join(known) or 'none'}")
    return None
