"""Keys and tokens made here: for tests, for operators without an issuer of their own."""

import errno
import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gateway.identity.keys import ALGORITHMS

GENERATED: Final = ("ES256", "EdDSA", "RS256", "HS256")
RSA_BITS: Final = 2048
HMAC_BYTES: Final = 32
_BY_CURVE: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
"""Each of them signs with one curve alone (RFC 7518 section 3.4)."""


def generate(algorithm: str, kid: str) -> dict[str, Any]:
    """A new private key as a JWK; one of HS256 is its own public half."""
    import jwt.algorithms as library
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    head = {"kid": kid, "alg": algorithm, "use": "sig"}
    if algorithm == "HS256":
        raw = library.HMACAlgorithm.to_jwk(secrets.token_bytes(HMAC_BYTES), as_dict=True)
        return {**raw, "key_ops": ["sign", "verify"], **head}
    private: Any
    if algorithm == "ES256":
        private = ec.generate_private_key(ec.SECP256R1())
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        private = rsa.generate_private_key(65537, RSA_BITS)
    return {**_jwk(private), **head}


def from_pem(data: bytes, algorithm: str, kid: str) -> dict[str, Any]:
    """A private key in PEM, as `openssl genpkey` writes it, as a JWK.

    Raises:
        ValueError: it is none.
    """
    import jwt
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"no private key in PEM without a passphrase: {error}") from None
    try:
        jwk = _jwk(private)
        allowed = (_BY_CURVE[jwk["crv"]],) if jwk["kty"] == "EC" else ALGORITHMS[jwk["kty"]]
    except (jwt.PyJWTError, KeyError):
        why = f"no algorithm is for its curve; there are {', '.join(_BY_CURVE)}"
        raise ValueError(why) from None
    if algorithm and algorithm not in allowed:
        raise ValueError(f"this key signs with {', '.join(allowed)}")
    return {**jwk, "kid": kid, "alg": algorithm or allowed[0], "use": "sig"}


def _jwk(private: Any) -> dict[str, Any]:
    import jwt.algorithms as library
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    kinds: Sequence[tuple[type, Any]] = (
        (ec.EllipticCurvePrivateKey, library.ECAlgorithm),
        (ed25519.Ed25519PrivateKey, library.OKPAlgorithm),
        (rsa.RSAPrivateKey, library.RSAAlgorithm),
    )
    for kind, algorithm in kinds:
        if isinstance(private, kind):
            found: dict[str, Any] = algorithm.to_jwk(private, as_dict=True)
            found.pop("key_ops", None)
            return found
    raise ValueError("a key of RSA, of an elliptic curve or Ed25519 is expected")


def public(jwk: dict[str, Any]) -> dict[str, Any]:
    """What verifies; the secret of HS256 does both."""
    if jwk["kty"] == "oct":
        return jwk
    secret = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "key_ops"}
    return {name: value for name, value in jwk.items() if name not in secret}


def sign(jwk: dict[str, Any], claims: dict[str, Any]) -> str:
    """A token.

    Raises:
        ValueError: the key signs nothing.
    """
    import jwt

    if jwk["alg"] not in ALGORITHMS.get(jwk["kty"], ()):
        raise ValueError("the key signs nothing: its alg is none for its kty")
    try:
        key = jwt.PyJWK(jwk, algorithm=jwk["alg"])
        short = key.Algorithm.check_key_length(key.Algorithm.prepare_key(key.key))
        head = {"kid": jwk["kid"]}
        token = "" if short else jwt.encode(claims, key.key, algorithm=jwk["alg"], headers=head)
    except (jwt.PyJWTError, TypeError, KeyError, ValueError, AttributeError) as error:
        # The library's text may quote the key.
        why = f"it is no private one of its alg ({type(error).__name__})"
        raise ValueError(f"the key signs nothing: {why}") from None
    if short:  # no gateway would take it either
        raise ValueError(f"the key signs nothing: it is too short for {jwk['alg']}")
    return token


def choose(data: bytes, kid: str) -> dict[str, Any]:
    """The key of a JWK or a JWKS; of several the one that `kid` names.

    Raises:
        ValueError: there is none, or several.
    """
    try:
        document = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    keys = document.get("keys", [document]) if isinstance(document, dict) else []
    listed = keys if isinstance(keys, list) else []
    found = [one for one in listed if isinstance(one, dict) and (not kid or one.get("kid") == kid)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} keys fit; expected one (--kid)")
    missing = [name for name in ("kty", "kid", "alg") if not isinstance(found[0].get(name), str)]
    if missing:
        raise ValueError(f"the key lacks {', '.join(missing)}")
    return found[0]


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Writes a file so that who reads it has all of it or what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def append(path: Path, line: bytes) -> None:
    """Adds a whole line, also behind one that was cut short.

    Raises:
        OSError: the disk did not take it, and the file is as it was.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # nobody else's line is taken back
        size = os.fstat(fd).st_size
        cut = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        whole = b"\n" * cut + line
        try:
            if os.write(fd, whole) < len(whole):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, size)
            raise
    finally:
        os.close(fd)
