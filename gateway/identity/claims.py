"""What a token says, decoded strictly: a JWT library takes `exp` as text and as 1e30."""

from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from gateway.identity.entry import Entry

LEEWAY_S: Final = 5
"""Between our clock and the issuer's, of `nbf`, and of how far ahead `exp` may be."""

Seconds = Annotated[int, Meta(ge=0, le=1 << 40)]


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """Claims that mean something here; others are passed over."""

    sub: Annotated[str, Meta(min_length=1, max_length=128)]
    exp: Seconds
    iss: str | None = None
    aud: str | tuple[str, ...] | None = None
    nbf: Seconds | None = None
    iat: Seconds | None = None
    jti: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    tg: Entry | None = None

    def __post_init__(self) -> None:
        if not self.sub.isprintable():
            raise ValueError("sub: only printable characters")


class Expected(NamedTuple):
    """What a token has to say; an empty text: nothing in particular."""

    audience: str
    issuer: str
    max_ttl_s: int


_decoder: Final = msgspec.json.Decoder(Claims)


class BadClaims(ValueError):
    """Why a token that is signed well is not taken. `expired`: it was good once."""

    def __init__(self, why: str, *, expired: bool = False) -> None:
        super().__init__(why)
        self.expired = expired


def decode(payload: bytes) -> Claims:
    """The claims of a token.

    Raises:
        BadClaims: they are none.
    """
    try:
        return _decoder.decode(payload)
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadClaims(f"claims: {why}") from None


def check(claims: Claims, expected: Expected, now_s: float) -> None:
    """Accepts claims that hold now.

    Raises:
        BadClaims: they don't.
    """
    if claims.exp <= now_s:
        raise BadClaims("exp: the token has expired", expired=True)
    if claims.exp - now_s > expected.max_ttl_s + LEEWAY_S:
        raise BadClaims(f"exp: more than {expected.max_ttl_s} s ahead (auth.max_ttl_s)")
    if claims.nbf is not None and claims.nbf > now_s + LEEWAY_S:
        raise BadClaims("nbf: the token is not valid yet")
    if expected.issuer and claims.iss != expected.issuer:
        raise BadClaims("iss: not the issuer that is expected here")
    if expected.audience:
        audiences = (claims.aud,) if isinstance(claims.aud, str) else claims.aud or ()
        if expected.audience not in audiences:
            raise BadClaims("aud: the token is for another audience")
