"""Accepts clients and keeps them: admission, deadlines, keepalive, drain. One per worker."""

import asyncio
import errno
import itertools
import random
import resource
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

from gateway import host, log
from gateway.model.outcomes import ACCEPT_ERRORS, ADMISSION, HANDSHAKES
from gateway.model.record import CHANNELS_OWN
from gateway.model.status import WorkerReport
from gateway.server.connection import Connection, State
from gateway.server.control import Control
from gateway.server.frames import Parsers
from gateway.server.plane import controlled, dispatch
from gateway.server.readers import Readers
from gateway.session.capacity import Capacity, Load
from gateway.session.codes import CLOSE_CODES
from gateway.session.handshake import Origins, Refusal
from gateway.session.options import REJECTIONS, Options, Shared
from gateway.session.session import Session

if TYPE_CHECKING:
    from gateway._native import Plane
    from gateway.config import Config
    from gateway.server.catalog import Catalog
    from gateway.server.parts import WorkerParts
    from gateway.session.actions import Reply

ACCEPTS_PER_TURN = 64
"""Connections taken before the loop looks at clients that are there already."""
EVENTS_PER_TURN = 64
"""The plane's events that are told in one iteration: each may end a client, at 20 us."""
ACCEPT_PAUSE_S = 0.1
"""Without descriptors the listener rests: the next accept would fail as well."""
RESERVED_DESCRIPTORS = 64
"""For the process itself, when max_connections is not configured."""
CONNECTIONS_MAX = 1_000_000
"""As in the configuration: what the plane keeps for a slot is taken when it is used."""
_NAME_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SWEEP_INTERVAL_S = 0.25
JUDGED_PER_TURN = 64
"""Deadlines looked at in one iteration: one that has passed ends a client, at 20 us."""
KEEPALIVE_SLICES = 4
"""Parts of the clients that one sweep looks at: each is seen once a second."""
RETRY_AFTER_S = (3, 8)
"""A client that is refused for want of room comes back after one of these, not all at once."""
RECONNECT_AFTER_MS = 500
"""The soonest that a client of a worker that ends is wanted back: the next one has started."""
RECONNECT_SPREAD_MS = (2500, 60_000)
"""Over how long clients are spread at least (there is no hurry), and at most (they miss ticks)."""
RECONNECTS_PER_S = 500
"""Of more clients the spread is longer: a worker takes these back beside its work."""
TCP_NOTSENT_LOWAT = 25
NOTSENT_BYTES = 16 << 10
"""Unsent bytes that the kernel may hold: with its defaults a client that never reads hides 4 MB."""

VERSION = version("tickgate")

_log = log.get("server")


