"""Whose entry counts: the token's own, the file's, and how the one limits the other.

The file has `[sub.NAME]`, `[tenant.NAME]`, `["*"]` for all others that are known, and `[anonymous]`
for those that are not. An entry without `grants` leaves those to the next one: of its tenant, then
of `"*"`. What a token brings (`tg`) never exceeds the file's entry, where there is one.
"""

import tomllib
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from gateway.identity.entry import ANY, EVERYTHING, NOTHING, Entry, Rule, convert

BYTES_MAX: Final = 16 << 20


class GrantsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's tables."""

    sub: dict[str, Entry] = {}
    tenant: dict[str, Entry] = {}
    others: Entry | None = msgspec.field(default=None, name="*")
    anonymous: Entry | None = None


class Granted(NamedTuple):
    """What somebody has.

    Attributes:
        lists: of rules; each has to grant.
        connections: at once; None: no limit of its own.
        subscriptions: topics of a connection; the same.
        professional, display: as exchanges ask of a user; of entries that disagree the one counts
            that costs more, and so it is where none says it.
    """

    lists: tuple[tuple[Rule, ...], ...]
    connections: int | None
    subscriptions: int | None
    tenant: str | None
    professional: bool = True
    display: bool = True


class Grants:
    """What the file says; None: there is none."""

    __slots__ = ("_file",)

    def __init__(self, file: GrantsFile | None = None) -> None:
        self._file = file or GrantsFile()

    @property
    def subs(self) -> Collection[str]:
        """Whom the file names."""
        return self._file.sub.keys()

    def names(self, sub: str) -> bool:
        """Whether it names somebody."""
        return sub in self._file.sub

    def anonymous(self) -> Granted:
        """What a client without identity has."""
        return _granted((self._file.anonymous or NOTHING,))

    def of(self, sub: str, own: Entry | None, tenant: str | None = None) -> Granted:
        """What an identity has.

        Args:
            own: what its token brings.
            tenant: whose it is, where another than its token or the file says so.
        """
        mine = self._file.sub.get(sub)
        tenant = (mine and mine.tenant) or (own and own.tenant) or tenant
        chain = [mine, self._file.tenant.get(tenant) if tenant else None, self._file.others]
        there = [one for one in chain if one is not None]
        entries = there[:1]
        if there and there[0].grants is None:
            entries += [one for one in there[1:] if one.grants is not None][:1]
        if own is not None and own.grants is not None:
            entries.insert(0, own)
        elif own is not None:
            entries.append(own)
        return _granted(entries)._replace(tenant=tenant)


def own_granted(granted: Granted, channel: str) -> bool:
    """Whether a right to what no star means, `ops` or `recordings`, is granted by each list."""
    return all(
        any(channel in rule.channels and ANY in rule.instruments for rule in each)
        for each in granted.lists
    )


def _granted(entries: "list[Entry] | tuple[Entry, ...]") -> Granted:
    """All entries together: the rules of each that has some, and the least of the limits."""
    lists = tuple(one.grants for one in entries if one.grants is not None) or ((),)
    connections = [one.connections for one in entries if one.connections is not None]
    subscriptions = [one.subscriptions for one in entries if one.subscriptions is not None]
    return (
        Granted(
            lists,
            min(connections, default=None),
            min(subscriptions, default=None),
            entries[0].tenant,
            any(one.professional for one in entries)
            or all(one.professional is None for one in entries),
            all(one.display is not False for one in entries),
        )
        if entries
        else Granted(lists, None, None, None)
    )


def read(data: bytes) -> Grants:
    """The grants of a TOML file.

    Raises:
        ValueError: what is wrong, and where.
    """
    if len(data) > BYTES_MAX:
        raise ValueError(f"a file of {len(data)} bytes, limit {BYTES_MAX}")
    try:
        document: Mapping[str, Any] = tomllib.loads(data.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return Grants(convert(document, GrantsFile))


ALL: Final = Granted((EVERYTHING.grants or (),), None, None, None)
