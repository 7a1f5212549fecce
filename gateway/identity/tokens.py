"""One token against the keys: its form and its signature, and nothing that it says.

The library verifies with the one algorithm of the key that `kid` names: neither the header nor a
list decides. `crit` is refused, since nothing critical is understood here.
"""

import base64
import binascii
from typing import Any, Final, NamedTuple

import msgspec

from gateway.identity.keys import KID, Key, KeySet

TOKEN_BYTES_MAX: Final = 4000
"""A header's line ends at 8,192 bytes, and so does what fits a subprotocol's beside others."""


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str
    typ: str | None = None
    crit: Any = msgspec.UNSET


class Signed(NamedTuple):
    """The payload of a token that a key has signed."""

    payload: bytes
    kid: str


class BadToken(ValueError):
    """Why it is none. `unknown`: the `kid` that no key has; else empty."""

    def __init__(self, why: str, unknown: str = "") -> None:
        super().__init__(why)
        self.unknown = unknown


_header_decoder: Final = msgspec.json.Decoder(_Header)
_verifiers: dict[str, Any] = {}


def verify(token: str, keys: KeySet, typ: str = "") -> Signed:
    """The payload, where a key of the set has signed the token.

    Args:
        typ: what the header has to say, where that is not empty.

    Raises:
        BadToken: why not.
    """
    if len(token) > TOKEN_BYTES_MAX:
        raise BadToken(f"a token of {len(token)} bytes, limit {TOKEN_BYTES_MAX}")
    if not token.isascii() or token.count(".") != 2:
        raise BadToken("no JWT: three parts in base64url")
    header = _header(token)
    if header.crit is not msgspec.UNSET:
        raise BadToken("crit: nothing critical is understood here")
    if KID.fullmatch(header.kid) is None:
        raise BadToken("kid: not in the form of one")
    if typ and (header.typ or "").lower() != typ.lower():
        raise BadToken(f"typ: not {typ!r}")
    key = keys.find(header.kid)
    if key is None:
        raise BadToken("kid: no such key", header.kid)
    if header.alg != key.algorithm:
        raise BadToken("alg: not that of the key")
    return Signed(_signed(token, key), key.kid)


def _header(token: str) -> _Header:
    part = token[: token.index(".")]
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        return _header_decoder.decode(raw)
    except (ValueError, RecursionError, binascii.Error):
        raise BadToken("no JWT: its header is not one with alg and kid") from None


def _signed(token: str, key: Key) -> bytes:
    import jwt

    verifier = _verifiers.get(key.algorithm)
    if verifier is None:
        verifier = _verifiers[key.algorithm] = jwt.PyJWS(
            [key.algorithm], {"verify_signature": True, "enforce_minimum_key_length": True}
        )
    try:
        payload: bytes = verifier.decode_complete(token, key.material, [key.algorithm])["payload"]
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise BadToken("the signature does not fit") from None
    return payload
