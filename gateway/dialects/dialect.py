"""A dialect as a value: where it is spoken, what a client may say, and how records become bytes.

Behind every dialect are the same topics, limits, slow-client rules and books. What differs is here:

- the paths, and at each the formats to choose from; a format has the templates, which spell symbols
  (`<symbol:bare_lower>`) and tell notices, or leave them out and are silent;
- the session, sans-IO, which is told what a client says, and answers with actions. What it says
  first, a hello or nothing, it says when it is opened.

So another dialect is a room of its own beside `tickgate.py`, and one value more among those that a
worker is given (`WorkerParts.dialects`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from gateway.codec.formats import Format
from gateway.model.encoding import Encoding
from gateway.session.access import Access, Rights
from gateway.session.actions import Action, Reply, StatsRow
from gateway.session.catalog import Catalog
from gateway.session.options import Shared
from gateway.wire.response import Response

Formats = Mapping[str | None, Format]
"""By subprotocol; None is for clients that offer none. Others than these are refused."""


class Session(Protocol):
    """One client's conversation. No method blocks or reads a clock; no text makes it raise."""

    @property
    def subscriptions(self) -> int:
        """How many there are: of names and of patterns."""

    def receive(self, text: str, *, mono_ns: int, real_ns: int) -> Sequence[Action]:
        """What a message asks for, to be carried out in order."""

    def stats(self, token: int, rows: Sequence[StatsRow]) -> Reply:
        """What it says to the rows of a `Query` of its own."""

    def forbidden(self, identity: int) -> Sequence[Action]:
        """It has no right to the name that it subscribed to under this id."""

    def regranted(self, rights: Rights) -> Sequence[Action]:
        """It has other rights from now on."""

    def review(self) -> Sequence[Action]:
        """A step of what that makes of its subscriptions, as its `Review` has asked."""

    def wake(self, mono_ns: int) -> Sequence[Action]:
        """The time of its last `Wake` has come."""

    def end(self) -> None:
        """The client is gone."""


class Arrival(NamedTuple):
    """A client that has come in.

    Attributes:
        connection_id: given once, by all processes of all hosts together.
        target: path and query, as the request has them; the path begins with a slash.
        mono_ns, real_ns: the time, MONOTONIC and REALTIME.
        access: who the client is and what it may have; None: everybody may have everything.
        room: how many more subscriptions its tenant may have; None: as many as it wants.
    """

    connection_id: str
    target: str
    mono_ns: int
    real_ns: int
    access: Access | None = None
    room: Callable[[], int | None] = lambda: None


Open = Callable[[Arrival, Catalog, Shared], tuple[Session, Sequence[Action]]]
"""Makes a session; its first actions. A reply that is the first of them leaves with the 101."""


@dataclass(frozen=True)
class Dialect:
    """One of them.

    Attributes:
        paths: the formats at each path; one that ends with `/*` stands for all below it.
        open: makes the session of a client.
        pages: answers to requests for no WebSocket, by path.
    """

    paths: Mapping[str, Formats]
    open: Open
    pages: Mapping[str, Callable[[], Response]] = field(default_factory=dict)


class Doors:
    """All paths of some dialects, and all their formats.

    Attributes:
        formats: each once, in the order of the dialects; a client's is a number, its place here.
        subprotocols: those that are known at each path.
        pages: those of all of them.
    """

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        doors = [(path, one) for one in dialects for path in one.paths]
        self._dialects = dict(doors)
        assert len(self._dialects) == len(doors), "two dialects at one path"
        named = {form.name: form for path, one in doors for form in one.paths[path].values()}
        self.formats = tuple(named.values())
        self._numbers = {name: index for index, name in enumerate(named)}
        self.pages = {path: page for one in dialects for path, page in one.pages.items()}
        self.subprotocols = {
            path: tuple(name for name in one.paths[path] if name is not None) for path, one in doors
        }

    def open(
        self, path: str, arrival: Arrival, catalog: Catalog, shared: Shared
    ) -> tuple[Session, Sequence[Action]]:
        """The session of a client that came to this path, and its first actions."""
        return self._dialects[path].open(arrival, catalog, shared)

    def encoding(self, form: int) -> Encoding:
        """How records come in a format."""
        return "sbe" if self.formats[form].name == "sbe" else "json"

    def format(self, path: str, subprotocol: str | None) -> int:
        """The number of the format that a client has chosen."""
        return self._numbers[self._dialects[path].paths[path][subprotocol].name]
