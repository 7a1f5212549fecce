"""Files that identities are judged by: each is taken, or refused in words, and never in part.

The first byte says which of `KINDS` the rest is. What is taken is written out and read again, or
asked for what stands in it; of what a token brings, nothing gets beyond a grants file.
"""

import base64
import json
import re
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fuzz.mutate import quoted
from support.identity import PEPPER, rule, tg

from gateway.identity import api_keys, grants, keys, revoked
from gateway.identity.entry import Entry, convert
from gateway.identity.grants import Granted, GrantsFile, own_granted
from gateway.identity.issue import choose, from_pem, public, sign
from gateway.identity.rights import Rights, rights
from gateway.identity.tokens import BadToken, verify
from gateway.model.record import CHANNELS

JSON_AT: Final = 1
WHY_MAX: Final = 5000
"""Characters: what is quoted is no longer than an input."""

# --- keys -----------------------------------------------------------------------------------------

_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}


class _Jwk(msgspec.Struct):
    kid: Any = None
    kty: Any = None
    alg: Any = None


class _Jwks(msgspec.Struct):
    """Other members are skipped unread."""

    keys: list[_Jwk]


def _key_set(data: bytes, symmetric: bool) -> Iterable[Hashable]:
    found = keys.read(data, symmetric=symmetric)
    listed = [(one.kid, one.kty, one.alg) for one in msgspec.json.decode(data, type=_Jwks).keys]
    assert len(found) <= min(keys.KEYS_MAX, len(listed))
    mine = [found.find(kid) for kid in {kid for kid, *_ in listed if isinstance(kid, str)}]
    there = [key for key in mine if key is not None]
    assert len(there) == len(found)
    for key in there:
        kinds = [kty for kty, fit in keys.ALGORITHMS.items() if key.algorithm in fit]
        assert (key.kid, *kinds, key.algorithm) in listed
        assert keys.KID.fullmatch(key.kid)
        _fits(key, symmetric)
        header = base64.urlsafe_b64encode(
            json.dumps({"alg": key.algorithm, "kid": key.kid}).encode()
        )
        try:
            verify(header.rstrip(b"=").decode() + ".e30." + "A" * 86, found)
        except BadToken as bad:
            assert str(bad) == "the signature does not fit"  # noqa: PT017
        else:
            raise AssertionError(key)
    assert len(keys.read(data, symmetric=symmetric)) == len(found)
    return [(key.algorithm, key.kid == "ed") for key in there]


def _fits(key: keys.Key, symmetric: bool) -> None:
    """Of its algorithm's kind and size, and no private one."""
    material = key.material
    if key.algorithm.startswith("HS"):
        assert symmetric
        assert 8 * len(material) >= int(key.algorithm[2:])
    elif key.algorithm.startswith("ES"):
        assert isinstance(material, ec.EllipticCurvePublicKey)
        assert material.curve.name == _CURVES[key.algorithm]
    elif key.algorithm == "EdDSA":
        assert hasattr(material, "public_bytes_raw")
        assert not hasattr(material, "private_bytes_raw")
    else:
        assert isinstance(material, rsa.RSAPublicKey)
        assert material.key_size >= 2048


def _private_key(data: bytes, _: bool) -> Iterable[Hashable]:
    """What an operator signs with: what signs, and is not for secrets of both, verifies as well."""
    jwk = from_pem(data, "", "mine") if b"-----BEGIN" in data else choose(data, "")
    token = sign(jwk, {"sub": "a"})
    found = keys.read(json.dumps({"keys": [public(jwk)]}).encode(), symmetric=True)
    if len(found):
        assert json.loads(verify(token, found).payload) == {"sub": "a"}
    return ((jwk["alg"], len(found)),)


# --- lists ----------------------------------------------------------------------------------------


def _api_keys(data: bytes, _: bool) -> Iterable[Hashable]:
    listed = api_keys.decode(data)
    assert api_keys.decode(api_keys.encode(listed)) == listed
    found = api_keys.read(data, PEPPER)
    assert len(found) == len(listed) == len({key.id for key in listed})
    for key in listed:
        assert key.id in found
        assert found.of(key.sub)
        secret = "x" * 32
        kept = api_keys.digest(secret, PEPPER).hex()
        told = found.find(f"tg_{key.id}_{secret}")
        assert told == (key if kept == key.hash else None)
    return ((min(len(listed), 3), any(key.hash == _HASH for key in listed)),)


