"""The keys that verify tokens: a JWKS (RFC 7517), each key with `kid` and the one `alg` it is for.

`jwt.PyJWKClient` is not used: a fetch that failed emptied its set, and keys that were taken out of
theirs lived on. A private key in a file gives its public half.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta

BYTES_MAX: Final = 64 << 10
KEYS_MAX: Final = 100
KID: Final = re.compile(r"[A-Za-z0-9._~:@=+-]{1,128}")
"""No slash: whatever becomes of a `kid`, it is no path."""

ALGORITHMS: Final[Mapping[str, tuple[str, ...]]] = {
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "oct": ("HS256", "HS384", "HS512"),
}
"""By the type of key. One is symmetric: who verifies could sign, so it comes from a file alone."""


class _Jwk(msgspec.Struct, frozen=True):
    """What is looked at before a library makes a key of it."""

    kty: str
    kid: str
    alg: str
    use: str = "sig"
    key_ops: tuple[str, ...] = ("verify",)


class _Jwks(msgspec.Struct, frozen=True):
    keys: Annotated[tuple[msgspec.Raw, ...], Meta(max_length=KEYS_MAX)]


class Key(NamedTuple):
    """One that verifies with one algorithm.

    Attributes:
        material: as the library has it.
    """

    kid: str
    algorithm: str
    material: Any


class KeySet:
    """Keys by `kid`.

    Attributes:
        generation: of this very set of bytes: what was verified by another is verified again.
    """

    __slots__ = ("_keys", "generation")

    def __init__(self, keys: Mapping[str, Key], generation: bytes = b"") -> None:
        self._keys = keys
        self.generation = generation

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, kid: str) -> bool:
        return kid in self._keys

    def find(self, kid: str) -> Key | None:
        """The key of this name."""
        return self._keys.get(kid)


NONE: Final = KeySet({})


def read(data: bytes, *, symmetric: bool) -> KeySet:
    """The set that a JWKS document is.

    Args:
        data: JSON.
        symmetric: whether it may hold keys that sign as well (from a file).

    Raises:
        ValueError: why it is none; a set with one bad key is none.
    """
    if len(data) > BYTES_MAX:
        raise ValueError(f"a key set of {len(data)} bytes, limit {BYTES_MAX}")
    try:
        document = msgspec.json.decode(data, type=_Jwks)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JWKS: {error}") from None
    keys: dict[str, Key] = {}
    for number, raw in enumerate(document.keys):
        try:
            key = _key(bytes(raw), symmetric=symmetric)
        except ValueError as error:
            raise ValueError(f"keys[{number}]: {error}") from None
        if key is None:
            continue
        if key.kid in keys:
            raise ValueError(f"keys[{number}]: kid {key.kid!r} came before")
        keys[key.kid] = key
    return KeySet(keys, hashlib.sha256(data).digest())


def _key(raw: bytes, *, symmetric: bool) -> Key | None:
    """None: it is for something else than signatures."""
    head = msgspec.json.decode(raw, type=_Jwk)
    if head.use != "sig" or not {"verify", "sign"} & set(head.key_ops):
        return None
    if KID.fullmatch(head.kid) is None:
        raise ValueError(f"kid: 1 to 128 of letters, digits and ._~:@=+-, not {head.kid[:40]!r}")
    allowed = ALGORITHMS.get(head.kty)
    if allowed is None:
        raise ValueError(f"kty: one of {', '.join(ALGORITHMS)}, not {head.kty[:40]!r}")
    if head.alg not in allowed:
        raise ValueError(f"alg: a key of type {head.kty} has one of {', '.join(allowed)}")
    if head.kty == "oct" and not symmetric:
        raise ValueError("kty oct: only from a file: whoever could read it could sign")
    return Key(head.kid, head.alg, _material(raw, head.alg))


def _material(raw: bytes, algorithm: str) -> Any:
    import jwt

    try:
        made = jwt.PyJWK(msgspec.json.decode(raw), algorithm=algorithm)
        key = made.Algorithm.prepare_key(made.key)
        short = made.Algorithm.check_key_length(key)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        # The library's text may quote the key.
        raise ValueError(f"no key of {algorithm} ({type(error).__name__})") from None
    if short:
        raise ValueError(f"the key is too short for {algorithm}")
    public = getattr(made.key, "public_key", None)
    return made.key if public is None else public()
