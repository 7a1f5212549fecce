"""What a request brings to say who it is from, and the answer where that does not count."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from websockets.datastructures import Headers

from gateway.identity.authenticator import Authenticator, Identity, Refused
from gateway.wire.response import Response
from gateway.wire.response import refusal as answer

BEARER: Final = "bearer."
"""Before a token that comes as a subprotocol: browsers can set no header."""
CHALLENGE: Final = 'Bearer realm="tickgate"'


def judged(
    judge: Authenticator,
    headers: Headers,
    peer: str,
    names: Sequence[str] = (),
    *,
    mono_ns: int,
    real_s: float,
) -> Identity | Refused | None:
    """Whose it is; None: it brings nothing. Neither cookies nor the query are looked at.

    Args:
        names: of a certificate that the transport has verified.
    """
    listed = ",".join(headers.get_all("Sec-WebSocket-Protocol")).split(",")
    offered = [one.strip() for one in listed]
    authorization = headers.get_all("Authorization")
    api_keys = headers.get_all("X-Api-Key")
    tokens = [one.removeprefix(BEARER) for one in offered if one.startswith(BEARER)]
    for value in authorization:
        scheme, _, token = value.partition(" ")
        if scheme.lower() != "bearer":
            return judge.malformed("no bearer token", peer, mono_ns)
        tokens.append(token.strip())
    if len(tokens) + len(api_keys) > 1:
        return judge.malformed("several", peer, mono_ns)
    if tokens:
        return judge.token(tokens[0], peer, mono_ns=mono_ns, real_s=real_s)
    if api_keys:
        return judge.api_key(api_keys[0].strip(), peer, mono_ns=mono_ns, real_s=real_s)
    if names:
        return judge.certificate(names)
    return None


def refusal(refused: Refused) -> Response:
    """The answer."""
    if refused.retry_s:
        limited = refused.result == "limited"
        status = HTTPStatus.TOO_MANY_REQUESTS if limited else HTTPStatus.SERVICE_UNAVAILABLE
        again = (("Retry-After", str(refused.retry_s)),)
        return answer(status, "unauthorized", refused.why, again)
    error = "" if refused.result == "missing" else ', error="invalid_token"'
    challenge = (("WWW-Authenticate", f"{CHALLENGE}{error}"),)
    return answer(401, "unauthorized", refused.why, challenge)
