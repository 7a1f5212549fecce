"""The answer to a request that becomes no WebSocket."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

Headers = tuple[tuple[str, str], ...]

TEXT: Final = "text/plain; charset=utf-8"
_BODILESS: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


@dataclass(frozen=True)
class Response:
    """All of an answer, after which nothing more is said.

    Attributes:
        status: HTTP status.
        body: all of it.
        type: of the body.
        headers: beside those of the body and of the connection.
        result: what it counts as in `tickgate_handshakes_total`.
    """

    status: int
    body: bytes = b""
    type: str = TEXT
    headers: Headers = ()
    result: str = ""

    @property
    def text(self) -> str:
        """The one line that a refusal's body is."""
        return self.body.decode("ascii", "replace").rstrip("\n")

    def data(self, *, head: bool = False) -> bytes:
        """Its bytes; those of the answer to HEAD lack the body."""
        status = HTTPStatus(self.status)
        lines = [f"HTTP/1.1 {status.value} {status.phrase}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if status not in _BODILESS:
            lines += [f"Content-Type: {self.type}", f"Content-Length: {len(self.body)}"]
        body = b"" if head else self.body
        return "\r\n".join(lines).encode("ascii", "replace") + b"\r\n\r\n" + body


def refusal(status: int, result: str, text: str, headers: Headers = ()) -> Response:
    """Why a request becomes no WebSocket, in one line."""
    return Response(status, text.encode("ascii", "replace") + b"\n", headers=headers, result=result)