def _revoked(data: bytes, _: bool) -> Iterable[Hashable]:
    found = revoked.read(data)
    lines = [one for one in data.splitlines() if one.strip() and not one.startswith(b"#")]
    assert len(found) <= len(lines)
    for line in map(json.loads, lines):
        if line.get("jti") is not None:
            assert found.has("", line["jti"], "", 1 << 50)
        elif line.get("key") is not None:
            assert found.has("", None, line["key"], 1 << 50)
        else:
            assert found.has(line["sub"], None, "", None)
            assert line["before"] == 0 or found.has(line["sub"], None, "", line["before"] - 1)
    assert not found.has("somebody else " * 10, None, "", None)
    return (min(len(found), 4),)


# --- grants ---------------------------------------------------------------------------------------

_NAMES: Final = ("BTC-USD.SIM", "A.SIM", "A.OTHER", "*.SIM", "A*", "*")
_CHANNELS: Final = [one for one in CHANNELS.values() if one.name in ("trade", "book")]
SUB: Final = "alice"


def _grants(data: bytes, _: bool) -> Iterable[Hashable]:
    line, *documents = data.split(b"\n", 1)
    read = grants.read(b"".join(documents))
    file = read._file
    assert convert(msgspec.to_builtins(file, str_keys=True), GrantsFile) == file
    own = msgspec.json.decode(line, type=Entry) if line else Entry()
    base = read.of(SUB, Entry(tenant=own.tenant))
    mine = read.of(SUB, own)
    assert mine.tenant == base.tenant
    for least, most in zip(mine[1:3], base[1:3], strict=True):
        assert most is None or (isinstance(least, int) and isinstance(most, int) and least <= most)
    others = (read.anonymous(), read.of("nobody in it", None), read.of("x", own, "desk"))
    for one in (mine, *others):
        own_granted(one, "ops")
    wide = base.lists != ((),)
    if wide:
        _within(mine, base)
    return ((wide, len(mine.lists), SUB in read.subs, bool(others[0].lists[0])),)


def _within(mine: Granted, base: Granted) -> None:
    for encoding in ("json", "sbe"):
        narrow, wide = rights(mine, encoding), rights(base, encoding)
        for channel in _CHANNELS:
            for text in _NAMES:
                one, other = (_limits(each, channel, text) for each in (narrow, wide))
                assert one is None or other is not None, (channel.name, text)
                if one is not None and other is not None:
                    assert other.max_hz is None or (one.max_hz or 1e9) <= other.max_hz
                    assert other.depth is None or (one.depth or 1 << 40) <= other.depth
                    assert one.priority >= other.priority
    for name in ("ops", "recordings"):
        assert own_granted(base, name) or not own_granted(mine, name)


def _limits(some: Rights, channel: Any, text: str) -> Any:
    return some.of_pattern(channel, text) if "*" in text else some.of_name(channel, text)


# --- inputs ---------------------------------------------------------------------------------------

KINDS: Final[tuple[Callable[[bytes, bool], Iterable[Hashable]], ...]] = (
    *(_key_set, _private_key, _api_keys, _revoked, _grants),
)
SYMMETRIC: Final = 0x40
_KEY_SET, _PRIVATE_KEY, _API_KEYS, _REVOKED, _GRANTS = (
    bytes((KINDS.index(kind),)) for kind in (_key_set, _private_key, _api_keys, _revoked, _grants)
)


def run(data: bytes) -> Iterable[Hashable]:
    if not data:
        return ()
    kind = (data[0] & ~SYMMETRIC) % len(KINDS)
    try:
        seen = KINDS[kind](data[1:], bool(data[0] & SYMMETRIC))
    except ValueError as error:
        text = str(error)
        assert 0 < len(text) <= WHY_MAX
        assert _SECRET not in text or not _is_secret(data)
        return ((kind, re.split("[`'0-9]", text)[0][:24]),)
    return [(kind, one) for one in seen]


def _is_secret(data: bytes) -> bool:
    """Whether the secret is where a file has one, and not somewhere else as well."""
    places = [f'"k":{space}"{_SECRET}"'.encode() for space in ("", " ")]
    return data.count(_SECRET.encode()) == 1 and any(place in data for place in places)


def _pem(private: Any) -> bytes:
    found: bytes = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return found


