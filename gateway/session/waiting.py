"""Names that clients wait for: subscribed to, with no topic yet.

The data plane keeps them in a table of fixed size, a place for each name, however many clients wait
for it. No client may wait for more than a quarter of what is free: one alone gets a fifth of the
table, and the next one finds room behind forty greedy ones. The plane would refuse by the same
rule, but could tell only by a message for each name after a reply that said success, and so many
that an honest client's control queue ran over. So the loop, from which all subscriptions come,
keeps the same account: a count for each name here, and the plane's gauge for what only the plane
knows (names that a new epoch has not got yet, and those that it has still to let go of).

A name that has come stays in the account until somebody needs its place: then names are looked up
again, a bounded number for each request.
"""

from collections.abc import Callable, Iterable
from typing import Final

from gateway.session.catalog import Catalog

Name = tuple[str, str]
"""(channel, instrument)."""

SHARE: Final = 4
"""Of the places that are free one client may have this part, as NAMES_SHARE of the plane says."""
SIFT_MAX: Final = 2048
"""Names looked up again for one request: less than a millisecond."""


class _Sieve:
    """How many of the names to look up again: none twice for one state of the directory."""

    __slots__ = ("_at", "_left")

    def __init__(self) -> None:
        self._at = ("", 0)
        self._left = 0

    def due(self, catalog: Catalog, count: int) -> int:
        now = (catalog.epoch, len(catalog))
        if now != self._at:
            self._at, self._left = now, count
        step = min(self._left, count, SIFT_MAX)
        self._left -= step
        return step


class WaitingNames:
    """The account of a worker.

    Args:
        limit: places in the plane's table.
        in_plane: how many are taken there now.
    """

    __slots__ = ("_in_plane", "_names", "_sieve", "limit")

    def __init__(self, limit: int, in_plane: Callable[[], int]) -> None:
        self.limit = limit
        self._in_plane = in_plane
        self._names: dict[Name, int] = {}  # how many clients wait for it
        self._sieve = _Sieve()

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: Name) -> bool:
        return name in self._names

    @property
    def free(self) -> int:
        """Places for more names."""
        return max(0, self.limit - max(self._in_plane(), len(self._names)))

    def add(self, name: Name) -> None:
        """One more client waits for it."""
        self._names[name] = self._names.get(name, 0) + 1

    def remove(self, name: Name) -> None:
        """One client less does."""
        left = self._names.get(name, 0) - 1
        if left > 0:
            self._names[name] = left
        else:
            self._names.pop(name, None)

    def sift(self, catalog: Catalog) -> None:
        """Forgets some of those that have come."""
        for _ in range(self._sieve.due(catalog, len(self._names))):
            name = next(iter(self._names))
            count = self._names.pop(name)
            if not catalog.find(*name):
                self._names[name] = count  # the last one to be looked at again


class OwnNames:
    """What one client waits for; all of it is in the worker's account."""

    __slots__ = ("_names", "_sieve", "_worker")

    def __init__(self, worker: WaitingNames) -> None:
        self._worker = worker
        self._names: dict[Name, None] | None = None  # most clients never wait for any
        self._sieve = _Sieve()

    def __len__(self) -> int:
        return len(self._names) if self._names else 0

    def add(self, names: Iterable[Name]) -> None:
        """Waits for these too."""
        for name in names:
            if self._names is None:
                self._names = {}
            if name not in self._names:
                self._names[name] = None
                self._worker.add(name)

    def remove(self, name: Name) -> None:
        """No longer waits for it, if it did."""
        if self._names and name in self._names:
            del self._names[name]
            self._worker.remove(name)

    def clear(self) -> None:
        """Waits for nothing any more."""
        for name in self._names or ():
            self._worker.remove(name)
        self._names = None

    def sift(self, catalog: Catalog) -> None:
        """Forgets some of those that have come."""
        names = self._names or {}
        for _ in range(self._sieve.due(catalog, len(names))):
            name = next(iter(names))
            del names[name]
            if catalog.find(*name):
                self._worker.remove(name)
            else:
                names[name] = None


class Wish:
    """The names of one request, each judged knowing the ones before."""

    __slots__ = ("_catalog", "_own", "_sifted", "_taken", "_worker", "names")

    def __init__(self, worker: WaitingNames, own: OwnNames, catalog: Catalog) -> None:
        self._worker = worker
        self._own = own
        self._catalog = catalog
        self._sifted = False
        self._taken = 0  # places of the table
        self.names: dict[Name, None] = {}

    def take(self, name: Name) -> str | None:
        """Waits for the name, or says why it can't be waited for."""
        shared = name in self._worker
        if not shared and not self._fits() and not (self._sift() and self._fits()):
            used, free = self._counts()
            limit = self._worker.limit
            return f"names without a topic: {used} wait here, {free} of {limit} are free"
        self.names[name] = None
        self._taken += not shared
        return None

    def give_back(self, name: Name) -> None:
        """The request does not get the name, for another reason."""
        if name in self.names:
            del self.names[name]
            self._taken -= name not in self._worker

    def _counts(self) -> tuple[int, int]:
        return len(self._own) + len(self.names), max(0, self._worker.free - self._taken)

    def _fits(self) -> bool:
        used, free = self._counts()
        return used < -(-free // SHARE)

    def _sift(self) -> bool:
        if self._sifted:
            return False
        self._sifted = True
        self._worker.sift(self._catalog)
        self._own.sift(self._catalog)
        return True
