"""Accepts clients, drains them, has what they share. One per worker.

Who is let in is the admission's, who is there the registry's, when time is up the deadlines'.
"""

import asyncio
import errno
import itertools
import random
import resource
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

from gateway import host, log
from gateway.dialects.dialect import Arrival
from gateway.errors import ConfigurationError
from gateway.model.outcomes import ACCEPT_ERRORS, ADMISSION, TLS_HANDSHAKES
from gateway.model.record import CHANNELS_OWN
from gateway.model.status import WorkerReport
from gateway.server.admission import Admission
from gateway.server.connection import Connection
from gateway.server.control import Control
from gateway.server.deadlines import SWEEP_INTERVAL_S, Deadlines
from gateway.server.plane import controlled
from gateway.server.preface import Preface
from gateway.server.readers import Readers
from gateway.server.registry import Registry
from gateway.server.reviews import Reviews
from gateway.server.secure import Door, Secure, reload
from gateway.server.tenants import Tenants
from gateway.server.transport import Plain, peer_of, prepare
from gateway.session.actions import Close
from gateway.session.capacity import Capacity, Load
from gateway.session.codes import CONNECTION_LIMIT
from gateway.session.options import REJECTIONS, Options, Shared
from gateway.wire.server_side import Endpoint

if TYPE_CHECKING:
    from websockets.http11 import Request

    from gateway._native import Plane
    from gateway.config import Config
    from gateway.dialects.dialect import Doors, Session
    from gateway.options import AuthOptions, TlsOptions
    from gateway.server.catalog import Catalog
    from gateway.server.gate import Gate
    from gateway.server.parts import WorkerParts
    from gateway.server.transport import Transport
    from gateway.session.access import Access
    from gateway.session.actions import Action, Item
    from gateway.session.codes import Error
    from gateway.wire.handshake import Accepted
    from gateway.wire.response import Response

ACCEPTS_PER_TURN = 64
"""Connections taken before the loop looks at clients that are there already."""
ACCEPT_PAUSE_S = 0.1
"""Without descriptors the listener rests: the next accept would fail as well."""
RESERVED_DESCRIPTORS = 64
"""For the process itself, when max_connections is not configured."""
CONNECTIONS_MAX = 1_000_000
"""As in the configuration: what the plane keeps for a slot is taken when it is used."""
_NAME_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
RECONNECT_AFTER_MS = 500
"""The soonest that a client of a worker that ends is wanted back: the next one has started."""
RECONNECT_SPREAD_MS = (2500, 60_000)
"""Over how long clients are spread at least (there is no hurry), and at most (they miss ticks)."""
RECONNECTS_PER_S = 500
"""Of more clients the spread is longer: a worker takes these back beside its work."""

VERSION = version("tickgate")

_log = log.get("server")


