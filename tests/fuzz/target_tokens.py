"""Credentials as clients bring them: tokens of every signer, and the headers that they come in.

Who gets in is judged again by other code than the gateway's: a signature of one of the keys, by the
algorithm of that key, and claims that hold; or an API key, letter by letter. The first byte says
what the rest is: the lines of a request's headers, where words in angles stand for credentials; or
a token's header and, in the next line, its payload, and which of `SIGNERS` signs them.
"""

import base64
import hmac
import json
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from fuzz.mutate import quoted
from support.identity import ALL, PEPPER, rule, tg
from websockets.datastructures import Headers
from websockets.http11 import parse_headers
from websockets.streams import StreamReader

from gateway.identity import api_keys, keys
from gateway.identity.authenticator import Authenticator, Identity, Material, Refused
from gateway.identity.claims import Expected
from gateway.identity.credentials import judged, refusal
from gateway.identity.grants import Grants
from gateway.identity.issue import from_pem, public
from gateway.identity.revoked import Revocation, Revoked
from gateway.model.outcomes import AUTHS

JSON_AT: Final = 1
HEADERS: Final = 0x40
TYP: Final = 0x20
"""Tokens have to say that they are access tokens (RFC 9068)."""
NOW_S: Final = 1_800_000_000
TTL_S: Final = 86_400
PEER: Final = "192.0.2.1"
WHY_MAX: Final = 4500
"""Characters of a refusal: a claim that is quoted is no longer than its token."""

# --- the issuer -----------------------------------------------------------------------------------

