"""Who is entitled to which product, for the audit: what exchanges ask for, month by month.

A product is a venue that this gateway has. Whom the files name (a `sub` of the grants, the bearer
of an API key) is entitled while they say so, whether they come or not: the supervisor tells the
audit of those. Of all others it is known when they come with a token: their worker tells of that.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple, Protocol

from gateway.identity.authenticator import Identity, Material
from gateway.identity.grants import Granted
from gateway.identity.rights import may_share
from gateway.model.record import CHANNELS_OPS, CHANNELS_OWN

USERS_MAX: Final = 50_000
"""Who are remembered; who is forgotten is told again."""
LISTS_MAX: Final = 4096
"""Lists of rules whose products are kept."""
_NO_DATA: Final = frozenset({"recordings", *CHANNELS_OWN, *CHANNELS_OPS})
"""What a gateway says of itself is nobody's product."""


class Terms(NamedTuple):
    """How somebody is entitled to a product, until when (REALTIME ns; 0: without an end)."""

    professional: bool
    display: bool
    delayed: bool
    until_ns: int


class Ledger(Protocol):
    """What is used of an audit."""

    def grant(
        self,
        change: str,
        user: str,
        product: str,
        *,
        professional: bool,
        display: bool,
        delayed: bool,
        since_ns: int,
        until_ns: int = 0,
    ) -> None: ...


class Entitlements:
    """Tells an audit what has changed, and that alone.

    Args:
        audit: told.
        venues: by name, whether what is there is late.
    """

    def __init__(
        self, audit: Ledger, venues: Mapping[str, bool], real_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._audit = audit
        self._venues = venues
        self._real_ns = real_ns
        self._told: dict[str, dict[str, Terms]] = {}
        self._products: dict[object, frozenset[str]] = {}

    @property
    def users(self) -> list[str]:
        """Those who are entitled to something, as far as the audit was told."""
        return list(self._told)

    def terms(self, granted: Granted, until_ns: int = 0) -> dict[str, Terms]:
        """The products of what somebody is granted."""
        key = granted.lists
        if key not in self._products:
            if len(self._products) >= LISTS_MAX:
                self._products.clear()
            self._products[key] = frozenset(filter(lambda one: _has(granted, one), self._venues))
        named = (granted.professional, granted.display)
        products = sorted(self._products[key])
        return {one: Terms(*named, self._venues[one], until_ns) for one in products}

    def bearer(self, identity: Identity, granted: Granted, material: Material) -> dict[str, Terms]:
        """What somebody has who came, beyond what the files say of them."""
        if not identity.sub:
            return {}
        terms = self.terms(granted, (identity.expires_s or 0) * 1_000_000_000)
        if material.grants.names(identity.sub) or material.api_keys.of(identity.sub):
            tenant = identity.tenant
            for product in self.terms(material.grants.of(identity.sub, None, tenant)):
                terms.pop(product, None)
        return terms

    def change(self, user: str, before: Mapping[str, Terms], now: Mapping[str, Terms]) -> int:
        """What one of a user's credentials gave, and what it gives; how many lines that is."""
        told = self._told.pop(user, {})
        lines = 0
        for product in before.keys() - now.keys():
            if (terms := told.pop(product, None)) is not None:
                self._grant("withdrawn", user, product, terms)
                lines += 1
        for product, terms in now.items():
            known = told.get(product)
            if known is not None and terms._replace(until_ns=0) == known._replace(until_ns=0):
                ends = (known.until_ns, terms.until_ns)
                terms = terms._replace(until_ns=0 if 0 in ends else max(ends))
            if known != terms:
                self._grant("given" if known is None else "changed", user, product, terms)
                told[product] = terms
                lines += 1
        if told:
            self._told[user] = told
            while len(self._told) > USERS_MAX:
                del self._told[next(iter(self._told))]
        return lines

    def put(self, user: str, now: Mapping[str, Terms]) -> int:
        """All that a user has; how many lines that is."""
        told = self._told.get(user, {})
        sooner = {one: terms for one, terms in now.items() if told.get(one, terms) != terms}
        for product, terms in sooner.items():  # its end may be sooner now, too
            self._grant("changed", user, product, terms)
        told |= sooner
        return len(sooner) + self.change(user, dict(told), now)

    def _grant(self, change: str, user: str, product: str, terms: Terms) -> None:
        named = terms._asdict()
        self._audit.grant(change, user, product, since_ns=self._real_ns(), **named)


def standing(
    entitlements: Entitlements, material: Material
) -> Iterator[tuple[str, dict[str, Terms]]]:
    """Whom the files name, and what each has."""
    ends: dict[str, int] = dict.fromkeys(material.grants.subs, 0)
    tenants: dict[str, str | None] = {}
    for key in material.api_keys:
        if material.revoked.has(key.sub, None, key.id, key.created):
            continue
        end = (key.expires or 0) * 1_000_000_000
        known = ends.get(key.sub, end)
        ends[key.sub] = 0 if 0 in (known, end) else max(known, end)
        tenants[key.sub] = key.tenant
    for user, until_ns in ends.items():
        granted = material.grants.of(user, None, tenants.get(user))
        yield user, entitlements.terms(granted, until_ns)


def _has(granted: Granted, venue: str) -> bool:
    """Whether each of the lists grants something of it."""
    pattern = f"*.{venue}"
    return all(
        any(
            not _NO_DATA.issuperset(rule.channels)
            and any(may_share(text, pattern) for text in rule.instruments)
            for rule in each
        )
        for each in granted.lists
    )