class Listener:
    """The clients of one worker."""

    def __init__(
        self, parts: "WorkerParts", doors: "Doors", plane: "Plane", catalog: "Catalog"
    ) -> None:
        self.plane = plane
        self.limits = parts.config.limits
        self.loop = asyncio.get_running_loop()
        self.endpoint = Endpoint(
            doors.subprotocols, parts.config.listen.origins, self.limits, doors.pages
        )
        self.readers = Readers()
        self.reviews = Reviews(self.loop.call_soon)
        self.now_ns = time.monotonic_ns
        self.real_ns = time.time_ns
        self.accepting = True
        self._parts = parts
        self._doors = doors
        self._catalog = catalog
        self._audit = parts.audit
        self._proxy_protocol = parts.config.listen.proxy_protocol
        self._stats = parts.stats
        self._sockets = [one for one in (parts.listen_socket, parts.unix_socket) if one]
        slo = parts.config.slo
        target_ns = slo.target_us * 1000
        capacity = Capacity(self._load, target_ns=target_ns, enforce=slo.enforce)
        self._shared = Shared(session_options(parts.config), capacity, self._names_waiting)
        # The page is older than this process where a worker was restarted: its counters go on.
        before = parts.stats.read()
        self._requests_before = before["requests"]
        self._rejections_before = before["subscribe_rejected"]
        # An id is given once, by all processes of all hosts together.
        self._names = f"c-{''.join(random.SystemRandom().choices(_NAME_LETTERS, k=7))}"
        self._numbers = itertools.count(1)
        soon = self.loop.call_soon
        self._tenants = Tenants(parts.config.tenants)
        self.admission = Admission(
            parts.config,
            parts.stats,
            capacity,
            max_connections(self.limits.max_connections),
            lambda: len(self.registry),
            self.now_ns,
        )
        self.registry = Registry(parts.stats, soon, self.admission, parts.audit, self._tenants)
        clients = self.registry.clients
        self.deadlines = Deadlines(self.limits, clients, plane, self.now_ns, soon)
        self._control = Control(
            f"worker-{parts.index}", plane, clients, parts.stalled, self.show_status
        )
        self._refused_origins = log.RefusedOrigins(_log)
        auth = parts.config.auth
        self._gate = None if auth.mode == "none" else self._make_gate(auth)
        self._door = self._make_door(parts.config.tls)
        for one in self._sockets:
            prepare(one, self.limits.stall_max_s)

    def _make_gate(self, auth: "AuthOptions") -> "Gate":
        from gateway.identity.seats import Seats
        from gateway.server.gate import Gate  # a library for signatures, where there are any

        soon = self.loop.call_soon_threadsafe
        try:
            return Gate(
                auth,
                self.plane,
                self._stats,
                soon,
                self.now_ns,
                self.real_ns,
                self._tenants,
                self._audit,
                self._parts.config.late,
                Seats(self._parts.seats_fd, self._parts.index, self._parts.config.cluster.workers),
            )
        except ValueError as error:  # it was good when the supervisor looked
            raise ConfigurationError(f"the configuration has an error\n  {error}") from None

    def _make_door(self, options: "TlsOptions") -> Door | None:
        if not options.cert:
            return None

        def count(result: str) -> None:
            self._stats.add("tls_handshakes", TLS_HANDSHAKES.index(result))

        most, memory = self.limits.tls_handshakes, self.admission.memory
        return Door(options, "listen", self._parts.tickets_fd, most, memory, count)

    def reconfigure(self, config: "Config") -> None:
        """Takes over what may change while clients stay (`gateway.reload.RELOADED`)."""
        self.limits = config.limits
        self.endpoint.reconfigure(config.listen.origins, self.limits)
        self.admission.reconfigure(config)
        self._audit.reconfigure(config.audit)
        self.deadlines.reconfigure(self.limits)
        self._shared.reconfigure(session_options(config))
        self._shared.capacity.reconfigure(config.slo.target_us * 1000)
        self.plane.objective(**controlled(config.slo))
        reload(self._door, config.tls, self.limits.tls_handshakes)
        if self._gate is not None:
            self._gate.read_again()

    def start(self) -> None:
        """Accepts from now on."""
        for one in self._sockets:
            self.loop.add_reader(one.fileno(), self._accept, one)
        self.loop.add_reader(self.plane.events_fd, self.registry.events, self.plane, self._control)
        self.readers.start(self.loop)
        self.loop.call_later(SWEEP_INTERVAL_S, self._sweep)
        if self._gate is not None:
            self._gate.start()

    # --- accepting -------------------------------------------------------------------------------

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, address = listening.accept()
                self._arrived(sock, peer_of(sock, address))
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:
                self._accept_failed(error, listening)
                return
        if not self.accepting:
            self.accepting = True
            _log.info("accept.resumed", connections=len(self.registry))

    def _accept_failed(self, error: OSError, listening: socket.socket) -> None:
        name = errno.errorcode.get(error.errno or 0, "other")
        known = name if name in ACCEPT_ERRORS else "other"
        self._stats.add("accept_errors", ACCEPT_ERRORS.index(known))
        if self.accepting:
            self.accepting = False
            _log.error("accept.failed", error=name, connections=len(self.registry))
        self.loop.remove_reader(listening.fileno())
        self.loop.call_later(ACCEPT_PAUSE_S, self._accept_again, listening)

    def _accept_again(self, listening: socket.socket) -> None:
        # Accepting tells at once whether there are descriptors again, even where nobody waits.
        if not self.admission.draining:
            self.loop.add_reader(listening.fileno(), self._accept, listening)
            self._accept(listening)

    def _arrived(self, sock: socket.socket, peer: str) -> None:
        """Lets a client begin its handshake, or refuses it at once.

        Raises:
            OSError: the host has no room for it; the socket is closed.
        """
        if not self._proxy_protocol or sock.family == socket.AF_UNIX:  # none of a proxy's
            self.begin(sock, peer)
        elif self.admission.preface(peer):
            timeout_s = self.limits.handshake_timeout_s
            Preface(self, sock, peer, timeout_s, self.admission.preface_ended)
        else:
            sock.close()
            self.preface_failed(peer, "proxy", "")

    def preface_failed(self, peer: str, result: str, why: str) -> None:
        """A connection ended before it was said whose it is."""
        self.registry.never_began(result)
        if why:
            self.admission.refused("proxy", peer)
            _log.debug("preface.refused", peer=peer, result=result, why=why)

    def begin(self, sock: socket.socket, peer: str) -> None:
        """Begins the handshake of a client, whose address is known or will come with its request.

        Raises:
            OSError: as of `_arrived`.
        """
        door = None if sock.family == socket.AF_UNIX else self._door  # nobody is in between
        transport: Transport = Plain(sock)
        if door is not None:
            transport = Secure(sock, door, self.admission.counted_as(peer))
        connection = Connection(self, transport, peer, self.now_ns())
        self.registry.accepted()
        self.deadlines.watch(connection)
        if refused := self.admission.accepted(connection):
            connection.refuse(refused)

    def credentials(self, connection: Connection, request: "Request") -> "Response | None":
        """Why a client may not come in, by what its request brings."""
        if self._gate is not None:
            if refused := self._gate.request(connection, request):
                return refused
            connection.tenant = self._gate.tenant(connection)
        return self.admission.of_tenant(connection, self._tenants.full(connection.tenant))

    def _load(self) -> Load:
        return Load(**{name: self._stats.get(name) for name in Load.__struct_fields__})

    def _names_waiting(self) -> int:
        return int(self._stats.get("topics_waiting"))

    # --- what connections report -----------------------------------------------------------------

    def count(self, name: str) -> None:
        self._stats.add(name)

    def origin_refused(self, origin: str, peer: str) -> None:
        """Lets the operator see it: the page's own console has no words for a failed upgrade."""
        self._refused_origins.note(origin, peer)

    def new_session(
        self, connection: Connection, accepted: "Accepted", target: str
    ) -> "tuple[Session, Sequence[Action], int]":
        """A session of the dialect behind this door, its first actions, its format."""
        connection.name = f"{self._names}-{next(self._numbers)}"
        form = self._doors.format(accepted.door, accepted.subprotocol)
        access: Access | None = None
        error: Error | None = None
        if self._gate is not None:
            access, rights, error = self._gate.open(connection, self._doors.encoding(form))
            connection.grant = rights.number

        def room() -> int | None:
            return self._tenants.room(connection.tenant)

        arrival = Arrival(connection.name, target, self.now_ns(), self.real_ns(), access, room)
        session, actions = self._doors.open(accepted.door, arrival, self._catalog, self._shared)
        if error is not None:
            actions = [*actions, Close(CONNECTION_LIMIT, error.message)]
        return session, actions, form

    def opened(self, connection: Connection, path: str) -> None:
        """It is through its handshake."""
        self.registry.opened(connection)
        self._audit.connect(connection, path)
        if self._gate is not None:
            self._gate.entered(connection)
        self.deadlines.forget(connection)

    def asked(self, connection: Connection, items: "Sequence[Item]") -> None:
        """It subscribes; what it is subscribed to already and asks for otherwise is no news."""
        if self._audit.on and (new := [(item[1], item[2]) for item in items if item[5]]):
            self._audit.subscribe(connection, new)

    def report(self, channel: str, text: str) -> None:
        """What the gateway says of itself, for all who follow the channel."""
        try:
            self.plane.publish(channel, text.encode())
        except ValueError as error:
            _log.error("report.failed", channel=channel, error=str(error))

    def show_status(self) -> None:
        """Tells the supervisor how things are here."""
        if self._door is not None:
            self._door.refresh()
        self._parts.status(
            WorkerReport(
                connections=len(self.registry),
                accepting=self.accepting,
                subscribers={channel: self.plane.followers(channel) for channel in CHANNELS_OWN},
                ladder=self._control.steps(),
                slowest=self._control.slowest(self.now_ns(), self._stats.get("clients_blocked")),
            )
        )

    def closing(self, connection: Connection) -> None:
        """It has until its deadline to go."""
        self.registry.subscribed(connection, 0)
        self.deadlines.watch(connection)

    def remove(self, connection: Connection) -> None:
        """The plane shall let go; its answer closes the descriptor."""
        self.registry.subscribed(connection, 0)
        self.deadlines.forget(connection)
        self.plane.remove(connection.handle)

    # --- four times a second ---------------------------------------------------------------------

    def _sweep(self) -> None:
        self._shared.capacity.look(self.now_ns())
        self._show_counts()
        self.admission.sweep()
        self.deadlines.sweep()
        if not self.admission.draining or self.registry or self.deadlines:
            self.loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    def _show_counts(self) -> None:
        for index, count in enumerate(self._shared.requests):
            self._stats.set("requests", index, self._requests_before[index] + count)
        for index, count in enumerate(self._shared.rejections):
            self._stats.set("subscribe_rejected", index, self._rejections_before[index] + count)
        refused = self._stats.get("subscribe_rejected", REJECTIONS.index("capacity"))
        self._stats.set("admission_refused", ADMISSION.index("capacity"), refused)

    # --- the end ---------------------------------------------------------------------------------

    async def drain(self, window_ms: int = 0) -> None:
        """Says shutdown and 1012 to all; waits until they are gone, at most the close timeout.

        Args:
            window_ms: over how long they are asked to come back; 0: by how many they are.
        """
        self.admission.draining = True
        self.registry.end()
        self.accepting = False
        for one in self._sockets:
            self.loop.remove_reader(one.fileno())
            one.close()
        most_ms = reconnect_after_most_ms(len(self.registry))
        if window_ms:
            most_ms = RECONNECT_AFTER_MS + window_ms
        for count, connection in enumerate(list(self.registry.clients.values())):
            # Each at a time of its own: the next worker would have them all at once.
            connection.shutdown(random.randint(RECONNECT_AFTER_MS, most_ms))
            if count % ACCEPTS_PER_TURN == 0:
                await asyncio.sleep(0)
        with suppress(TimeoutError):
            timeout_s = self.limits.close_timeout_s + 2 * SWEEP_INTERVAL_S
            await asyncio.wait_for(self.registry.empty.wait(), timeout_s if self.registry else 0)
        self.loop.remove_reader(self.plane.events_fd)
        if self._gate is not None:
            self._gate.stop()


