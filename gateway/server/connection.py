"""One client: its bytes are read here, and written by the data plane.

States, each left for the next only:

- HANDSHAKE: the request is read; a refusal is written here, since the plane does not know it yet.
- OPEN: the plane writes; messages are read and given to the session.
- CLOSING: a close frame was handed to the plane; what the client still says is discarded.
- LINGER: a refused request; what the client still sends is discarded, so that it can read why.
- CLOSED: the descriptor is closed, once the plane has let go of it.

The first close reason wins, and every connection that got past the handshake ends with exactly one.
What bytes mean is `gateway.wire`'s, how they come the transport's, and when time is up the
deadlines'.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from websockets.http11 import Request

from gateway import log
from gateway.model.notice import NOTICES
from gateway.session.actions import (
    Action,
    Close,
    Query,
    Regrant,
    Reply,
    Review,
    Subscribe,
    Tell,
    Unsubscribe,
    Wake,
)
from gateway.wire.events import Answer, Control, End, Event, frame_close
from gateway.wire.handshake import Accepted
from gateway.wire.request import origin_form
from gateway.wire.response import Response, refusal
from gateway.wire.server_side import ServerSide

if TYPE_CHECKING:
    from gateway.dialects.dialect import Session
    from gateway.identity.authenticator import Identity
    from gateway.server.addresses import Address
    from gateway.server.owner import Owner
    from gateway.server.transport import Transport
    from gateway.session.access import Rights

DISCARDED_BYTES_MAX = 1 << 20
"""What a refused or closing client may still send before it is cut off."""
ABNORMAL = 1006
"""RFC 6455 section 7.4.1: no close frame was received."""

_SHUTDOWN = NOTICES["shutdown"].number

_log = log.get("server")


class State(IntEnum):
    HANDSHAKE = 0
    OPEN = 1
    CLOSING = 2
    LINGER = 3
    CLOSED = 4


class Connection:
    """Reads one transport; all writing is the plane's once the handshake is through."""

    __slots__ = (
        "_discarded",
        "_owner",
        "_session",
        "_wire",
        "address",
        "charged",
        "close_code",
        "close_reason",
        "deadline_ns",
        "grant",
        "handle",
        "heard_ns",
        "identity",
        "message_ns",
        "name",
        "peer",
        "pinged_ns",
        "reading",
        "state",
        "subscriptions",
        "tenant",
        "transport",
        "wake_ns",
    )

    def __init__(
        self, owner: "Owner[Connection]", transport: "Transport", peer: str, now_ns: int
    ) -> None:
        self._owner = owner
        self.transport = transport
        self.peer = peer  # where it is; behind a proxy, from its request on
        self.address: Address | None = None  # as which its peer is counted
        self.charged = 0  # bytes of memory that it holds before it is let in
        self.state = State.HANDSHAKE
        self.handle = 0
        self.grant = 0  # the plane's; 0: everything
        self.identity: Identity | None = None
        self.tenant = 0  # its place in the configuration, or UNSAID
        self.name = ""  # the connection's id
        self.close_code = 0
        self.close_reason = ""
        self.heard_ns = now_ns
        self.deadline_ns = now_ns + owner.deadlines.handshake_ns
        self.message_ns = 0  # when an unfinished message began
        self.subscriptions = 0  # as the registry has counted them
        self.pinged_ns = 0  # when the pong's deadline began to run; 0: none is awaited
        self.wake_ns = 0  # when its session wants to be woken
        self.reading = True
        self._discarded = 0
        self._session: Session | None = None
        # Until it closes or is refused.
        self._wire: ServerSide | None = ServerSide(owner.endpoint)
        try:
            transport.watch(owner.readers, self)
        except OSError:
            transport.close()
            raise

    @property
    def fd(self) -> int:
        """Its socket's descriptor."""
        return self.transport.fd

    @property
    def peer_names(self) -> Sequence[str]:
        """As its transport has them."""
        return self.transport.peer_names

    @property
    def user(self) -> str:
        """Who it is, for the audit and for operators; empty: nobody in particular, or not known."""
        return "" if self.identity is None else self.identity.sub

    @property
    def costly(self) -> bool:
        """Whether reading it may take as long as a signature."""
        return self.transport.costly

    # --- reading ---------------------------------------------------------------------------------

    def readable(self) -> None:
        """The client sent something, or is gone."""
        try:
            self._read()
        except Exception:
            self._failed()

    def _failed(self) -> None:
        _log.exception("connection.failed", peer=self.peer)
        if self.state is State.OPEN:
            self.fail(1011, "internal error")
        else:
            self._lost("internal error")

    def _read(self) -> None:
        try:
            data = self.transport.receive()
        except OSError as error:
            self._lost(error.strerror or "connection lost")
            return
        if data is not None:
            self._take(data)

    def _take(self, data: bytes) -> None:
        if not data:
            self._lost("end of stream")
            return
        self.heard_ns = self._owner.now_ns()
        if self.charged and (refused := self._owner.admission.received(self, len(data))):
            self.refuse(refused)
        elif self._wire is not None:
            self._wire.receive(data)
            self._work(self._wire)
        else:
            self._discard(len(data))

    def _discard(self, count: int) -> None:
        self._discarded += count
        if self._discarded > DISCARDED_BYTES_MAX:
            self.expire()

    def received(self, data: bytes, discarded: int) -> None:
        """The plane, which reads this client, had this of it; neither: the end of the stream."""
        self.transport.told()
        try:
            if discarded:
                self._discard(discarded)
            else:
                self._take(data)
        except Exception:
            self._failed()
        if self.reading and self.state is not State.CLOSED:
            self.transport.watch(self._owner.readers, self)

    def _pause(self) -> None:
        if self.reading:
            self.reading = False
            self.transport.unwatch(self._owner.readers)

    def _unpause(self) -> None:
        if not self.reading:
            try:
                self.transport.watch(self._owner.readers, self)
            except OSError as error:
                self._lost(error.strerror or "cannot be read")
            else:
                self.reading = True

    def resume(self) -> None:
        """The control queue has room again."""
        if self.reading or self.state is not State.OPEN:
            return
        self._unpause()
        if self._wire is None:
            return
        if not self._wire.in_message:
            self.message_ns = 0  # until now the rest of it waited for us
        try:
            self._work(self._wire)
        except Exception:
            self._failed()

    def _lost(self, why: str) -> None:
        # A half-closed socket stays readable for ever: the reader goes at once.
        self._pause()
        self._wire = None
        if self.state in (State.HANDSHAKE, State.LINGER):
            if self.state is State.HANDSHAKE:
                self._owner.registry.handshake_ended(self, "closed")
            self._finish()
        elif self.state in (State.OPEN, State.CLOSING):
            self._decide(ABNORMAL, why)
            self.state = State.CLOSING
            self._owner.remove(self)

    # --- what the client says --------------------------------------------------------------------

    def _work(self, wire: ServerSide) -> None:
        # Stops where replies fill half the control queue, as reading does: whoever sends many
        # requests at once and reads their replies is no slow consumer.
        while self.reading or not wire.waiting:
            event = wire.next_event(self.heard_ns)
            if event is None:
                break
            if type(event) is str:
                self._message(event)
            else:
                self._tell(event, wire)
            if self._wire is None:
                return
        # What a client holds open has a deadline, from when we could have read the rest of it.
        if not wire.unfinished:
            self.message_ns = 0
        elif not self.message_ns:
            self.message_ns = self._owner.now_ns()
            self._owner.deadlines.watch_message(self)

    def _tell(self, event: Event, wire: ServerSide) -> None:
        if isinstance(event, Control):
            if not wire.in_message:
                self.message_ns = 0  # what was begun is finished
            self.pinged_ns = 0
            self._owner.count("control_frames")
        elif isinstance(event, Answer):
            self._queued(self._owner.plane.write(self.handle, event.frame))
        elif isinstance(event, End):
            self._decide(event.code, event.reason)
            self._begin_close(event.frame)
        elif isinstance(event, Request):
            self._answer(event, wire)
        else:
            assert isinstance(event, Response)
            self.refuse(event)

    def _answer(self, request: Request, wire: ServerSide) -> None:
        owner = self._owner
        endpoint, admission = owner.endpoint, owner.admission
        other = (
            admission.located(self, request.headers)
            or endpoint.check(request)
            or endpoint.page(request)
            or admission.request(self)
            or owner.credentials(self, request)
        )
        answer = wire.answer(other)
        if isinstance(answer, Response):
            if answer.result == "origin":
                owner.origin_refused(request.headers["Origin"], self.peer)
            self.refuse(answer)
        else:
            self._open(answer, origin_form(request.path)[1])

    def refuse(self, response: Response) -> None:
        """Answers and closes, without a WebSocket; the only bytes that are written here."""
        owner = self._owner
        why = response.text if response.status >= HTTPStatus.BAD_REQUEST else ""
        owner.registry.handshake_ended(self, response.result, why)
        self.state = State.LINGER
        self._wire = None
        self.deadline_ns = owner.now_ns() + owner.deadlines.close_ns
        owner.deadlines.watch(self)
        stays = owner.admission.linger()
        try:
            self.transport.answer(response.data())
        except OSError:
            stays = False
        if not stays:
            self._finish()

    def _open(self, accepted: Accepted, target: str) -> None:
        owner = self._owner
        hello: Reply | None = None
        try:
            self._session, actions, form = owner.new_session(self, accepted, target)
            match actions:
                case [Reply() as hello, *actions]:
                    pass  # it leaves with the 101
            first = accepted.response
            self.handle = self.transport.hand_over(
                owner.plane, first, hello, form, self.grant, max(self.tenant, 0)
            )
        except OverflowError:
            if self._session is not None:
                self._session.end()
                self._session = None
            self.refuse(owner.admission.full(self))
            return
        self.state = State.OPEN
        owner.opened(self, accepted.door)
        self._act(actions)

    def _message(self, text: str) -> None:
        assert self._session is not None
        self.message_ns = 0
        real_ns = self._owner.real_ns()
        self._act(self._session.receive(text, mono_ns=self.heard_ns, real_ns=real_ns))

    def wake(self) -> None:
        """The time has come that the session has asked for."""
        assert self._session is not None
        try:
            self._act(self._session.wake(self._owner.now_ns()))
        except Exception:
            self._failed()

    def _act(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if self.state is State.OPEN:
                self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        plane, handle = self._owner.plane, self.handle
        if isinstance(action, Close):
            self.fail(action.code, action.reason)
        elif isinstance(action, Query):
            plane.query(handle, action.token)
        elif isinstance(action, Tell):
            self._queued(plane.notice(handle, action.notice, action.numbers))
        elif isinstance(action, Wake):
            self.wake_ns = action.at_ns
            self._owner.deadlines.watch_session(self)
        elif isinstance(action, Subscribe):
            self._count_subscriptions()
            self._owner.asked(self, action.items)
            payload = action.payload or None
            self._queued(plane.subscribe(handle, payload, action.slots, action.items))
        elif isinstance(action, Regrant):
            payload, self.grant = action.payload or None, action.grant
            self._queued(plane.regrant(handle, action.grant, payload, action.slots))
        elif isinstance(action, Review):
            self._owner.reviews.add(self)
        elif isinstance(action, Unsubscribe):
            self._count_subscriptions()
            payload = action.payload or None
            self._queued(plane.unsubscribe(handle, payload, action.slots, action.ids))
        else:
            assert isinstance(action, Reply)
            self._queued(plane.send(handle, action.payload, action.slots))

    def _count_subscriptions(self) -> None:
        assert self._session is not None
        self._owner.registry.subscribed(self, self._session.subscriptions)

    def answer_stats(self, token: int, rows: Any) -> None:
        """The plane's answer to a query of this session's."""
        if self.state is State.OPEN and self._session is not None:
            self._act((self._session.stats(token, rows),))

    def forbidden(self, identity: int) -> None:
        """The plane refused a name that is not granted to this client."""
        if self.state is State.OPEN and self._session is not None:
            self._act(self._session.forbidden(identity))

    def regrant(self, rights: "Rights") -> None:
        """It has other rights from now on."""
        if self.state is State.OPEN and self._session is not None:
            self._act(self._session.regranted(rights))

    def review(self) -> None:
        """One step more of what its rights make of its subscriptions."""
        if self.state is State.OPEN and self._session is not None:
            try:
                self._act(self._session.review())
            except Exception:
                self._failed()

    def move(self, tenant: int) -> None:
        """It is another tenant's from now on."""
        if self.state is State.OPEN and tenant != self.tenant:
            self._owner.registry.moved(self, tenant)
            self._owner.plane.move(self.handle, max(tenant, 0))

    def _queued(self, outcome: int) -> None:
        if outcome == 1:
            self._pause()
        elif outcome < 0:
            self.fail(4008, "slow consumer: replies do not fit the control queue; read them")

    # --- closing ---------------------------------------------------------------------------------

    def fail(self, code: int, reason: str) -> None:
        """Closes with this code; the first reason given is the one that counts."""
        if self.state is not State.OPEN:
            return
        self._decide(code, reason)
        self._begin_close(frame_close(code, reason))

    def shutdown(self, reconnect_after_ms: int) -> None:
        if self.state is State.OPEN:
            self._owner.plane.notice(self.handle, _SHUTDOWN, (reconnect_after_ms,))
            self.fail(1012, "service restart")

    def ping(self) -> None:
        self.pinged_ns = self._owner.now_ns()
        self._owner.plane.write(self.handle, b"\x89\x00")

    def _decide(self, code: int, reason: str) -> None:
        if not self.close_code:
            self.close_code, self.close_reason = code, reason

    def _begin_close(self, frame: bytes) -> None:
        self.state = State.CLOSING
        self._wire = None
        self.deadline_ns = self._owner.now_ns() + self._owner.deadlines.close_ns
        self._owner.closing(self)
        self._owner.plane.close(self.handle, frame)
        # Reading goes on, to see the end of the stream; what comes is discarded.
        self._unpause()

    def gone(self, error: str) -> None:
        """The plane could not write any more."""
        if self.state in (State.OPEN, State.CLOSING):
            self._lost(error)

    def expire(self) -> None:
        """The deadline of the state has passed."""
        if self.state is State.HANDSHAKE:
            self.refuse(refusal(408, "timeout", "the request took too long"))
        elif self.state is State.LINGER:
            self._finish()
        elif self.state is State.CLOSING:
            self._owner.count("close_timeouts")
            self._pause()
            # Whatever the kernel still holds for a client that does not read is dropped with it.
            self.transport.abort()
            self._owner.remove(self)

    def _finish(self) -> None:
        """Closes a socket that the plane never had."""
        self._pause()
        self._owner.deadlines.forget(self)
        if self.state is State.LINGER:
            self._owner.admission.lingered()
        self.state = State.CLOSED
        self.transport.close()
        if self._session is not None:  # there was no memory to hand it over
            self._session.end()

    def removed(self) -> None:
        """The plane has let go: the descriptor may be used again."""
        if self.state is State.CLOSED:
            return
        self._pause()
        self.state = State.CLOSED
        self.transport.close()
        if self._session is not None:
            self._session.end()
