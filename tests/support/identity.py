"""An issuer for tests: keys, tokens, and the files that a gateway judges by."""

import json
import time
from pathlib import Path
from typing import Any

from gateway.identity.api_keys import encode, make
from gateway.identity.issue import append, generate, public, sign, write_whole
from gateway.identity.revoked import Revocation
from gateway.identity.revoked import encode as line

PEPPER = b"0123456789abcdef0123456789abcdef"
ALL = {"grants": [{"channels": ["*"], "instruments": ["*"]}]}


def tg(*rules: dict[str, Any], **limits: Any) -> dict[str, Any]:
    """A claim `tg`, or an entry of the grants file."""
    return {"grants": list(rules), **limits}


def rule(channels: str, instruments: str, **limits: Any) -> dict[str, Any]:
    """One of its rules, from words."""
    return {"channels": channels.split(), "instruments": instruments.split(), **limits}


class Issuer:
    """Signs tokens, and keeps the files of one gateway in a directory."""

    def __init__(self, directory: Path, *algorithms: str) -> None:
        self.directory = directory
        names = algorithms or ("EdDSA",)
        self.keys = [generate(name, f"{name}-{n}") for n, name in enumerate(names)]
        self.api_keys: list[Any] = []
        self.write("jwt_keys", self.jwks())

    def path(self, name: str) -> Path:
        return self.directory / name

    def jwks(self) -> bytes:
        return json.dumps({"keys": [public(key) for key in self.keys]}).encode()

    def write_keys(self, keys: list[dict[str, Any]]) -> None:
        """What verifies from now on; `keys` sign."""
        self.write("jwt_keys", json.dumps({"keys": [public(key) for key in keys]}).encode())

    def write(self, name: str, data: bytes | str) -> None:
        write_whole(self.path(name), data if isinstance(data, bytes) else data.encode())

    def token(self, sub: str = "alice", *, key: int = 0, ttl_s: float = 3600, **more: Any) -> str:
        """A token; of `more`, what is None is left out."""
        claims = {"sub": sub, "exp": int(time.time() + ttl_s), "tg": ALL, **more}
        claims = {name: value for name, value in claims.items() if value is not None}
        return sign(self.keys[key], claims)

    def api_key(self, sub: str, **more: Any) -> str:
        """A new one, in the file at once."""
        text, kept = make(PEPPER, sub, created=int(time.time()), **more)
        self.api_keys.append(kept)
        self.write("api_keys.pepper", PEPPER)
        self.write("api_keys", encode(self.api_keys))
        return text

    def revoke(self, **what: Any) -> None:
        """Appends a line."""
        append(self.path("revoked"), line(Revocation(**what)))

    def sets(self, *names: str, mode: str = "required", **more: str) -> list[str]:
        """Settings of a gateway that judges by these files."""
        found = [f"auth.mode={mode}"]
        found += [f"auth.{name}={self.path(name)}" for name in ("jwt_keys", "revoked", *names)]
        return found + [f"auth.{name}={value}" for name, value in more.items()]
