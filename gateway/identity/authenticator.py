"""Identities of credentials. No method blocks or reads a clock; its material is replaced whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple

from gateway.identity import claims as claims_of
from gateway.identity.api_keys import ApiKeys
from gateway.identity.attempts import Attempts
from gateway.identity.claims import BadClaims, Claims, Expected
from gateway.identity.entry import Entry
from gateway.identity.grants import Granted, Grants
from gateway.identity.keys import NONE, KeySet
from gateway.identity.revoked import Revoked
from gateway.identity.tokens import BadToken, verify
from gateway.identity.verified import Verified

Method = Literal["jwt", "api_key", "certificate", "anonymous"]

UNAVAILABLE_S: Final = 5
"""When to come back where there are no keys."""
NOT_ACCEPTED: Final = "credentials: not accepted"
"""Of a wrong key and of an unknown user alike."""


class Material(NamedTuple):
    """What identities are made by; never changed.

    Attributes:
        keys: None: there are none, since the last good ones are too old.
    """

    keys: KeySet | None = NONE
    api_keys: ApiKeys = ApiKeys()
    grants: Grants = Grants()
    revoked: Revoked = Revoked()


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who was let in.

    Attributes:
        sub: who; empty: nobody in particular.
        expires_s: until when, REALTIME; None: for ever.
        key: the `kid` that signed the token, or the API key's id.
        own: what a token brought.
    """

    sub: str
    method: Method
    expires_s: int | None = None
    key: str = ""
    jti: str | None = None
    issued_s: int | None = None
    tenant: str | None = None
    own: Entry | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a credential is none.

    Attributes:
        why: what its owner is told.
        detail: what the log says beside it; never a part of a credential.
        result: as it is counted.
        retry_s: when to come back, where that helps.
        method: how it came.
    """

    why: str
    detail: str
    result: str
    retry_s: int = 0
    method: Method = field(default="jwt", compare=False)


ANONYMOUS: Final = Identity("", "anonymous")


class Authenticator:
    """Judges credentials.

    Args:
        expected: what tokens have to say.
        typ: what their header has to; empty: nothing.
        attempts_max: failures of an address in a minute.
        material: what it goes by at first.
        unknown: told of a `kid` that there is no key of; there may be by now.
        count: told how each attempt ended.

    Attributes:
        material: what it goes by now.
    """

    def __init__(
        self,
        expected: Expected,
        typ: str,
        attempts_max: int,
        material: Material,
        *,
        unknown: Callable[[], None] = lambda: None,
        count: Callable[[str, str], None] = lambda _method, _result: None,
    ) -> None:
        self.material = material
        self._expected = expected
        self._typ = typ
        self._attempts = Attempts(attempts_max)
        self._verified = Verified()
        self._unknown = unknown
        self._count = count

    def token(self, token: str, peer: str, *, mono_ns: int, real_s: float) -> Identity | Refused:
        """Who brings this token."""
        outcome, result = self._token(token, peer, mono_ns, real_s)
        return self._noted("jwt", outcome, peer, mono_ns, result)

    def api_key(self, text: str, peer: str, *, mono_ns: int, real_s: float) -> Identity | Refused:
        """Who brings this API key."""
        outcome = self._api_key(text, peer, mono_ns, real_s)
        return self._noted("api_key", outcome, peer, mono_ns)

    def certificate(self, names: Sequence[str]) -> Identity | Refused:
        """Who a certificate is of that the transport has verified, by its alternative names."""
        name = next((name for name in names if 0 < len(name) <= 128 and name.isprintable()), None)
        if name is None:
            outcome: Identity | Refused = Refused(NOT_ACCEPTED, "no name", "invalid")
        elif self.material.revoked.has(name, None, "", None):
            outcome = Refused(NOT_ACCEPTED, "revoked", "revoked")
        else:
            outcome = Identity(name, "certificate")
        return self._noted("certificate", outcome, "", 0)

    def malformed(self, detail: str, peer: str, mono_ns: int) -> Refused:
        """Credentials in a form that is none of ours."""
        refused = Refused(NOT_ACCEPTED, detail, "invalid")
        self._noted("jwt", refused, peer, mono_ns)
        return refused

    def anonymous(self) -> Identity:
        """Who brings nothing, where that is allowed."""
        self._count("anonymous", "ok")
        return ANONYMOUS

    def missing(self) -> Refused:
        """Who brings nothing, where that is not allowed."""
        self._count("anonymous", "missing")
        return Refused("credentials: missing", "none", "missing")

    def granted(self, identity: Identity) -> Granted:
        """What an identity has now."""
        if identity.method == "anonymous":
            return self.material.grants.anonymous()
        return self.material.grants.of(identity.sub, identity.own, identity.tenant)

    def withdrawn(self, identity: Identity) -> str:
        """Why somebody who was let in would not be any more; empty: they would."""
        material = self.material
        if identity.method == "anonymous":
            return ""
        if material.revoked.has(identity.sub, identity.jti, identity.key, identity.issued_s):
            return "revoked"
        if identity.method == "api_key" and identity.key not in material.api_keys:
            return "revoked"
        return ""

    def key_gone(self, identity: Identity) -> bool:
        """Whether the key that signed the token is among those no more."""
        keys = self.material.keys
        return identity.method == "jwt" and keys is not None and identity.key not in keys

    # --- each kind of credential ------------------------------------------------------------------

    def _token(
        self, token: str, peer: str, mono_ns: int, real_s: float
    ) -> tuple[Identity | Refused, str]:
        """Who it is, and what a success counts as."""
        keys = self.material.keys
        if keys is None:
            text = "keys: none that are fresh enough; try again"
            why = "the key set is older than auth.jwks_max_age_s, or was never fetched"
            return Refused(text, why, "unavailable", UNAVAILABLE_S), ""
        known = self._verified.find(token, keys.generation)
        if known is not None:
            return self._claimed(*known, real_s), "cached"
        if wait_s := self._attempts.wait_s(peer, mono_ns):
            return _limited(wait_s), ""
        return self._new_token(token, keys, real_s), "ok"

    def _new_token(self, token: str, keys: KeySet, real_s: float) -> Identity | Refused:
        try:
            signed = verify(token, keys, self._typ)
        except BadToken as bad:
            if bad.unknown:
                self._unknown()
            return Refused(NOT_ACCEPTED, str(bad), "invalid")
        try:
            claims = claims_of.decode(signed.payload)
        except BadClaims as bad:
            return Refused(f"token: {bad}", str(bad), "invalid")
        outcome = self._claimed(claims, signed.kid, real_s)
        if isinstance(outcome, Identity):
            self._verified.add(token, keys.generation, claims, signed.kid)
        return outcome

    def _claimed(self, claims: Claims, kid: str, real_s: float) -> Identity | Refused:
        try:
            claims_of.check(claims, self._expected, real_s)
        except BadClaims as bad:
            return Refused(f"token: {bad}", str(bad), "expired" if bad.expired else "invalid")
        if self.material.revoked.has(claims.sub, claims.jti, kid, claims.iat):
            return Refused("token: revoked", "revoked", "revoked")
        return Identity(claims.sub, "jwt", claims.exp, kid, claims.jti, claims.iat, own=claims.tg)

    def _api_key(self, text: str, peer: str, mono_ns: int, real_s: float) -> Identity | Refused:
        if wait_s := self._attempts.wait_s(peer, mono_ns):
            return _limited(wait_s)
        key = self.material.api_keys.find(text)
        if key is None:
            return Refused(NOT_ACCEPTED, "no such API key", "invalid")
        if key.expires is not None and key.expires <= real_s:
            return Refused("API key: expired", "expired", "expired")
        if self.material.revoked.has(key.sub, None, key.id, key.created):
            return Refused("API key: revoked", "revoked", "revoked")
        return Identity(
            key.sub, "api_key", key.expires, key.id, None, key.created, tenant=key.tenant
        )

    def _noted(
        self,
        method: Method,
        outcome: Identity | Refused,
        peer: str,
        mono_ns: int,
        result: str = "ok",
    ) -> Identity | Refused:
        if isinstance(outcome, Identity):
            self._count(method, result)
        else:
            outcome = replace(outcome, method=method)
            self._count(method, outcome.result)
            if outcome.result in ("invalid", "expired", "revoked"):
                self._attempts.failed(peer, mono_ns)
        return outcome


def _limited(wait_s: int) -> Refused:
    text = "too many failed attempts from this address"
    return Refused(text, text, "limited", wait_s)