def reconnect_after_most_ms(clients: int) -> int:
    """The latest that one of so many clients is wanted back."""
    least, most = RECONNECT_SPREAD_MS
    return RECONNECT_AFTER_MS + min(max(clients * 1000 // RECONNECTS_PER_S, least), most)


def max_connections(configured: int) -> int:
    """The configured limit, or what descriptors allow; containers may have a thousand million."""
    soft, _ = host.descriptor_limit()
    room = CONNECTIONS_MAX if soft == resource.RLIM_INFINITY else soft - RESERVED_DESCRIPTORS
    return min(configured or CONNECTIONS_MAX, room)


def session_options(config: "Config") -> Options:
    """What sessions may do, and what their hello says."""
    limits, slo = config.limits, config.slo
    return Options(
        candles=config.candles.intervals,
        delays=config.delays,
        version=VERSION,
        heartbeat_ms=limits.heartbeat_ms,
        slo_stage=slo.stage,
        slo_percentile=slo.percentile,
        slo_target_us=slo.target_us,
        symbols_per_request=limits.symbols_per_request,
        topics_max=limits.topics_per_connection,
        patterns_max=limits.patterns_per_connection,
        requests_per_s=limits.requests_per_s,
        requests_burst=limits.requests_burst,
        worker_requests_per_s=limits.worker_requests_per_s,
        errors_per_minute=limits.errors_per_minute,
        waiting_names_max=limits.waiting_names,
    )
