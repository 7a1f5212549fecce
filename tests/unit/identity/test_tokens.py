"""Tokens: every form that is none, every algorithm that is one, and what they have to say."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.identity import Issuer

from gateway.identity import claims, keys, tokens
from gateway.identity.claims import BadClaims, Expected
from gateway.identity.issue import generate, public, sign
from gateway.identity.tokens import BadToken, verify
from gateway.identity.verified import Verified

ALGORITHMS = ("ES256", "EdDSA", "RS256", "HS256")
NOW_S = 1_800_000_000.0
GOOD: dict[str, Any] = {"sub": "alice", "exp": int(NOW_S) + 600}
ANYBODY = Expected("", "", 86_400)


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def private() -> dict[str, dict[str, Any]]:
    return {name: generate(name, name) for name in ALGORITHMS}


KNOWN: dict[str, str] = {}
"""A good token: what is drawn changes it."""


@pytest.fixture(scope="module")
def known(private: dict[str, dict[str, Any]]) -> keys.KeySet:
    document = {"keys": [public(key) for key in private.values()]}
    KNOWN["token"] = sign(private["EdDSA"], GOOD)
    return keys.read(json.dumps(document).encode(), symmetric=True)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_verifies_its_own(
    algorithm: str, private: dict[str, dict[str, Any]], known: keys.KeySet
) -> None:
    token = sign(private[algorithm], GOOD)
    signed = verify(token, known)
    assert signed.kid == algorithm
    assert json.loads(signed.payload) == GOOD
    head, payload, signature = token.split(".")
    forged = part({**GOOD, "sub": "bob"})
    with pytest.raises(BadToken, match="signature"):
        verify(f"{head}.{forged}.{signature}", known)
    with pytest.raises(BadToken, match="signature"):
        verify(f"{head}.{payload}.", known)


@pytest.mark.threat("E5")
def test_f09_a_key_signs_with_its_own_algorithm_alone(
    private: dict[str, dict[str, Any]], known: keys.KeySet
) -> None:
    """Neither `none`, nor a public key as the secret of HS256, nor a cousin of the family."""
    payload = part(GOOD)
    for alg in ("none", "None", "HS256", "RS512", "PS256", "ES384", ""):
        head = part({"alg": alg, "kid": "RS256"})
        for secret in (b"", json.dumps(public(private["RS256"])).encode()):
            mac = hmac.digest(secret or b"x", f"{head}.{payload}".encode(), hashlib.sha256)
            with pytest.raises(BadToken, match="alg: not that of the key"):
                verify(f"{head}.{payload}.{part(mac)}", known)


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ({"alg": "EdDSA"}, "header"),
        ({"kid": "EdDSA"}, "header"),
        ({"alg": "EdDSA", "kid": 5}, "header"),
        ({"alg": "EdDSA", "kid": "EdDSA", "crit": ["exp"]}, "crit"),
        ({"alg": "EdDSA", "kid": "EdDSA", "crit": []}, "crit"),
        ({"alg": "EdDSA", "kid": "../../etc/passwd"}, "kid: not in the form"),
        ({"alg": "EdDSA", "kid": "x" * 129}, "kid: not in the form"),
        ({"alg": "EdDSA", "kid": "nobody"}, "no such key"),
        ([1], "header"),
        (b"[" * 900, "header"),
    ],
)
def test_f09_a_header_that_is_none(head: Any, why: str, known: keys.KeySet) -> None:
    with pytest.raises(BadToken, match=why):
        verify(f"{part(head)}.{part(GOOD)}.AAAA", known)


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "..", "é.b.c", "a b.c.d", "\n.\n.\n"])
def test_a_text_that_is_no_token(text: str, known: keys.KeySet) -> None:
    with pytest.raises(BadToken, match="no JWT"):
        verify(text, known)


def test_f10_a_token_has_a_size(private: dict[str, dict[str, Any]], known: keys.KeySet) -> None:
    token = sign(private["HS256"], {**GOOD, "x": "y" * 3200})
    assert len(token) > tokens.TOKEN_BYTES_MAX
    with pytest.raises(BadToken, match="limit 4000"):
        verify(token, known)


@given(st.data())
def test_f09_any_change_of_a_token_is_refused(known: keys.KeySet, data: st.DataObject) -> None:
    """Whatever comes is verified, or is a `BadToken`: no other exception, no other payload."""
    token = KNOWN["token"]
    at = data.draw(st.integers(0, len(token) - 1))
    kind = data.draw(st.sampled_from(["replace", "insert", "cut", "swap", "text"]))
    letter = data.draw(st.characters() | st.sampled_from(".=-_A0"))
    changed = {
        "replace": token[:at] + letter + token[at + 1 :],
        "insert": token[:at] + letter + token[at:],
        "cut": token[:at],
        "swap": token[at:] + token[:at],
        "text": data.draw(st.text()) + "." + data.draw(st.text()) + ".",
    }[kind]
    try:
        signed = verify(changed, known)
    except BadToken:
        return
    assert json.loads(signed.payload) == GOOD  # the last letter of base64 has bits that say nothing


def test_typ_where_it_is_asked_for(private: dict[str, dict[str, Any]], known: keys.KeySet) -> None:
    token = sign(private["EdDSA"], GOOD)
    assert verify(token, known, "jwt")
    with pytest.raises(BadToken, match="typ"):
        verify(token, known, "at+jwt")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"exp": None}, "exp"),
        ({"exp": 1e30}, "exp"),
        ({"exp": "1800000600"}, "exp"),
        ({"exp": 1800000600.0}, "exp"),
        ({"exp": -1}, "exp"),
        ({"exp": True}, "exp"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": "x" * 129}, "sub"),
        ({"sub": "a\nb"}, "sub"),
        ({"sub": 5}, "sub"),
        ({"aud": 5}, "aud"),
        ({"nbf": "now"}, "nbf"),
        ({"tg": {"grants": [{"channels": ["nothing"], "instruments": ["*"]}]}}, "no channel"),
        ({"tg": {"grants": [{"channels": ["trade"], "instruments": ["~x"]}]}}, "~"),
        ({"tg": {"grants": [{"channels": ["trade"], "instruments": ["*"], "no": 1}]}}, "no"),
        ({"tg": {"grants": [{"channels": [], "instruments": ["*"]}]}}, "channels"),
        (
            {"tg": {"grants": [{"channels": ["trade"], "instruments": ["*"], "max_hz": 0}]}},
            "max_hz",
        ),
        ({"tg": {"connections": 0}}, "connections"),
        ({"tg": {"admin": True}}, "admin"),
    ],
)
def test_f10_claims_that_are_none(change: dict[str, Any], why: str) -> None:
    said = {**GOOD, **change}
    said = {name: value for name, value in said.items() if value is not None}
    with pytest.raises(BadClaims, match=why):
        claims.decode(json.dumps(said).encode())


def test_payloads_that_are_none() -> None:
    for raw in (b"", b"[]", b"{", b'{"sub":"a","exp":1,"x":' + b"[" * 2500, b"\xff"):
        with pytest.raises(BadClaims):
            claims.decode(raw)


@pytest.mark.parametrize(
    ("change", "expected", "why"),
    [
        ({"exp": int(NOW_S)}, ANYBODY, "expired"),
        ({"exp": int(NOW_S) + 86_406}, ANYBODY, "max_ttl_s"),
        ({"nbf": int(NOW_S) + 6}, ANYBODY, "not valid yet"),
        ({}, Expected("us", "", 600), "aud"),
        ({"aud": ["them", "you"]}, Expected("us", "", 600), "aud"),
        ({"iss": "them"}, Expected("", "us", 600), "iss"),
        ({}, Expected("", "us", 600), "iss"),
    ],
)
def test_f10_claims_that_do_not_hold(change: dict[str, Any], expected: Expected, why: str) -> None:
    said = claims.decode(json.dumps({**GOOD, **change}).encode())
    with pytest.raises(BadClaims, match=why) as caught:
        claims.check(said, expected, NOW_S)
    assert caught.value.expired == ("expired" in why)


def test_claims_that_hold() -> None:
    for change in (
        {"exp": int(NOW_S) + 1},
        {"exp": int(NOW_S) + 86_405},
        {"nbf": int(NOW_S) + 5, "aud": "us", "iss": "it", "unknown": {"deep": [1]}},
        {"aud": ["them", "us"], "iss": "it"},
    ):
        said = claims.decode(json.dumps({**GOOD, **change}).encode())
        expected = Expected("us", "it", 86_400) if "aud" in change else ANYBODY
        claims.check(said, expected, NOW_S)


# --- key sets -------------------------------------------------------------------------------------


def jwks(**change: Any) -> bytes:
    key = {**public(generate("ES256", "one")), **change}
    key = {name: value for name, value in key.items() if value is not None}
    return json.dumps({"keys": [key]}).encode()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kid": None}, "kid"),
        ({"alg": None}, "alg"),
        ({"kid": "a/b"}, "kid"),
        ({"kty": "DSA"}, "kty"),
        ({"alg": "HS256"}, "alg"),
        ({"alg": "none"}, "alg"),
        ({"x": "!"}, "no key of ES256"),
        ({"x": None}, "no key of ES256"),
        ({"kty": "oct", "alg": "HS256", "k": "c2hvcnQ"}, "only from a file"),
    ],
)
def test_a_key_that_is_none_is_named(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        keys.read(jwks(**change), symmetric=False)
    assert "keys[0]" in str(caught.value)


def test_short_secrets_and_doubled_names() -> None:
    short = {"kty": "oct", "alg": "HS256", "kid": "s", "k": part(b"x" * 31)}
    with pytest.raises(ValueError, match="too short"):
        keys.read(json.dumps({"keys": [short]}).encode(), symmetric=True)
    one = public(generate("ES256", "one"))
    with pytest.raises(ValueError, match="came before"):
        keys.read(json.dumps({"keys": [one, one]}).encode(), symmetric=False)
    for raw in (b"", b"[]", b'{"keys":5}', b"[" * 5000, b" " * (keys.BYTES_MAX + 1)):
        with pytest.raises(ValueError, match=r"JWKS|key set"):
            keys.read(raw, symmetric=True)


def test_keys_for_other_things_are_passed_over() -> None:
    assert len(keys.read(jwks(use="enc"), symmetric=False)) == 0
    assert len(keys.read(jwks(key_ops=["encrypt"]), symmetric=False)) == 0
    assert len(keys.read(jwks(use="sig", key_ops=["verify"]), symmetric=False)) == 1


def test_a_private_key_verifies_with_its_public_half(private: dict[str, dict[str, Any]]) -> None:
    document = {"keys": list(private.values())}
    known = keys.read(json.dumps(document).encode(), symmetric=True)
    for key in private.values():
        assert verify(sign(key, GOOD), known)
    assert not hasattr(known.find("ES256").material, "sign")  # type: ignore[union-attr]


# --- what was verified ----------------------------------------------------------------------------


def test_a_bounded_memory_of_successes() -> None:
    table = Verified(limit=3)
    said = claims.decode(json.dumps(GOOD).encode())
    for n in range(5):
        table.add(f"t{n}", b"g", said, "k")
    assert len(table) == 3
    assert table.find("t1", b"g") is None
    assert table.find("t4", b"g") == (said, "k")
    assert table.find("t4", b"other") is None  # another key set: all is verified again
    assert len(table) == 0


def test_an_issuer_writes_what_a_gateway_reads(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path, *ALGORITHMS)
    known = keys.read((tmp_path / "jwt_keys").read_bytes(), symmetric=True)
    for n in range(4):
        assert claims.decode(verify(issuer.token(key=n), known).payload).sub == "alice"
