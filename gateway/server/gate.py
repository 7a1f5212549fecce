"""Who may come in, and what each may have: joins `gateway.identity` with one worker's clients.

A request brings credentials, or a client's first message does. Equal rights are one object and one
grant of the data plane, however many clients have them. When files change, new requests go by what
they say from then on, and clients that are there are walked, some in each iteration of the loop:
who is revoked is closed, who has other rights is given those (the plane swaps the grant before it
purges what that takes away).
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from websockets.http11 import Request

from gateway import log
from gateway._native import GRANTS_MAX
from gateway.identity.authenticator import ANONYMOUS, Identity, Material, Refused
from gateway.identity.credentials import judged, refusal
from gateway.identity.entitled import Entitlements, Terms
from gateway.identity.grants import Granted
from gateway.identity.keeper import Keeper
from gateway.identity.rights import Rights, rights
from gateway.identity.seats import SLOTS, Seats
from gateway.model.encoding import Encoding
from gateway.model.outcomes import ADMISSION, AUTHS
from gateway.server.tenants import UNSAID, Tenants
from gateway.session import codes
from gateway.session.access import Access, Admitted, Rejected
from gateway.session.codes import Error

if TYPE_CHECKING:
    from gateway._native import Plane, StatsPage
    from gateway.audit.audit import Audit
    from gateway.options import AuthOptions
    from gateway.wire.response import Response

WALK_NS: Final = 200_000
"""What one iteration of the loop gives to clients whose rights may have changed."""
NO_SEAT: Final = "connections: some identities are counted by each worker alone"
NO_GRANT: Final = "rights: too many different ones are in use"

_log = log.get("server")


class Client(Protocol):
    """What is used of a connection."""

    identity: Identity | None
    name: str
    peer: str
    tenant: int

    @property
    def user(self) -> str: ...
    @property
    def peer_names(self) -> Sequence[str]: ...
    def fail(self, code: int, reason: str) -> None: ...
    def regrant(self, rights: Rights) -> None: ...
    def move(self, tenant: int) -> None: ...


class Door:
    """One client's: judges what it brings in messages."""

    __slots__ = ("_gate", "client", "counted", "encoding", "rights", "terms")

    def __init__(self, gate: "Gate", client: Client, encoding: Encoding, rights: Rights) -> None:
        self._gate = gate
        self.client = client
        self.encoding = encoding
        self.rights = rights
        self.counted = ""  # as whose connection
        self.terms: dict[str, Terms] = {}  # what the audit was told of its identity

    def authenticate(self, token: str, *, mono_ns: int, real_ns: int) -> Admitted | Rejected:
        """As the session asks."""
        return self._gate.message(self, token, mono_ns=mono_ns, real_ns=real_ns)

    def end(self) -> None:
        """The client is gone."""
        self._gate.left(self)


