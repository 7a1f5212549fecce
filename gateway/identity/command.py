"""`tickgate token` and `tickgate key`: an issuer for those who have none, and the files of ours."""

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from gateway.errors import TickgateError
from gateway.identity import api_keys, claims, keys, revoked, tokens
from gateway.identity.entry import Entry, convert
from gateway.identity.issue import (
    GENERATED,
    choose,
    from_pem,
    generate,
    public,
    sign,
    write_whole,
)
from gateway.text import plain

if TYPE_CHECKING:
    from gateway.identity.api_keys import ApiKey

HOUR_S = 3600
_SPAN = re.compile(r"([0-9]{1,9})(s|m|h|d)?")
_UNITS = {"": 1, "s": 1, "m": 60, "h": HOUR_S, "d": 24 * HOUR_S}

token_app = App(name="token", help="Tokens: issue, verify, revoke; keys that sign them.")
key_app = App(name="key", help="API keys: add, list, revoke.")

KeyFile = Annotated[Path, Parameter(name="--key", help="Private key: JWK, JWKS or PEM.")]
Revocations = Annotated[Path, Parameter(name="--file", help="As auth.revoked says.")]
ApiKeyFile = Annotated[Path, Parameter(name="--file", help="As auth.api_keys says.")]


class _Failed(TickgateError):
    """What a command was asked for can't be done."""

    exit_code = 1


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Errors in words, in place of a trace."""
    try:
        yield
    except OSError as error:
        raise _Failed(f"{error.filename or what}: {error.strerror}") from None
    except ValueError as error:
        raise _Failed(f"{what}: {error}") from None


def _span_s(text: str) -> int:
    form = _SPAN.fullmatch(text)
    if form is None:
        raise _Failed(f"{text!r}: expected seconds, or a number with s, m, h or d")
    return int(form[1]) * _UNITS[form[2] or ""]


# --- tokens ---------------------------------------------------------------------------------------


@token_app.command(name="new-key")
def new_key(
    *,
    private: Annotated[Path, Parameter(help="Where the private key goes: a file of your own.")],
    jwks: Annotated[Path, Parameter(help="The key set: it is added, or the file made.")],
    alg: Annotated[str, Parameter(help="ES256, EdDSA, RS256 or HS256.")] = "EdDSA",
    kid: Annotated[str, Parameter(help="Its name; by default the date.")] = "",
) -> None:
    """Makes a key that signs tokens, and adds what verifies them to a key set."""
    if alg not in GENERATED:
        raise _Failed(f"--alg {alg}: expected one of {', '.join(GENERATED)}")
    if private.exists():
        raise _Failed(f"{private}: exists; a key is not overwritten")
    kid = kid or time.strftime("%Y-%m-%d-%H%M%S", time.gmtime())
    with _told(str(jwks)):
        known = json.loads(jwks.read_bytes())["keys"] if jwks.exists() else []
        jwk = generate(alg, kid)
        document = json.dumps({"keys": [*known, public(jwk)]}, indent=1).encode() + b"\n"
        keys.read(document, symmetric=True)
        write_whole(private, json.dumps(jwk, indent=1).encode() + b"\n")
        write_whole(jwks, document, 0o600 if jwk["kty"] == "oct" else 0o644)
    print(f"key {kid} ({alg}): {private} signs, {jwks} verifies")


@token_app.command
def issue(
    *,
    key: KeyFile,
    sub: Annotated[str, Parameter(help="Who it is for.")],
    ttl: Annotated[str, Parameter(help="How long it counts: 30m, 1h, 7d.")] = "1h",
    kid: Annotated[str, Parameter(help="Of several keys, this one; of a PEM, its name.")] = "",
    alg: Annotated[str, Parameter(help="Of a PEM: where the key has several.")] = "",
    jti: Annotated[str, Parameter(help="Its name, to revoke it alone.")] = "",
    aud: Annotated[str, Parameter(help="Audience.")] = "",
    iss: Annotated[str, Parameter(help="Issuer.")] = "",
    grant: Annotated[
        list[str],
        Parameter(negative="", help="CHANNELS:INSTRUMENTS, commas between; repeatable, in order."),
    ] = [],  # noqa: B006
    tg: Annotated[str, Parameter(help="The whole claim `tg`, as JSON, in place of --grant.")] = "",
) -> None:
    """Prints a token."""
    if grant and tg:
        raise _Failed("--grant and --tg: one of them")
    now_s = int(time.time())
    said: dict[str, Any] = {"sub": sub, "iat": now_s, "exp": now_s + _span_s(ttl)}
    said |= {name: text for name, text in (("jti", jti), ("aud", aud), ("iss", iss)) if text}
    with _told("--tg" if tg else "--grant"):
        own = json.loads(tg) if tg else {"grants": [_rule(one) for one in grant]} if grant else None
        if own is not None:
            convert(own, Entry)
            said["tg"] = own
        claims.decode(json.dumps(said).encode())
    with _told(str(key)):
        data = key.read_bytes()
        jwk = from_pem(data, alg, kid or key.stem) if b"-----BEGIN" in data else choose(data, kid)
        token = sign(jwk, said)
    if len(token) > tokens.TOKEN_BYTES_MAX:
        raise _Failed(f"the token has {len(token)} bytes, limit {tokens.TOKEN_BYTES_MAX}")
    print(token)


def _rule(text: str) -> dict[str, list[str]]:
    channels, colon, instruments = text.partition(":")
    if not colon:
        raise ValueError(f"{text!r}; expected CHANNELS:INSTRUMENTS, as in trade,bbo:*.BINANCE")
    return {"channels": channels.split(","), "instruments": instruments.split(",")}


@token_app.command
def verify(
    token: Annotated[str, Parameter(help="The token; without it, standard input.")] = "",
    /,
    *,
    jwks: Annotated[Path, Parameter(help="The key set, as auth.jwt_keys says.")],
    revocations: Annotated[Path | None, Parameter(name="--revoked")] = None,
    aud: Annotated[str, Parameter(help="As auth.audience says.")] = "",
    iss: Annotated[str, Parameter(help="As auth.issuer says.")] = "",
    max_ttl: Annotated[str, Parameter(help="As auth.max_ttl_s says.")] = "1d",
) -> None:
    """Says whether a gateway would take a token, and what it says. Exit code 1: it would not."""
    text = token or sys.stdin.read().strip()
    expected = claims.Expected(aud, iss, _span_s(max_ttl))
    with _told("token"):
        known = keys.read(jwks.read_bytes(), symmetric=True)
        signed = tokens.verify(text, known)
        found = claims.decode(signed.payload)
        claims.check(found, expected, time.time())
        lines = revoked.read(revocations.read_bytes()) if revocations else revoked.Revoked()
        if lines.has(found.sub, found.jti, signed.kid, found.iat):
            raise ValueError("revoked")
    print(json.dumps({"kid": signed.kid, **json.loads(signed.payload)}, indent=1))


@token_app.command(name="revoke")
def revoke_token(
    *,
    file: Revocations,
    jti: Annotated[str, Parameter(help="This one.")] = "",
    kid: Annotated[str, Parameter(help="All that this key has signed.")] = "",
    sub: Annotated[str, Parameter(help="All that somebody was given until now.")] = "",
    token: Annotated[str, Parameter(help="The one with this `jti`, taken from a token.")] = "",
) -> None:
    """Revokes tokens; gateways that read the file close their clients within a second."""
    if sum(map(bool, (jti, kid, sub, token))) != 1:
        raise _Failed("expected one of --jti, --kid, --sub, --token")
    with _told(str(file)):
        if token:
            jti = _jti(token)
        before = int(time.time()) + 1 if sub else None
        one = revoked.Revocation(jti=jti or None, key=kid or None, sub=sub or None, before=before)
        revoked.add(file, one)
    print(f"revoked: {revoked.encode(one).decode().strip()}")


def _jti(token: str) -> str:
    """Of a token whose signature nobody has to believe: revoking what is none harms nobody."""
    import jwt

    try:
        found = jwt.decode_complete(token, options={"verify_signature": False})["payload"].get(
            "jti"
        )
    except jwt.PyJWTError:
        raise ValueError("no token") from None
    if not isinstance(found, str):
        raise ValueError("the token has no jti: revoke its sub or its key")
    return found


# --- API keys -------------------------------------------------------------------------------------


@key_app.command
def add(
    *,
    file: ApiKeyFile,
    sub: Annotated[str, Parameter(help="Who it is for.")],
    tenant: Annotated[str, Parameter(help="Whose entry of the grants stands in.")] = "",
    expires: Annotated[str, Parameter(help="After how long: 90d. Empty: never.")] = "",
    label: Annotated[str, Parameter(help="A note, for `key list`.")] = "",
    pepper: Annotated[Path | None, Parameter(help="As auth.pepper says.")] = None,
) -> None:
    """Makes an API key and prints it: it is kept nowhere, so that it can be shown only now."""
    now_s = int(time.time())
    with _told(str(file)):
        known = api_keys.decode(file.read_bytes()) if file.exists() else ()
        text, kept = api_keys.make(
            _pepper(pepper or Path(f"{file}.pepper")),
            sub,
            created=now_s,
            expires=now_s + _span_s(expires) if expires else None,
            tenant=tenant or None,
            label=label,
        )
        data = api_keys.encode([*known, kept])
        api_keys.decode(data)
        write_whole(file, data)
    print(text)


def _pepper(path: Path) -> bytes:
    """That of a file, made where there is none."""
    import secrets

    if not path.exists():
        write_whole(path, secrets.token_hex(api_keys.PEPPER_BYTES).encode() + b"\n")
    pepper = path.read_bytes().strip()
    if len(pepper) < api_keys.PEPPER_BYTES:
        raise ValueError(f"{path}: a pepper has at least {api_keys.PEPPER_BYTES} bytes")
    return pepper


@key_app.command(name="list")
def list_keys(*, file: ApiKeyFile) -> None:
    """Lists API keys; what they are is not in the file."""
    with _told(str(file)):
        known = api_keys.decode(file.read_bytes())
    now_s = time.time()
    for key in known:
        state = "expired" if key.expires is not None and key.expires <= now_s else "valid"
        print(plain(f"{key.id}  {_date(key.created)}  {state:7}  {key.sub}  {key.label}".rstrip()))


@key_app.command(name="revoke")
def revoke_key(
    key_id: Annotated[str, Parameter(help="As `key list` has it; the whole key is taken, too.")],
    /,
    *,
    file: ApiKeyFile,
) -> None:
    """Takes an API key out of the file; gateways close its clients within a second."""
    found = re.fullmatch(r"tg_([a-z0-9]+)_.*", key_id)
    name = found[1] if found else key_id
    with _told(str(file)):
        known = api_keys.decode(file.read_bytes())
        left: list[ApiKey] = [key for key in known if key.id != name]
        if len(left) == len(known):
            raise ValueError(f"no API key {name!r}")
        write_whole(file, api_keys.encode(left))
    print(f"revoked: {name}")


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