_ED: Final = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_STRANGER: Final = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
_EC: Final = ec.derive_private_key(0x1234567890ABCDEF << 128, ec.SECP256R1())
_RSA: Final = rsa.generate_private_key(65537, 2048)
_SECRET: Final = b"what both ends of an HMAC must know"
_RSA_PEM: Final = _RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def part(data: bytes) -> str:
    """One of a token's."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _jwk(private: Any, algorithm: str, kid: str) -> dict[str, Any]:
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return public(from_pem(pem, algorithm, kid))


JWKS: Final = json.dumps(
    {
        "keys": [
            _jwk(_ED, "EdDSA", "ed"),
            _jwk(_EC, "ES256", "ec"),
            _jwk(_RSA, "RS256", "rsa"),
            {"kty": "oct", "k": part(_SECRET), "alg": "HS256", "kid": "mac"},
        ]
    }
).encode()
_KEYS: Final = keys.read(JWKS, symmetric=True)
_SECRET_TEXT: Final = "tg_desk7_" + "Ab-_" * 8
_EXPIRED_TEXT: Final = "tg_old_" + "x" * 32


def _kept(text: str, **more: Any) -> api_keys.ApiKey:
    _, key_id, secret = text.split("_", 2)
    kept = api_keys.digest(secret, PEPPER).hex()
    return api_keys.ApiKey(id=key_id, hash=kept, sub="desk", created=NOW_S - 9, **more)


_API_KEYS: Final = api_keys.ApiKeys(
    [_kept(_SECRET_TEXT, tenant="bank"), _kept(_EXPIRED_TEXT, expires=NOW_S)], PEPPER
)


def _mac(secret: bytes, data: bytes) -> bytes:
    return hmac.digest(secret, data, "sha256")


def _ec_signed(data: bytes) -> bytes:
    r, s = utils.decode_dss_signature(_EC.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


SIGNERS: Final[tuple[Callable[[bytes], bytes], ...]] = (
    _ED.sign,
    _ec_signed,
    lambda data: _RSA.sign(data, padding.PKCS1v15(), hashes.SHA256()),
    lambda data: _mac(_SECRET, data),
    # Those that must never be enough.
    _STRANGER.sign,
    lambda _: b"",
    lambda data: _mac(_RSA_PEM, data),
    lambda data: _mac(_ED.public_key().public_bytes_raw(), data),
    lambda data: _mac(b"", data),
    lambda data: _RSA.sign(data, padding.PKCS1v15(), hashes.SHA512()),
    lambda data: _EC.sign(data, ec.ECDSA(hashes.SHA256())),
    lambda data: hmac.digest(_SECRET, data, "sha512"),
)


def _token(header: bytes, payload: bytes, signer: int) -> str:
    signed = f"{part(header)}.{part(payload)}"
    return f"{signed}.{part(SIGNERS[signer % len(SIGNERS)](signed.encode()))}"


# --- the same judgement by other means ------------------------------------------------------------


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _ec_fits(signature: bytes, data: bytes) -> None:
    if len(signature) != 64:
        raise InvalidSignature
    numbers = (int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    _EC.public_key().verify(utils.encode_dss_signature(*numbers), data, ec.ECDSA(hashes.SHA256()))


def _mac_fits(signature: bytes, data: bytes) -> None:
    if signature != _mac(_SECRET, data):
        raise InvalidSignature


_FITS: Final[Mapping[tuple[str, str], Callable[[bytes, bytes], None]]] = {
    ("ed", "EdDSA"): _ED.public_key().verify,
    ("ec", "ES256"): _ec_fits,
    ("rsa", "RS256"): lambda signature, data: _RSA.public_key().verify(
        signature, data, padding.PKCS1v15(), hashes.SHA256()
    ),
    ("mac", "HS256"): _mac_fits,
}


class _Said(msgspec.Struct):
    """All that is judged by, and nothing of what it must be. Other members are skipped unread."""

    alg: Any = None
    kid: Any = None
    typ: Any = None
    crit: Any = msgspec.UNSET
    sub: Any = None
    exp: Any = None
    nbf: Any = None
    iat: Any = None
    iss: Any = None
    aud: Any = None
    jti: Any = None
    tg: Any = None


def _said(text: str) -> _Said:
    return msgspec.json.decode(_bytes(text), type=_Said)


def _genuine(token: str, typ: str) -> tuple[_Said, str]:
    """The claims and the key of a token that may come in; an exception where it may not."""
    header, payload, signature = token.split(".")
    head, claims = _said(header), _said(payload)
    assert head.crit is msgspec.UNSET
    assert not typ or head.typ.lower() == typ
    _FITS[head.kid, head.alg](_bytes(signature), f"{header}.{payload}".encode())
    assert NOW_S < claims.exp <= NOW_S + TTL_S + 5
    assert (claims.nbf or 0) <= NOW_S + 5
    assert claims.iss == "https://issuer.test"
    assert "md" in ([claims.aud] if isinstance(claims.aud, str) else claims.aud)
    assert 0 < len(claims.sub) <= 128
    return claims, head.kid


# --- inputs ---------------------------------------------------------------------------------------

_CLAIMS: Final[dict[str, Any]] = {
    "sub": "alice",
    "exp": NOW_S + 600,
    "iss": "https://issuer.test",
    "aud": "md",
    "iat": NOW_S,
    "jti": "1",
}
_RULES: Final = tg(rule("trade book", "*.SIM", depth=10, max_hz=5, encodings=["json"]))


def _lines(signer: int, kid: str, alg: str, *, first: int = 0, **claims: Any) -> bytes:
    header = {"alg": alg, "kid": kid, "typ": "at+jwt"}
    texts = (json.dumps(one).encode() for one in (header, {**_CLAIMS, **claims}))
    return bytes((first | signer,)) + b"\n".join(texts)


_HEADER, _PAYLOAD = _lines(0, "ed", "EdDSA")[1:].split(b"\n")
_GOOD: Final = _token(_HEADER, _PAYLOAD, 0)
_PLACES: Final = {
    b"<token>": _GOOD.encode(),
    b"<key>": _SECRET_TEXT.encode(),
    b"<old>": _EXPIRED_TEXT.encode(),
}
SEEDS: Final = [
    *(_lines(n, kid, alg, tg=ALL) for n, (kid, alg) in enumerate(_FITS)),
    *(_lines(n, "rsa", alg) for n, alg in ((6, "HS256"), (5, "none"), (9, "RS512"))),
    *(_lines(n, "ec", alg) for n, alg in ((4, "EdDSA"), (10, "ES256"), (7, "HS256"))),
    _lines(0, "ed", "EdDSA", first=TYP, tg=_RULES, aud=["other", "md"]),
    _lines(0, "ed", "EdDSA", first=TYP).replace(b"at+jwt", b"JWT"),
    _lines(0, "ed", "EdDSA").replace(b'"typ"', b'"crit": ["exp"], "typ"'),
    _lines(0, "ed", "EdDSA", nbf=NOW_S + 60),
    _lines(0, "ed", "EdDSA", exp=NOW_S),
    *(
        bytes((HEADERS,)) + lines + b"\r\n\r\n"
        for lines in (
            b"Authorization: Bearer <token>",
            b"Authorization: Bearer " + _GOOD.encode(),
            b"Authorization: Basic YTpi",
            b"X-Api-Key: <key>",
            b"X-Api-Key: " + _SECRET_TEXT.encode(),
            b"X-Api-Key: <old>",
            b"X-Api-Key: tg_desk7_" + b"x" * 32,
            b"Sec-WebSocket-Protocol: tickgate.v1.json, bearer.<token>",
            b"X-Api-Key: <key>\r\nAuthorization: Bearer <token>",
        )
    ),
]
TOKENS: Final = [
    *quoted("alg kid typ crit b64 jku jwk x5c zip none None HS256 RS256 PS256 ES256 EdDSA at+jwt"),
    *quoted("sub exp nbf iat aud iss jti tg grants channels instruments tenant trade ../ed md"),
    *(b"<token>", b"<key>", b"<old>", b"bearer.", b"Bearer ", b".", b"..", b"=", b"+", b"/", b"\n"),
    *(b"Authorization: ", b"X-Api-Key: ", b"Sec-WebSocket-Protocol: ", b"\r\n", b", ", b"\xff"),
    *(b"tg_", b"_", part(b'{"alg":"none","kid":"ed"}').encode(), b"%d" % NOW_S, b"\x00"),
    *(bytes((signer,)) for signer in range(len(SIGNERS))),
]


def run(data: bytes) -> Iterable[Hashable]:
    if not data:
        return ()
    if data[0] & HEADERS:
        return _headers(data[1:])
    header, _, payload = data[1:].partition(b"\n")
    token = _token(header, payload, data[0] & 15)
    typ = "at+jwt" if data[0] & TYP else ""
    judge = _judge(typ)
    outcome = judge.token(token, PEER, mono_ns=0, real_s=NOW_S)
    return _told(outcome, token, judge, typ)


def _judge(typ: str = "") -> Authenticator:
    def count(method: str, result: str) -> None:
        assert (method, result) in AUTHS

    material = Material(_KEYS, _API_KEYS, Grants(), Revoked())
    expected = Expected("md", "https://issuer.test", TTL_S)
    return Authenticator(expected, typ, 10, material, count=count)


def _headers(data: bytes) -> Iterable[Hashable]:
    headers = _parsed(data)
    if headers is None:
        return ()
    judge = _judge()
    outcome = judged(judge, headers, PEER, mono_ns=0, real_s=NOW_S)
    found = [one.partition(" ")[2].strip() for one in headers.get_all("Authorization")]
    found += [one.strip() for one in headers.get_all("X-Api-Key")]
    if outcome is None:
        assert not found, headers
        return (None,)
    listed = ",".join(headers.get_all("Sec-WebSocket-Protocol")).split(",")
    found += [one.strip()[7:] for one in listed if one.strip().startswith("bearer.")]
    if isinstance(outcome, Identity) and outcome.method == "api_key":
        assert found == [_SECRET_TEXT], headers
        assert (outcome.sub, outcome.key, outcome.tenant) == ("desk", "desk7", "bank")
        judge.material = judge.material._replace(revoked=Revoked([Revocation(key="desk7")]))
        again = judged(judge, headers, PEER, mono_ns=0, real_s=NOW_S)
        assert isinstance(again, Refused)
        return ("api_key",)
    if isinstance(outcome, Identity):
        assert len(found) == 1, headers
    return _told(outcome, found[0], judge, "")


def _parsed(data: bytes) -> Headers | None:
    """As the library parses a request's."""
    for place, text in _PLACES.items():
        data = data.replace(place, text)
    reader = StreamReader()
    reader.feed_data(data)
    parsing = parse_headers(reader.read_line)
    try:
        next(parsing)
    except StopIteration as end:
        headers: Headers = end.value
        return headers
    except Exception:
        return None  # the library's word
    return None