class Gate:
    """Of one worker.

    Args:
        options: with another mode than `none`.
        soon: calls in the loop's next iteration; may be asked on any thread.
        now_ns, real_ns: MONOTONIC and REALTIME.
        tenants: whose the clients are.
        audit: told of each judgement, and who is entitled to what.
        venues: by name, whether what is there is late.
        seats: counts identities' connections.

    Raises:
        ValueError: a file is not what it should be.
    """

    def __init__(
        self,
        options: "AuthOptions",
        plane: "Plane",
        stats: "StatsPage",
        soon: Callable[..., object],
        now_ns: Callable[[], int],
        real_ns: Callable[[], int],
        tenants: Tenants,
        audit: "Audit",
        venues: Mapping[str, bool],
        seats: Seats,
    ) -> None:
        self._audit = audit
        self._entitlements = Entitlements(audit, venues, real_ns)
        self._options = options
        self._plane = plane
        self._stats = stats
        self._soon = soon
        self._now_ns = now_ns
        self._real_ns = real_ns
        self._tenants = tenants
        self._keeper = Keeper(options, self._given, lambda: now_ns() / 1e9)
        self._authenticator = self._keeper.authenticator(self._count)
        self._rights: dict[tuple[Granted, Encoding], Rights] = {}
        self._doors: dict[Door, None] = {}
        self._seats = seats
        self._told_full = False
        self._walk: deque[Door] = deque()
        self._newest: Door | None = None

    def start(self) -> None:
        """Files and keys are kept fresh from now on."""
        self._keeper.start()

    def stop(self) -> None:
        """No longer."""
        self._keeper.stop()

    def read_again(self) -> None:
        """Files that have changed count at once."""
        self._keeper.look_soon()

    # --- requests ---------------------------------------------------------------------------------

    def request(self, client: Client, request: Request) -> "Response | None":
        """Sets the client's identity by what its request brings; None where it may come in."""
        outcome = judged(
            self._authenticator,
            request.headers,
            client.peer,
            client.peer_names,
            mono_ns=self._now_ns(),
            real_s=self._real_ns() / 1e9,
        )
        if outcome is None and self._options.mode == "required" and not self._options.in_band:
            outcome = self._authenticator.missing()
        if isinstance(outcome, Refused):
            self._tell(client, outcome)
            return refusal(outcome)
        client.identity = outcome
        return None

    def tenant(self, client: Client) -> int:
        """Whose a client is that may come in, by what its request brought."""
        identity = client.identity
        if identity is None and self._options.mode == "required":
            return UNSAID
        return self._tenants.place(self._authenticator.granted(identity or ANONYMOUS).tenant)

    def _tell(self, client: Client, refused: Refused) -> None:
        if refused.result != "missing":
            self._audit.auth(client, refused.method, refused.result)
        why = {"result": refused.result, "why": refused.detail}
        _log.info("auth.refused", peer=client.peer, **why)

    # --- sessions ---------------------------------------------------------------------------------

    def open(self, client: Client, encoding: Encoding) -> "tuple[Access, Rights, Error | None]":
        """What a client that comes in begins with; an error: it has to go.

        Raises:
            OverflowError: the plane has no room for its rights.
        """
        options, identity = self._options, client.identity
        waits = identity is None and options.mode == "required"
        if waits:
            mine = self._interned(Granted(((),), None, None, None), encoding)
            deadline_ns = self._now_ns() + int(options.deadline_s * 1e9)
            door = Door(self, client, encoding, mine)
            access = Access(door, mine, deadline_ns=deadline_ns)
            self._newest = None
            self._doors[door] = None
            return access, mine, None
        if identity is None:
            identity = client.identity = self._authenticator.anonymous()
        granted = self._authenticator.granted(identity)
        mine = self._interned(granted, encoding)
        self._newest = door = Door(self, client, encoding, mine)
        access = Access(door, mine)
        now = {"mono_ns": self._now_ns(), "real_ns": self._real_ns()}
        access.admit(Admitted(mine, (identity.expires_s or 0) * 1_000_000_000), **now)
        error = self._enter(door, granted, identity)
        return access, mine, error

    def message(self, door: Door, token: str, *, mono_ns: int, real_ns: int) -> Admitted | Rejected:
        """What a token is worth that came in a message."""
        client = door.client
        before = client.identity
        known = before is not None and before.method != "anonymous"
        if not known and not self._options.in_band:
            text = "auth.in_band is false: credentials come with the request"
            return Rejected(Error(codes.UNAUTHORIZED, text), 0)
        real_s = real_ns / 1e9
        outcome = self._authenticator.token(token, client.peer, mono_ns=mono_ns, real_s=real_s)
        if isinstance(outcome, Refused):
            self._tell(client, outcome)
            return _rejected(outcome)
        if known and before is not None and outcome.sub != before.sub:
            self._audit.auth(client, outcome.method, "other")
            return Rejected(Error(codes.UNAUTHORIZED, "token: of another sub than before"))
        granted = self._authenticator.granted(outcome)
        try:
            mine = self._interned(granted, door.encoding)
        except OverflowError as full:
            return Rejected(Error(codes.CAPACITY, str(full)), 0)
        tenant = self._tenants.place(granted.tenant)
        if tenant != client.tenant and (limit := self._tenants.full(tenant)):
            self._stats.add("admission_refused", ADMISSION.index("tenant"))
            return Rejected(Error(codes.LIMIT_EXCEEDED, limit), codes.CONNECTION_LIMIT)
        if not known:
            self.left(door)
            client.identity = outcome
            if (error := self._enter(door, granted, outcome)) is not None:
                return Rejected(error, codes.CONNECTION_LIMIT)
        client.identity = outcome
        client.move(tenant)
        self._audit.auth(client, outcome.method, "ok")
        self._entitle(door, outcome, granted)
        door.rights = mine
        return Admitted(mine, (outcome.expires_s or 0) * 1_000_000_000)

    def entered(self, client: Client) -> None:
        """The audit knows the client from now on."""
        door, identity, self._newest = self._newest, client.identity, None
        if door is None or door.client is not client:
            return
        if identity is None or identity.method == "anonymous":
            return
        self._audit.auth(client, identity.method, "ok")
        self._entitle(door, identity, self._authenticator.granted(identity))

    def _entitle(self, door: Door, identity: Identity, granted: Granted) -> None:
        if self._audit.on:
            terms = self._entitlements.bearer(identity, granted, self._authenticator.material)
            self._entitlements.change(identity.sub, door.terms, terms)
            door.terms = terms

    def _disentitle(self, door: Door, identity: Identity) -> None:
        self._entitlements.change(identity.sub, door.terms, {})
        door.terms = {}

    def _enter(self, door: Door, granted: Granted, identity: Identity) -> Error | None:
        """Counts a client among those of its `sub`; an error where these are too many now."""
        self._doors[door] = None
        if not identity.sub:
            return None
        count, limit = self._seats.take(identity.sub), granted.connections
        if limit is None or count <= limit:
            door.counted = identity.sub
            if self._seats.full():
                self._tell_full()
            return None
        self._seats.give(identity.sub)
        self._stats.add("admission_refused", ADMISSION.index("identity"))
        return Error(codes.LIMIT_EXCEEDED, f"connections: {limit} of this identity are open")

    def left(self, door: Door) -> None:
        """A client is gone, or somebody else now."""
        self._doors.pop(door, None)
        if door.counted:
            self._seats.give(door.counted)
            door.counted = ""

    def _tell_full(self) -> None:
        if not self._told_full:
            self._told_full = True
            _log.error("auth.seats_full", limit=SLOTS, why=NO_SEAT)

    # --- rights -----------------------------------------------------------------------------------

    def _interned(self, granted: Granted, encoding: Encoding) -> Rights:
        """Those of all who are granted the same.

        Raises:
            OverflowError: the plane has no room for more of them.
        """
        same = granted._replace(connections=None, tenant=None, professional=True, display=True)
        key = (same, encoding)  # without what makes no difference to a client's rights
        found = self._rights.pop(key, None)
        if found is None:
            found = rights(granted, encoding)
            found.number = self._number(found)
        self._rights[key] = found  # the last one that was asked for
        return found

    def _number(self, mine: Rights) -> int:
        """Loads the plane's grant: a number that was never used, or of whom nobody has any more."""
        topics_max = mine.topics_max or 0
        number = len(self._rights) + 1
        if number < GRANTS_MAX:
            self._plane.grant(number, mine.rules, topics_max)
            return number
        for key, old in self._rights.items():
            try:
                self._plane.grant(old.number, mine.rules, topics_max)
            except ValueError:  # somebody has it
                continue
            del self._rights[key]
            return old.number
        _log.error("auth.no_grant", limit=GRANTS_MAX - 1, why=NO_GRANT)
        raise OverflowError(NO_GRANT)

    # --- changes ----------------------------------------------------------------------------------

    def _given(self, material: Material) -> None:
        """On a thread of the keeper's."""
        with suppress(RuntimeError):  # the loop is over
            self._soon(self.renew, material)

    def renew(self, material: Material) -> None:
        """Goes by other material from now on, for those that are there as well."""
        self._authenticator.material = material
        walking = bool(self._walk)
        self._walk = deque(self._doors)
        if self._walk and not walking:
            self._walk_some()

    def _walk_some(self) -> None:
        until_ns = self._now_ns() + WALK_NS
        while self._walk:
            self._review(self._walk.popleft())
            if self._now_ns() >= until_ns:
                break
        if self._walk:
            self._soon(self._walk_some)

    def _review(self, door: Door) -> None:
        client, identity = door.client, door.client.identity
        if door not in self._doors or identity is None:
            return
        if why := self._authenticator.withdrawn(identity):
            self._disentitle(door, identity)
            client.fail(codes.NOT_GRANTED, f"forbidden: {why}")
        elif self._authenticator.key_gone(identity):
            self._disentitle(door, identity)
            client.fail(codes.INVALID_TOKEN, "invalid token: its key is gone")
        else:
            self._regrant(door, identity)

    def _regrant(self, door: Door, identity: Identity) -> None:
        granted = self._authenticator.granted(identity)
        self._entitle(door, identity, granted)
        try:
            mine = self._interned(granted, door.encoding)
        except OverflowError as full:
            door.client.fail(codes.NOT_GRANTED, f"forbidden: {full}")
            return
        door.client.move(self._tenants.place(granted.tenant))  # those who are there stay
        if mine is not door.rights:
            door.rights = mine
            door.client.regrant(mine)

    def _count(self, method: str, result: str) -> None:
        self._stats.add("auth", AUTHS.index((method, result)))


def _rejected(refused: Refused) -> Rejected:
    if refused.retry_s:
        error = Error(codes.RATE_LIMITED_ERROR, refused.why, refused.retry_s * 1000)
        return Rejected(error, codes.RATE_LIMITED)
    return Rejected(Error(codes.UNAUTHORIZED, refused.why))
