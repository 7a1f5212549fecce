"""Opening a connection to a gateway: up to its hello, and why that failed."""

import asyncio
import re
import ssl
import time
from collections.abc import Sequence
from typing import get_args

from websockets.exceptions import WebSocketException

from gateway.client.connection import Closed, Connection, HandshakeRefused, connect
from gateway.client.credentials import Credentials, NoToken
from gateway.client.events import Hello
from gateway.client.reconnects import reconnects
from gateway.client.session import ClientSession
from gateway.model.encoding import SUBPROTOCOL_PREFIX, Encoding
from gateway.wire.client_handshake import NO_HTTP
from gateway.wire.client_side import ClientLimits

SUBPROTOCOLS: dict[Encoding, str] = {name: SUBPROTOCOL_PREFIX + name for name in get_args(Encoding)}

# A `list` of 65,536 instruments is about 5 MB; a hostile server gets no more than this.
MESSAGE_BYTES_MAX = 16 << 20
# The gateway sends none; this is for a proxy that cuts messages up, to a KiB each.
FRAGMENTS_MAX = 16 << 10
# What the gateway says of when to come back is obeyed up to here; a restart says 60.5 at most.
RETRY_AFTER_S_MAX = 61
_LIMITS = ClientLimits(MESSAGE_BYTES_MAX, FRAGMENTS_MAX)


class ConnectFailed(ConnectionError):
    """No connection.

    Attributes:
        retryable: whether trying again may help.
        retry_s: after how many seconds, if the gateway said.
    """

    def __init__(self, message: str, *, retryable: bool, retry_s: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_s = retry_s


async def open_connection(
    url: str,
    encoding: Encoding,
    session: ClientSession,
    timeout_s: float,
    credentials: Credentials,
    *,
    tls: ssl.SSLContext | None = None,
) -> tuple[Connection, Hello]:
    """A connection that has said hello, and was asked for what the session wants.

    Raises:
        ConnectFailed: there is none.
    """
    try:
        async with asyncio.timeout(timeout_s):
            # No proxy on the way: it would be measured as the gateway's latency.
            headers = await credentials.headers()
            offered = [SUBPROTOCOLS[encoding]]
            connection = await connect(url, offered, _LIMITS, headers=headers, tls=tls)
            try:
                return connection, await _greet(url, connection, session)
            except BaseException:
                connection.abort()
                raise
    except HandshakeRefused as error:
        raise _refused(url, *error.refused) from None
    except NoToken as error:
        raise ConnectFailed(f"{url}: no token: {error}", retryable=True) from None
    except Closed as error:
        raise ConnectFailed(f"{url}: {error}", retryable=reconnects(error.code)) from None
    except TimeoutError:
        message = f"{url} did not answer within {timeout_s:g} s"
        raise ConnectFailed(message, retryable=True) from None
    except ConnectFailed:
        raise
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message
        raise ConnectFailed(f"{url}: its certificate: {why}", retryable=False) from None
    except OSError as error:
        raise ConnectFailed(f"{url}: {error}", retryable=True) from None
    except (WebSocketException, ValueError) as error:
        raise ConnectFailed(f"{url}: {error}", retryable=False) from None


def checked_by(tls: str | ssl.SSLContext | None) -> ssl.SSLContext | None:
    """What a server's certificate is checked by: a file of authorities becomes a context.

    Raises:
        OSError: the file is no good.
    """
    return ssl.create_default_context(cafile=tls) if isinstance(tls, str) else tls


async def _greet(url: str, connection: Connection, session: ClientSession) -> Hello:
    requests = session.connected(time.monotonic_ns())
    message = await connection.receive_one()
    times = {"mono_ns": time.monotonic_ns(), "real_ns": time.time_ns()}
    events = session.receive(message, **times)
    if not events or not isinstance(events[0], Hello):
        raise ConnectFailed(f"{url} is no gateway: it sent no hello", retryable=False)
    for request in requests:
        await connection.send(request.text)
    return events[0]


def _refused(url: str, status: int, text: str, retry_after: Sequence[str]) -> ConnectFailed:
    if status == NO_HTTP:
        return ConnectFailed(f"{url}: {text}", retryable=True)
    if status == 101:
        return ConnectFailed(f"{url}: {text}", retryable=False)
    message = f"{url} refused the handshake: {text}"
    retryable = status == 429 or status >= 500
    return ConnectFailed(message, retryable=retryable, retry_s=retry_after_s(retry_after))


def retry_after_s(header: Sequence[str]) -> float | None:
    """Seconds of a `Retry-After`; None for none, a date, or nonsense."""
    value = header[0] if len(header) == 1 else ""
    return float(min(int(value), RETRY_AFTER_S_MAX)) if re.fullmatch("[0-9]{1,9}", value) else None
