"""What the ops listener shows: given by `app.py`, read and never changed, but by a reload."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from gateway.model.status import Status, Vitals

if TYPE_CHECKING:
    from websockets.http11 import Request

    from gateway.config import Config
    from gateway.latency.statistics import Statistics
    from gateway.latency.window import Samples
    from gateway.ops.connection import Connection
    from gateway.wire.response import Response


class Page(Protocol):
    """A process's statistics page; `_native.StatsPage` is one."""

    def get(self, name: str, index: int = 0) -> int: ...
    def read(self) -> dict[str, tuple[int, ...]]: ...


class ChildStatistics(Protocol):
    """A child process as the supervisor sees it."""

    @property
    def role(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def tripped(self) -> bool: ...
    @property
    def restarts(self) -> Mapping[str, int]: ...
    @property
    def last_reason(self) -> str: ...
    @property
    def status(self) -> Status: ...


class Supervision(Protocol):
    """The supervisor's frozen snapshot."""

    @property
    def draining(self) -> bool: ...
    @property
    def epoch(self) -> str: ...
    @property
    def children(self) -> Sequence[ChildStatistics]: ...
    @property
    def problems(self) -> Sequence[str]: ...


class Stream(Protocol):
    """A WebSocket of the ops listener beside the protocol's."""

    def refuse(self, request: "Request") -> "Response | None":
        """Why it is refused, before the upgrade."""

    async def serve(self, connection: "Connection") -> None:
        """Until it returns, or the connection is gone."""


Permit = Callable[["Request", str, str], "Response | Callable[[], str] | None"]


@dataclass
class Subject:
    """The gateway as ops sees it.

    Attributes:
        version: of the gateway.
        config: the whole configuration in force.
        channels: index of each channel in arrays of the pages.
        pages: statistics page of each process, by its name; the supervisor's own among them.
        read: everything that the pages hold, now.
        sample: of that, what the objectives are judged by.
        supervision: a snapshot of the supervisor, now.
        tell: sends a worker, by its name, a text for the clients that follow this status channel;
            it may be lost.
        client_url: where clients connect.
        vitals: of the supervisor itself, as its children send theirs.
        streams: further WebSockets, by path.
        recorder: the flight recorder as it is now, for people.
        permit: whether who asks, from an address, has a right: why not; or what says why a session
            has to end by now, if anything; None: nobody is asked who they are.
    """

    version: str
    config: "Config"
    channels: Mapping[str, int]
    pages: Mapping[str, Page]
    read: Callable[[], "Mapping[str, Statistics]"]
    sample: Callable[[], "Samples"]
    supervision: Callable[[], Supervision]
    tell: Callable[[str, str, str], object]
    client_url: str
    vitals: Callable[[], Vitals] = Vitals
    streams: Mapping[str, Stream] = field(default_factory=dict)
    recorder: Callable[[], Mapping[str, Any]] = dict
    permit: Permit = lambda _request, _peer, _right: None

    def followers(self, channel: str) -> list[str]:
        """Workers with clients that follow this status channel."""
        children = self.supervision().children
        return [child.name for child in children if child.status.subscribers(channel)]