class Listener:
    """The clients of one worker."""

    def __init__(self, parts: "WorkerParts", plane: "Plane", catalog: "Catalog") -> None:
        self.plane = plane
        self.limits = parts.config.limits
        self.loop = asyncio.get_running_loop()
        self.origins = Origins(parts.config.listen.origins)
        self.handshake_timeout_ns = int(self.limits.handshake_timeout_s * 1e9)
        self.close_timeout_ns = int(self.limits.close_timeout_s * 1e9)
        self.parsers = Parsers(self.limits.message_bytes)
        self.readers = Readers()
        self.now_ns = time.monotonic_ns
        self.real_ns = time.time_ns
        self.max_connections = max_connections(self.limits.max_connections)
        self.accepting = True
        self._parts = parts
        self._catalog = catalog
        self._stats = parts.stats
        self._socket = parts.listen_socket
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
        self._clients: dict[int, Connection] = {}  # by handle, until the plane lets go
        self._control = Control(
            f"worker-{parts.index}", plane, self._clients, parts.stalled, self.show_status
        )
        self._waiting: dict[Connection, None] = {}  # those with a deadline
        self._messages: dict[Connection, None] = {}  # those with an unfinished message
        self._due: deque[Connection] = deque()  # to be judged in this iteration and the next ones
        self._handshakes: Counter[str] = Counter()  # unfinished ones by address
        self._refused_origins = log.RefusedOrigins(_log)
        self._subscriptions = 0  # of all clients
        self._keepalive_slice = 0
        self._draining = False
        self._empty = asyncio.Event()  # set when the last client is gone, while draining
        self._prepare_socket()

    def _prepare_socket(self) -> None:
        # Accepted sockets inherit these from the listening one.
        sock, ms = self._socket, (self.limits.stall_max_s + 10) * 1000
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_BYTES)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, ms)

    def reconfigure(self, config: "Config") -> None:
        """Takes over what may change while clients stay (`gateway.reload.RELOADED`)."""
        self.limits = config.limits
        self.origins = Origins(config.listen.origins)
        self.handshake_timeout_ns = int(self.limits.handshake_timeout_s * 1e9)
        self.close_timeout_ns = int(self.limits.close_timeout_s * 1e9)
        self.parsers.message_bytes = self.limits.message_bytes
        self._shared.reconfigure(session_options(config))
        self._shared.capacity.reconfigure(config.slo.target_us * 1000)
        self.plane.objective(**controlled(config.slo))

    def start(self) -> None:
        """Accepts from now on."""
        self.loop.add_reader(self._socket.fileno(), self._accept)
        self.loop.add_reader(self.plane.events_fd, self._events)
        self.readers.start(self.loop)
        self.loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    # --- accepting -------------------------------------------------------------------------------

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, address = self._socket.accept()
                peer = address[0] if isinstance(address, tuple) else ""
                connection = Connection(self, sock, peer, self.now_ns())
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:
                self._accept_failed(error)
                return
            self._accepted(connection)
        if not self.accepting:
            self.accepting = True
            _log.info("accept.resumed", connections=len(self._clients))

    def _accept_failed(self, error: OSError) -> None:
        name = errno.errorcode.get(error.errno or 0, "other")
        known = name if name in ACCEPT_ERRORS else "other"
        self._stats.add("accept_errors", ACCEPT_ERRORS.index(known))
        if self.accepting:
            self.accepting = False
            _log.error("accept.failed", error=name, connections=len(self._clients))
        self.loop.remove_reader(self._socket.fileno())
        self.loop.call_later(ACCEPT_PAUSE_S, self._accept_again)

    def _accept_again(self) -> None:
        # Accepting tells at once whether there are descriptors again, even where nobody waits.
        if not self._draining:
            self.loop.add_reader(self._socket.fileno(), self._accept)
            self._accept()

    def _accepted(self, connection: Connection) -> None:
        self._stats.add("accepted")
        self._handshakes[connection.peer] += 1
        self.watch(connection)
        if self._handshakes[connection.peer] > self.limits.handshakes_per_address:
            why = "too many unfinished handshakes from this address"
            connection.refuse(self._shed("address", why))

    def admission(self) -> Refusal | None:
        """Whether one more client may come in."""
        if self._draining:
            return self._shed("shutdown", "the gateway is shutting down")
        if len(self._clients) >= self.max_connections:
            return self.full()
        capacity = self._shared.capacity
        if (why := capacity.refusal(self.now_ns())) is None:
            return None
        self._count_refused("overload")
        retry_after_s = -(-capacity.retry_after_ms() // 1000)
        return Refusal(503, "overload", why, (("Retry-After", str(retry_after_s)),))

    def _load(self) -> Load:
        return Load(**{name: self._stats.get(name) for name in Load.__struct_fields__})

    def _names_waiting(self) -> int:
        return int(self._stats.get("topics_waiting"))

    def full(self) -> Refusal:
        """The refusal of a client beyond the limit."""
        why = f"max_connections: {self.max_connections} are open"
        return self._shed("max_connections", why)

    def _shed(self, reason: str, why: str) -> Refusal:
        self._count_refused(reason)
        return Refusal(503, "shed", why, (("Retry-After", str(random.randint(*RETRY_AFTER_S))),))

    def _count_refused(self, reason: str) -> None:
        self._stats.add("admission_refused", ADMISSION.index(reason))

    # --- what connections report -----------------------------------------------------------------

    def count(self, name: str) -> None:
        self._stats.add(name)

    def handshake_ended(self, connection: Connection, result: str, why: str = "") -> None:
        """Counts how; to be called once, while the connection is in its handshake."""
        self._stats.add("handshakes", HANDSHAKES.index(result))
        self._handshakes[connection.peer] -= 1
        if not self._handshakes[connection.peer]:
            del self._handshakes[connection.peer]
        if why:
            _log.debug("handshake.refused", peer=connection.peer, result=result, why=why.strip())

    def origin_refused(self, origin: str, peer: str) -> None:
        """Lets the operator see it: the page's own console has no words for a failed upgrade."""
        self._refused_origins.note(origin, peer)

    def new_session(self, connection: Connection) -> "tuple[Session, Reply]":
        """A session and its hello."""
        connection.name = f"{self._names}-{next(self._numbers)}"
        session = Session(connection.name, self._catalog, self._shared)
        return session, session.hello(self.real_ns())

    def opened(self, connection: Connection) -> None:
        self.handshake_ended(connection, "ok")
        self.forget(connection)
        self._clients[connection.handle] = connection
        self._stats.set("connections", 0, len(self._clients))

    def watch(self, connection: Connection) -> None:
        """Lets it expire at its deadline."""
        self._waiting[connection] = None

    def forget(self, connection: Connection) -> None:
        """It has no deadline any more."""
        self._waiting.pop(connection, None)

    def watch_message(self, connection: Connection) -> None:
        self._messages[connection] = None

    def subscribed(self, connection: Connection, count: int) -> None:
        """It has so many subscriptions now."""
        self._subscriptions += count - connection.subscriptions
        connection.subscriptions = count
        self._stats.set("subscriptions", 0, self._subscriptions)

    def report(self, channel: str, text: str) -> None:
        """What the gateway says of itself, for all who follow the channel."""
        try:
            self.plane.publish(channel, text.encode())
        except ValueError as error:
            _log.error("report.failed", channel=channel, error=str(error))

    def show_status(self) -> None:
        """Tells the supervisor how things are here."""
        self._parts.status(
            WorkerReport(
                connections=len(self._clients),
                accepting=self.accepting,
                subscribers={channel: self.plane.followers(channel) for channel in CHANNELS_OWN},
                ladder=self._control.steps(),
                slowest=self._control.slowest(self.now_ns(), self._stats.get("clients_blocked")),
            )
        )

    def closing(self, connection: Connection) -> None:
        self.subscribed(connection, 0)
        self._messages.pop(connection, None)
        self.watch(connection)

    def remove(self, connection: Connection) -> None:
        """The plane shall let go; its answer closes the descriptor."""
        self.subscribed(connection, 0)
        self._messages.pop(connection, None)
        self.forget(connection)
        self.plane.remove(connection.handle)

    # --- events and deadlines --------------------------------------------------------------------

    def _events(self) -> None:
        events = self.plane.events(EVENTS_PER_TURN)
        if len(events) == EVENTS_PER_TURN:
            self.loop.call_soon(self._events)  # the descriptor says nothing of what is left
        for handle in dispatch(events, self._clients, self._control):  # type: ignore[arg-type]
            connection = self._clients.pop(handle)
            self._control.forget(handle)
            code = connection.close_code
            index = CLOSE_CODES.index(code if code in CLOSE_CODES else 1000)
            self._stats.add("closes", index)
            _log.debug(
                "client.closed", peer=connection.peer, code=code, reason=connection.close_reason
            )
        self._stats.set("connections", 0, len(self._clients))
        if self._draining and not self._clients:
            self._empty.set()

    def _sweep(self) -> None:
        now = self.now_ns()
        self._shared.capacity.look(now)
        self._show_counts()
        if not self._due:
            self._due.extend(self._find_due(now))
            self._judge_some()
        if not self._draining or self._clients or self._waiting:
            self.loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    def _find_due(self, now: int) -> Iterator[Connection]:
        """Those whose deadlines may have passed; a quarter of the silent ones."""
        yield from [c for c in self._waiting if c.deadline_ns <= now]
        yield from [c for c in self._messages if not c.message_ns or self._holds_open(c, now)]
        self._keepalive_slice = (self._keepalive_slice + 1) % KEEPALIVE_SLICES
        clients = itertools.islice(
            self._clients.values(), self._keepalive_slice, None, KEEPALIVE_SLICES
        )
        quiet = now - int(self.limits.ping_interval_s * 1e9)
        yield from [c for c in clients if c.heard_ns <= quiet]

    def _judge_some(self) -> None:
        now = self.now_ns()
        for _ in range(min(len(self._due), JUDGED_PER_TURN)):
            self._judge(self._due.popleft(), now)
        if self._due:
            self.loop.call_soon(self._judge_some)

    def _judge(self, connection: Connection, now: int) -> None:
        """Ends what is past its deadline, now that it is its turn; asks for a sign of life."""
        if connection in self._waiting and connection.deadline_ns <= now:
            self.forget(connection)
            connection.expire()
        elif connection.state is not State.OPEN:
            return
        elif self._holds_open(connection, now):
            limit_s = self.limits.message_timeout_s
            connection.fail(1008, f"message not finished within {limit_s:g} s")
        else:
            if not connection.message_ns:
                self._messages.pop(connection, None)
            self._keep_alive(connection, now)

    def _holds_open(self, connection: Connection, now: int) -> bool:
        """Whether its message took too long; one that is not read has time."""
        since = connection.message_ns if connection.reading else 0
        return since > 0 and now - since > self.limits.message_timeout_s * 1e9

    def _show_counts(self) -> None:
        for index, count in enumerate(self._shared.requests):
            self._stats.set("requests", index, self._requests_before[index] + count)
        for index, count in enumerate(self._shared.rejections):
            self._stats.set("subscribe_rejected", index, self._rejections_before[index] + count)
        refused = self._stats.get("subscribe_rejected", REJECTIONS.index("capacity"))
        self._stats.set("admission_refused", ADMISSION.index("capacity"), refused)

    def _keep_alive(self, connection: Connection, now: int) -> None:
        if connection.heard_ns > now - int(self.limits.ping_interval_s * 1e9):
            return
        if connection.pinged_ns < connection.heard_ns:  # whatever came since is a sign of life
            connection.ping()
        elif self.plane.pending(connection.handle):
            # Bytes wait for it: it is slow, not silent, and the plane judges it by age. The
            # ping itself may wait behind them, so its deadline runs from their end on.
            connection.pinged_ns = now
        elif now - connection.pinged_ns > int(self.limits.pong_timeout_s * 1e9):
            connection.fail(4012, f"no pong within {self.limits.pong_timeout_s:g} s")

    # --- the end ---------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Says shutdown and 1012 to all; waits until they are gone, at most the close timeout."""
        self._draining = True
        self.accepting = False
        self.loop.remove_reader(self._socket.fileno())
        self._socket.close()
        most_ms = reconnect_after_most_ms(len(self._clients))
        for count, connection in enumerate(list(self._clients.values())):
            # Each at a time of its own: the next worker would have them all at once.
            connection.shutdown(random.randint(RECONNECT_AFTER_MS, most_ms))
            if count % ACCEPTS_PER_TURN == 0:
                await asyncio.sleep(0)
        with suppress(TimeoutError):
            timeout_s = self.limits.close_timeout_s + 2 * SWEEP_INTERVAL_S
            await asyncio.wait_for(self._empty.wait(), timeout_s if self._clients else 0)
        self.loop.remove_reader(self.plane.events_fd)

    def __len__(self) -> int:
        return len(self._clients)


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
