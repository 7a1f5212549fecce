"""API keys: `tg_<id>_<192 random bits>`, kept as HMAC-SHA-256 under a pepper.

They are generated, never chosen: at 192 bits a slow hash would protect nothing, and at a storm of
5,000 clients a second it could not be paid. The pepper is in a file of its own: who gets the list
alone cannot even try. An unknown id is compared with a dummy, so that it takes as long as a wrong
secret, and is answered alike.
"""

import hmac
import re
import secrets
from collections.abc import Iterable, Iterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta

BYTES_MAX: Final = 16 << 20
SECRET_BYTES: Final = 24
PEPPER_BYTES: Final = 32
_FORM: Final = re.compile(r"tg_([a-z0-9]{1,32})_([A-Za-z0-9_-]{32})")
_ID_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
_DUMMY: Final = bytes(32)


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One, as the file has it.

    Attributes:
        hash: of the secret, in hexadecimal.
        created: seconds since 1970; with `sub` revoked before a later time, the key is.
        expires: the same; None: never.
    """

    id: Annotated[str, Meta(pattern="^[a-z0-9]{1,32}$")]
    hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    sub: Annotated[str, Meta(min_length=1, max_length=128)]
    created: Annotated[int, Meta(ge=0, le=1 << 40)]
    expires: Annotated[int, Meta(ge=0, le=1 << 40)] | None = None
    tenant: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    label: Annotated[str, Meta(max_length=128)] = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: tuple[ApiKey, ...] = ()


class ApiKeys:
    """Those of a file."""

    __slots__ = ("_keys", "_pepper", "_subs")

    def __init__(self, keys: Iterable[ApiKey] = (), pepper: bytes = b"") -> None:
        self._keys = {key.id: key for key in keys}
        self._subs = {key.sub for key in self._keys.values()}
        self._pepper = pepper

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._keys

    def __iter__(self) -> Iterator[ApiKey]:
        return iter(self._keys.values())

    def of(self, sub: str) -> bool:
        """Whether somebody has one."""
        return sub in self._subs

    def find(self, text: str) -> ApiKey | None:
        """The key that the text is; None where it is none, for whatever reason."""
        form = _FORM.fullmatch(text)
        key_id, secret = ("", "") if form is None else form.groups()
        key = self._keys.get(key_id)
        known = _DUMMY if key is None else bytes.fromhex(key.hash)
        same = hmac.compare_digest(digest(secret, self._pepper), known)
        return key if same else None


def digest(secret: str, pepper: bytes) -> bytes:
    """What is kept of a secret."""
    return hmac.digest(pepper, secret.encode(), "sha256")


def make(
    pepper: bytes,
    sub: str,
    *,
    created: int,
    expires: int | None = None,
    tenant: str | None = None,
    label: str = "",
) -> tuple[str, ApiKey]:
    """A new key: the text, which is told once and kept nowhere, and what is kept."""
    key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(10))
    secret = secrets.token_urlsafe(SECRET_BYTES)
    kept = ApiKey(
        id=key_id,
        hash=digest(secret, pepper).hex(),
        sub=sub,
        created=created,
        expires=expires,
        tenant=tenant,
        label=label,
    )
    return f"tg_{key_id}_{secret}", kept


def read(data: bytes, pepper: bytes) -> ApiKeys:
    """The keys of a file.

    Raises:
        ValueError: why it is none.
    """
    return ApiKeys(decode(data), pepper)


def decode(data: bytes) -> tuple[ApiKey, ...]:
    """The same without a pepper, for who changes the file."""
    if len(data) > BYTES_MAX:
        raise ValueError(f"a file of {len(data)} bytes, limit {BYTES_MAX}")
    try:
        keys = msgspec.json.decode(data, type=_File).keys
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no list of API keys: {error}") from None
    if len({key.id for key in keys}) < len(keys):
        raise ValueError("two API keys have one id")
    return keys


def encode(keys: Iterable[ApiKey]) -> bytes:
    """The file of these keys."""
    return msgspec.json.format(msgspec.json.encode({"keys": list(keys)})) + b"\n"
