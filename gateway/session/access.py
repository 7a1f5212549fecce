"""Whether a client has said who it is, until when that counts, and what it may have. Sans-IO.

States; where nobody has to say who they are, a session has none of this.

    waiting --auth--> admitted --auth--> admitted     another credential of the same identity
    waiting --deadline--> Close(4505)
    admitted --60 s before its end--> auth_expiring --its end--> Close(4001)
    any --a credential that is none--> Close(4500)

While it waits, a client gets answers to `auth` and `ping`, and messages are short.
"""

from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from gateway.model.notice import NOTICES
from gateway.model.record import Channel
from gateway.session import codes
from gateway.session.actions import Action, Close, Reply, Tell
from gateway.session.delivery import Limits

MESSAGE_BYTES_MAX: Final = 6 << 10
"""Of what waits: a token has at most 4,000."""
EXPIRING_NS: Final = 60_000_000_000
"""How long before its end a client is told; of what is short, for half of it."""
_EXPIRING: Final = NOTICES["auth_expiring"].number
WITHDRAWN_MAX: Final = 200
"""Names that one message tells; how many more there are it says."""


class Rights(Protocol):
    """What a client may have; asked before what there is.

    Attributes:
        right: for the catalog, which counts and lists with it.
        number: of the data plane's grant.
        topics_max: of the connection; None: no limit of its own.
    """

    number: int
    topics_max: int | None

    @property
    def right(self) -> Any: ...
    def of_name(self, channel: Channel, name: str) -> Limits | None:
        """The limits of a name; None: it is not granted."""

    def of_pattern(self, channel: Channel, pattern: str) -> Limits | None:
        """The limits of a pattern; None: it covers nothing that is granted."""


def is_long(text: str) -> bool:
    """Whether it is longer than what somebody may say who has not said who they are."""
    if len(text) > MESSAGE_BYTES_MAX:
        return True
    return not text.isascii() and len(text.encode(errors="replace")) > MESSAGE_BYTES_MAX


class Admitted(Struct, frozen=True):
    """A credential counts, until REALTIME `expires_ns`; 0: for ever."""

    rights: Rights
    expires_ns: int = 0


class Rejected(Struct, frozen=True):
    """A credential does not count: the answer's error, and the close; code 0: it may try again."""

    error: codes.Error
    code: int = codes.INVALID_TOKEN


class Door(Protocol):
    """Where credentials of one client are judged."""

    def authenticate(self, token: str, *, mono_ns: int, real_ns: int) -> Admitted | Rejected: ...
    def end(self) -> None: ...


class Access:
    """Of one client.

    Args:
        door: judges what comes in a message.
        rights: what it may have; of one that waits, nothing.
        deadline_ns: MONOTONIC: until when it may wait; 0: it is admitted.
    """

    __slots__ = ("_deadline_ns", "_door", "_ends_ns", "_expires_ns", "_tell_ns", "rights")

    def __init__(self, door: Door, rights: Rights, *, deadline_ns: int = 0) -> None:
        self._door = door
        self._deadline_ns = deadline_ns
        self._ends_ns = self._expires_ns = 0  # MONOTONIC, REALTIME
        self._tell_ns = 0  # MONOTONIC; 0: it was told
        self.rights = rights

    @property
    def waiting(self) -> bool:
        """Whether it still has to say who it is."""
        return self._deadline_ns > 0

    def admit(self, admitted: Admitted, *, mono_ns: int, real_ns: int) -> None:
        """It has said who it is."""
        self._deadline_ns = 0
        self.rights = admitted.rights
        self._expires_ns = admitted.expires_ns
        left_ns = admitted.expires_ns - real_ns
        self._ends_ns = mono_ns + left_ns if admitted.expires_ns else 0
        self._tell_ns = max(1, self._ends_ns - min(EXPIRING_NS, left_ns // 2))

    def authenticate(self, token: str, *, mono_ns: int, real_ns: int) -> Admitted | Rejected:
        """Judges a token, and admits its bearer where it counts."""
        outcome = self._door.authenticate(token, mono_ns=mono_ns, real_ns=real_ns)
        if isinstance(outcome, Admitted):
            self.admit(outcome, mono_ns=mono_ns, real_ns=real_ns)
        return outcome

    def end(self) -> None:
        """The client is gone."""
        self._door.end()

    @property
    def due_ns(self) -> int:
        """When to wake it next; 0: never."""
        if self._deadline_ns:
            return self._deadline_ns
        return self._tell_ns or self._ends_ns if self._ends_ns else 0

    def wake(self, mono_ns: int) -> list[Action]:
        """What the time brings."""
        if self._deadline_ns:
            if mono_ns < self._deadline_ns:
                return []
            return [Close(codes.AUTH_TIMEOUT, "auth: nobody said who this is in time")]
        if not self._ends_ns:
            return []
        if mono_ns >= self._ends_ns:
            return [Close(codes.TOKEN_EXPIRED, "token expired")]
        if not self._tell_ns or mono_ns < self._tell_ns:
            return []
        self._tell_ns = 0
        return [Tell(_EXPIRING, (self._expires_ns,))]


def system(kind: str, data: list[dict[str, Any]]) -> Reply:
    """A message of the channel `system`."""
    return Reply(msgspec.json.encode({"channel": "system", "type": kind, "data": data}))


def withdrawn(names: list[dict[str, Any]], more: int) -> Reply:
    """These names, and so many more, are not granted any more, and no subscriptions any more."""
    return system("forbidden", [*names, *([{"more": more}] if more else [])])
