"""What operators ask of a worker's connections, and what it answers."""

from typing import Literal

import msgspec

from gateway.model.status import Number


class ConnectionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A client, as an operator sees it.

    Attributes:
        id: its name, as it was told.
        address: where it is.
        user: who it is; empty where that is not known.
        subscriptions: names and patterns.
        pending_bytes: what the kernel holds for it; None: the kernel does not say.
        lag_ms: for how long its socket has taken nothing of what waits for it.
    """

    id: str
    address: str
    user: str
    subscriptions: Number
    pending_bytes: Number | None
    lag_ms: float


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """Supervisor to worker: look at connections; those that an id or a user names, or all.

    Attributes:
        token: comes back with the answers.
        call: list them, or close them.
        id, user: whose; empty: whoever's.
        limit: rows at most.
    """

    token: int
    call: Literal["list", "kick"]
    id: str = ""
    user: str = ""
    limit: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """Worker to supervisor: part of an answer, of which the last one is marked.

    Attributes:
        token: of the Ask.
        rows: some of those listed.
        count: of those that are meant, as far as was looked: listed or not, or closed.
        last: nothing more comes.
    """

    token: int
    rows: tuple[ConnectionRow, ...] = ()
    count: int = 0
    last: bool = True
