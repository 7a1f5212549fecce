"""Keys that an operator signs with: which algorithm each is for, and what is no key."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519

from gateway.identity import keys
from gateway.identity.issue import choose, from_pem, public, sign
from gateway.identity.tokens import verify


def pem(private: Any) -> bytes:
    data: bytes = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return data


@pytest.mark.parametrize(
    ("private", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (ec.generate_private_key(ec.SECP521R1()), "ES512"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
)
def test_a_key_in_pem_signs_by_the_algorithm_that_it_is_for(private: Any, algorithm: str) -> None:
    jwk = from_pem(pem(private), "", "mine")
    assert jwk["alg"] == algorithm
    found = keys.read(json.dumps({"keys": [public(jwk)]}).encode(), symmetric=False)
    assert json.loads(verify(sign(jwk, {"sub": "a"}), found).payload) == {"sub": "a"}
    with pytest.raises(ValueError, match=f"this key signs with {algorithm}"):
        from_pem(pem(private), "HS256", "mine")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (pem(ec.generate_private_key(ec.SECP256K1())), "no algorithm is for its curve"),
        (pem(ec.generate_private_key(ec.BrainpoolP256R1())), "no algorithm is for its curve"),
        (pem(ed448.Ed448PrivateKey.generate()), "or Ed25519 is expected"),
        (pem(dsa.generate_private_key(1024)), "or Ed25519 is expected"),
        (b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "no private key in PEM"),
    ],
)
def test_what_signs_nothing_is_refused_in_words(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        from_pem(data, "", "mine")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"keys": 1.5}', "0 keys fit"),
        (b'{"keys": null}', "0 keys fit"),
        (b"[]", "0 keys fit"),
    ],
)
def test_what_is_no_set_of_keys_is_refused_in_words(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        choose(data, "")


@pytest.mark.parametrize("alg", ["HS999", "ES256", "none", "", "HS256"])
def test_a_key_that_signs_nothing_is_not_told(alg: str) -> None:
    """The library quotes the key as a whole."""
    secret = "c2VjcmV0IHRoYXQgbm9ib2R5IGlzIHRvIHJlYWQuA"  # no length of base64
    with pytest.raises(ValueError, match="the key signs nothing") as caught:
        sign({"kty": "oct", "k": secret, "alg": alg, "kid": "mac"}, {"sub": "a"})
    assert secret not in str(caught.value)


def test_a_key_that_no_gateway_takes_signs_nothing() -> None:
    short = {"kty": "oct", "k": "c2hvcnQ", "alg": "HS256", "kid": "mac"}
    with pytest.raises(ValueError, match="too short for HS256"):
        sign(short, {"sub": "a"})
    with pytest.raises(ValueError, match="too short for HS256"):
        keys.read(json.dumps({"keys": [short]}).encode(), symmetric=True)