_ED: Final = _pem(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
_SECRET: Final = base64.urlsafe_b64encode(b"a secret that nobody is to read.....").decode()
_NUMBER: Final = 0x1234567890ABCDEF << 128
_EC: Final = [
    _pem(ec.derive_private_key(_NUMBER, curve))
    for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1())
]
_OTHER_EC: Final = _pem(ec.derive_private_key(_NUMBER, ec.BrainpoolP256R1()))
_JWKS: Final = [from_pem(_ED, "", "ed"), from_pem(_EC[0], "ES256", "ec")]
_MAC: Final = {"kty": "oct", "k": _SECRET, "alg": "HS256", "kid": "mac"}
_HASH: Final = api_keys.digest("x" * 32, PEPPER).hex()
_RSA_PUBLIC: Final = {
    "kty": "RSA",
    "n": base64.urlsafe_b64encode(b"\xc5" * 256).rstrip(b"=").decode(),
    "e": "AQAB",
    "alg": "PS256",
    "kid": "rsa",
    "use": "sig",
    "key_ops": ["verify"],
}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


_FILE: Final = b"""[sub.alice]
connections = 2
[[sub.alice.grants]]
channels = ["trade", "book"]
instruments = ["*.SIM", "A.OTHER"]
max_hz = 10.0
depth = 5
class = 1
encodings = ["json"]
[tenant.desk]
subscriptions = 100
professional = false
grants = [{channels = ["*"], instruments = ["*"]}, {channels = ["ops"], instruments = ["*"]}]
["*"]
grants = []
[anonymous]
grants = [{channels = ["trade"], instruments = ["BTC*.SIM"]}]
"""
_OWN: Final = tg(rule("trade book", "A* *.SIM", max_hz=50, depth=20), connections=5, tenant="desk")
SEEDS: Final = [
    *(
        first + _json({"keys": [*map(public, _JWKS), _RSA_PUBLIC, _MAC]})
        for first in (_KEY_SET, bytes((SYMMETRIC | _KEY_SET[0],)))
    ),
    _KEY_SET + _json({"keys": [*map(public, _JWKS), {**_MAC, "use": "enc"}, _RSA_PUBLIC]}),
    _KEY_SET + _json({"keys": _JWKS}),
    *(_PRIVATE_KEY + pem for pem in (_ED, *_EC, _OTHER_EC)),
    *(_PRIVATE_KEY + _json(one) for one in (*_JWKS, _MAC, {"keys": [_MAC]}, _RSA_PUBLIC)),
    _API_KEYS
    + _json(
        {
            "keys": [
                {"id": "a1", "hash": _HASH, "sub": "alice", "created": 1},
                {"id": "b2", "hash": "0" * 64, "sub": "bob", "created": 2, "expires": 3},
            ]
        }
    ),
    _REVOKED + b'# who is gone\n{"jti":"7"}\n\n{"key":"a1"}\n{"sub":"alice","before":1800000000}\n',
    *(_GRANTS + _json(own) + b"\n" + _FILE for own in ({}, _OWN, {"tenant": "desk"})),
    _GRANTS + b"\n",
]
TOKENS: Final = [
    *quoted(
        "keys kty kid alg use sig enc key_ops verify sign oct EC OKP RSA crv P-256 P-384 P-521"
    ),
    *quoted("secp256k1 Ed25519 Ed448 X25519 x y d n e k p q dp dq qi oth HS256 RS256 ES384 ES512"),
    *quoted("id hash sub created expires tenant label jti key before alice desk a1 AQAB AA =="),
    *quoted("grants channels instruments max_hz depth class encodings connections subscriptions"),
    *(
        b"[sub.alice]\n",
        b"[tenant.desk]\n",
        b'["*"]\n',
        b"[anonymous]\n",
        b"[[sub.alice.grants]]\n",
    ),
    *(
        b'channels = ["trade"]\n',
        b'instruments = ["*"]\n',
        b"connections = 1\n",
        b'tenant = "desk"\n',
    ),
    *(
        b"-----BEGIN PRIVATE KEY-----\n",
        b"-----END PRIVATE KEY-----\n",
        b"-----BEGIN EC PRIVATE KEY-----",
    ),
    *(b"ENCRYPTED ", b"Proc-Type: 4,ENCRYPTED\n", b"~*", b"*", b"\n", b"\r", b"#", b"\xff"),
    *(bytes((kind,)) for kind in range(len(KINDS))),
]