def _told(
    outcome: Identity | Refused, token: str, judge: Authenticator, typ: str
) -> Iterable[Hashable]:
    if isinstance(outcome, Refused):
        _refused(outcome, token)
        return ((outcome.result, re.split("[`'0-9]", outcome.detail)[0][:30]),)
    claims, kid = _genuine(token, typ)
    assert outcome.method == "jwt"
    said = (outcome.sub, outcome.expires_s, outcome.jti, outcome.issued_s, outcome.key)
    assert said == (claims.sub, claims.exp, claims.jti, claims.iat, kid)
    assert (outcome.own is None) == (claims.tg is None)
    judge.granted(outcome)
    # The same from the table of those that were verified; there, too, for as long as it counts.
    assert judge.token(token, PEER, mono_ns=0, real_s=NOW_S) == outcome
    late = judge.token(token, PEER, mono_ns=0, real_s=claims.exp)
    assert isinstance(late, Refused)
    assert late.result == "expired"
    judge.material = judge.material._replace(
        revoked=Revoked([Revocation(sub=outcome.sub, before=1 << 40)])
    )
    gone = judge.token(token, PEER, mono_ns=0, real_s=NOW_S)
    assert isinstance(gone, Refused)
    assert gone.result == "revoked"
    assert judge.withdrawn(outcome) == "revoked"
    judge.material = judge.material._replace(keys=keys.NONE, revoked=Revoked())
    assert isinstance(judge.token(token, PEER, mono_ns=0, real_s=NOW_S), Refused)
    return (("in", outcome.key, outcome.own is None),)


def _refused(refused: Refused, token: str) -> None:
    """It says why in one line, and nothing that could let another one in."""
    texts = (refused.why, refused.detail)
    assert all(0 < len(text) <= WHY_MAX for text in texts)
    signature = token.rpartition(".")[2]
    assert len(signature) < 16 or not any(signature in text for text in texts)
    response = refusal(refused)
    assert response.status in (401, 429, 503)
    head, _, _ = response.data().partition(b"\r\n\r\n")
    assert head.count(b"\n") == len(response.headers) + 3, head
