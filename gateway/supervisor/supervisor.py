"""Starts child processes, watches them, restarts them, stops them. Knows nothing of what they do.

Theory of operation. A child is a program that gets a control channel (see `channel.py`); the first
message on it is the child's own configuration. Its life:

    starting --ready--> ready --death--> waiting (backoff) --> starting ...
        any of these --stop--> draining --> stopped

- `{"type": "ready"}` ends the start. `{"type": "failed", "exit": E, "message": M}` before the first
  `ready` says that no restart will help (a port is not to be had): the supervisor stops all with E.
- Its `Exit` shows death, whatever the cause. The next start waits for the backoff; a spell of
  health resets it. More than `restarts_max` deaths inside `restarts_window_s` trip the breaker:
  the child is tried only every `tripped_s`, and nothing is ready until one try proves healthy.
- A child's signs of life are MONOTONIC stamps that it writes into shared memory. One older than
  `hang_s` means a hang: SIGKILL, then as for any death. The supervisor distrusts itself first: from
  a pause of its own (suspended, starved) the count starts again. Nor does time count in which a
  thread of the child was runnable without a CPU: a new process would get no more of it, and all
  clients would come back at once to a host that is too busy already.
- `{"type": "segment", ...}` with a descriptor is memory that one child offers to the others: passed
  on to those that want it, and kept for those that start later.
- Stopping is by rank, highest first, each rank with a deadline; a second request kills all at once.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway import log
from gateway.backoff import Backoff
from gateway.errors import ResourceError
from gateway.exits import Exit
from gateway.supervisor import signals
from gateway.supervisor.channel import MESSAGE_BYTES_MAX, Channel, Message, fits, readable
from gateway.supervisor.schedstat import Starvation

State = Literal["starting", "ready", "waiting", "draining", "stopped"]
Reason = Literal["exit", "signal", "hang", "start"]

_log = log.get("supervisor")


@dataclass(frozen=True)
class Policy:
    """When to restart, when to give up hope, how long to wait. Seconds, but for counts."""

    backoff_first_s: float = 0.1
    backoff_most_s: float = 5.0
    healthy_s: float = 30.0
    restarts_max: int = 10
    restarts_window_s: float = 60.0
    tripped_s: float = 10.0
    start_s: float = 30.0
    hang_s: float = 1.5
    """Found within 2 s, the time of the watch's round included."""
    watch_s: float = 0.5
    stall_s: float = 0.5
    """A gap of the supervisor's own loop beyond which the stamps' ages prove nothing."""
    drain_s: float = 10.0


@dataclass(frozen=True)
class ChildSpec:
    """How to start and watch one child.

    Attributes:
        role: the kind of process, a label in metrics.
        name: unique name.
        argv: command line; the control descriptor's number is appended.
        first: first message on the control channel; `reconfigure` changes it for later starts.
        fds: descriptors inherited under their numbers.
        rank: children are stopped highest rank first.
        stamps: MONOTONIC ns of each of the child's signs of life; called about ten times a second.
        died: called after each death, before the restart: puts shared memory in order.
        takes_segments: whether it is sent the segments that others offer.
    """

    role: str
    name: str
    argv: Sequence[str]
    first: dict[str, Any]
    fds: tuple[int, ...] = ()
    rank: int = 0
    stamps: Callable[[], Sequence[int]] = tuple
    died: Callable[[], None] = lambda: None
    takes_segments: bool = False


@dataclass(frozen=True)
class ChildStatistics:
    """One child as the supervisor sees it; `restarts` by reason, `status` in its own words."""

    role: str
    name: str
    pid: int
    state: State
    tripped: bool
    restarts: dict[str, int]
    last_reason: str
    status: dict[str, Any]


@dataclass(frozen=True)
class Statistics:
    """A snapshot of the supervisor."""

    draining: bool
    epoch: str
    children: tuple[ChildStatistics, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the whole is not ready, in words; empty when it is."""
        words = ["draining"] if self.draining else []
        for child in self.children:
            if child.tripped:
                words.append(f"{child.name} keeps dying ({child.last_reason})")
            elif child.state != "ready":
                words.append(f"{child.name} is {child.state}")
        return tuple(words)


@dataclass
class _Child:
    spec: ChildSpec
    backoff: Backoff
    state: State = "starting"
    pid: int = 0
    exit: Exit | None = None  # while there is a process
    channel: Channel | None = None
    started_ns: int = 0
    ready_ns: int = 0
    proven: bool = False  # said `ready` at least once
    tripped: bool = False
    killed_for: Reason | None = None
    starved: Starvation | None = None
    last_reason: str = ""
    deaths: deque[int] = field(default_factory=deque)  # MONOTONIC ns
    restarts: Counter[str] = field(default_factory=Counter)
    status: dict[str, Any] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None

    def statistics(self) -> ChildStatistics:
        return ChildStatistics(
            self.spec.role,
            self.spec.name,
            self.pid,
            self.state,
            self.tripped,
            dict(self.restarts),
            self.last_reason,
            self.status,
        )


class Supervisor:
    """Keeps its children alive from `run()` until `stop()`."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        policy: Policy | None = None,
        *,
        on_ready: Callable[[], None] = lambda: None,
        on_drain: Callable[[], None] = lambda: None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`on_ready` is called once, when all children are; `on_drain` once, as stopping begins."""
        policy = policy or Policy()
        self._policy = policy
        self._clock = clock
        self._on_ready: Callable[[], None] | None = on_ready
        self._on_drain = on_drain
        self._children = [
            _Child(spec, Backoff(policy.backoff_first_s, policy.backoff_most_s, least=0.5))
            for spec in specs
        ]
        self._stop = asyncio.Event()
        self._kill = asyncio.Event()
        self._exit_code = 0
        self._trusted_ns = 0
        self._segment_fd = -1
        self._segment: dict[str, Any] = {}

    def statistics(self) -> Statistics:
        """A frozen snapshot for /readyz, /statusz and /metrics."""
        return Statistics(
            self._stop.is_set(),
            str(self._segment.get("epoch", "")),
            tuple(child.statistics() for child in self._children),
        )

    def segment(self) -> int:
        """A new descriptor of the segment that was offered last, its caller's; -1: there is none.

        Raises:
            OSError: no descriptor is to be had.
        """
        return os.dup(self._segment_fd) if self._segment_fd >= 0 else -1

    def stop(self, exit_code: int = 0) -> None:
        """Drains and ends, with this code at best; a second call kills all children at once."""
        if self._stop.is_set():
            self._kill.set()
        self._exit_code = self._exit_code or exit_code
        self._stop.set()

    def tell(self, name: str, body: Mapping[str, Any]) -> bool:
        """Sends this child a message of its own language.

        Returns:
            False where it does not run, or reads so slowly that there is no room.
        """
        for child in self._children:
            if child.spec.name == name and child.channel is not None:
                return child.channel.send(body)
        return False

    def tell_all(self, body: Mapping[str, Any]) -> list[str]:
        """Sends every child that runs a message; the names of those that had no room for it."""
        running = [child for child in self._children if child.channel is not None]
        return [c.spec.name for c in running if c.channel is not None and not c.channel.send(body)]

    def reconfigure(self, config: Mapping[str, Any]) -> list[str]:
        """Gives every child another configuration, now and at its later starts.

        Returns:
            The names of those that had no room for the message.

        Raises:
            ValueError: it is too large for a message; nothing has changed.
        """
        body = {"type": "reload", "config": config}
        if not all(fits({**child.spec.first, **body}) for child in self._children):
            raise ValueError(f"a configuration of more than {MESSAGE_BYTES_MAX} bytes")
        for child in self._children:
            child.spec.first["config"] = config
        return self.tell_all(body)

    async def run(self) -> int:
        """Runs until stopped.

        Returns:
            0 after an orderly stop; 1 when a child had to be killed for it (too slow, or a second
            request came); the child's code when one said at its start that it can't work at all.
        """
        watch = asyncio.create_task(self._watch())
        for child in self._children:
            child.task = asyncio.create_task(self._keep(child))
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait(
                [stop, watch, *(child.task for child in self._children if child.task)],
                return_when=asyncio.FIRST_COMPLETED,
            )
            self._stop.set()
            self._on_drain()
            await self._drain()
        finally:
            for task in [stop, watch]:
                task.cancel()
            for child in self._children:
                self._signal(child)
            if self._segment_fd >= 0:
                os.close(self._segment_fd)
                self._segment_fd = -1
        # A task that ended by an exception is a bug of the supervisor's own: let it show.
        if watch.done() and not watch.cancelled():
            await watch
        await asyncio.gather(*(child.task for child in self._children if child.task))
        return self._exit_code

    # --- one child's life ---------------------------------------------------------------------

    async def _keep(self, child: _Child) -> None:
        while not self._stop.is_set():
            exited = await self._live(child)
            if self._stop.is_set():
                break
            child.state = "waiting"
            child.restarts[child.last_reason] += 1
            delay_s = self._delay(child)
            _log.warning(
                "child.died",
                child=child.spec.name,
                pid=child.pid,
                reason=child.last_reason,
                how=exited,
                restart_in_s=round(delay_s, 2),
            )
            child.pid = 0
            await self._pause(delay_s)
        child.state = "stopped"

    async def _live(self, child: _Child) -> str:
        """From start to death; says how it ended."""
        child.killed_for, child.ready_ns, child.started_ns = None, 0, self._clock()
        child.state = "starting"
        try:
            process = self._spawn(child)
            child.starved = Starvation(Path(f"/proc/{child.pid}/task"))
        except OSError as error:  # no process to be had: as if it had died at once
            child.last_reason = "start"
            self._failed(
                child, {"exit": ResourceError.exit_code, "message": f"cannot be started: {error}"}
            )
            return str(error)
        reader = asyncio.create_task(self._read(child))
        exited = child.exit
        assert exited is not None
        try:
            await readable(exited.fd)
            # What it said last may be why it died; its end of the channel is closed by now.
            await asyncio.wait([reader], timeout=1)
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            status = process.wait()
            exited.close()
            child.exit = None
            if child.channel is not None:
                child.channel.close()
                child.channel = None
            child.spec.died()
        child.last_reason = child.killed_for or ("signal" if status < 0 else "exit")
        return f"signal {-status}" if status < 0 else f"exit {status}"

    def _spawn(self, child: _Child) -> subprocess.Popen[bytes]:
        ours, theirs = Channel.pair()
        spec = child.spec
        # Ctrl-C goes to the whole group, and a closed terminal's SIGHUP; the child, which means to
        # ignore them, can't do so before its interpreter is up. Blocked here, a signal stays
        # pending: ours until the mask is back, the child's until it unblocks.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals.HELD)
        try:
            process = subprocess.Popen(
                [*spec.argv, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *spec.fds),
            )
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()
        child.channel, child.pid, child.exit = ours, process.pid, Exit(process.pid)
        ours.send(spec.first)
        if spec.takes_segments and self._segment_fd >= 0:
            ours.send(self._segment, [self._segment_fd])
        _log.info("child.started", child=child.spec.name, pid=process.pid)
        return process

    def _delay(self, child: _Child) -> float:
        now_ns = self._clock()
        policy = self._policy
        if child.ready_ns and now_ns - child.ready_ns > policy.healthy_s * 1e9:
            child.backoff.reset()
        child.deaths.append(now_ns)
        while now_ns - child.deaths[0] > policy.restarts_window_s * 1e9:
            child.deaths.popleft()
        if len(child.deaths) > policy.restarts_max and not child.tripped:
            child.tripped = True
            _log.error("child.tripped", child=child.spec.name, deaths=len(child.deaths))
        return policy.tripped_s if child.tripped else child.backoff.next_s()

    async def _pause(self, delay_s: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), delay_s)

    # --- messages -----------------------------------------------------------------------------

    async def _read(self, child: _Child) -> None:
        channel = child.channel
        assert channel is not None
        while (message := await channel.receive()) is not None:
            if message.type == "segment" and len(message.fds) == 1:
                self._offer(message)
                continue
            for fd in message.fds:
                os.close(fd)
            if message.type == "ready":
                self._became_ready(child)
            elif message.type == "status":
                child.status = message.body
            elif message.type == "failed":
                self._failed(child, message.body)
            else:
                _log.warning("child.message_unknown", child=child.spec.name, type=message.type)

    def _became_ready(self, child: _Child) -> None:
        child.ready_ns = self._clock()
        child.proven = True
        if child.state == "starting":
            child.state = "ready"
        if self._on_ready is not None and all(c.state == "ready" for c in self._children):
            self._on_ready()
            self._on_ready = None

    def _failed(self, child: _Child, body: Mapping[str, Any]) -> None:
        _log.error("child.failed", child=child.spec.name, message=body.get("message"))
        if not child.proven and not self._stop.is_set():
            self._exit_code = int(body.get("exit", 1))
            self._stop.set()

    def _offer(self, message: Message) -> None:
        if self._segment_fd >= 0:
            os.close(self._segment_fd)
        self._segment, self._segment_fd = message.body, message.fds[0]
        for child in self._children:
            if child.spec.takes_segments and child.channel is not None:
                # A child that doesn't read has the same message waiting at its next start.
                child.channel.send(self._segment, [self._segment_fd])

    # --- watching -----------------------------------------------------------------------------

    async def _watch(self) -> None:
        policy = self._policy
        before_ns = self._clock()
        while True:
            await asyncio.sleep(policy.watch_s)
            now_ns = self._clock()
            if now_ns - before_ns > (policy.watch_s + policy.stall_s) * 1e9:
                self._trusted_ns = now_ns
            before_ns = now_ns
            for child in self._children:
                if child.starved is not None and child.state == "ready":
                    child.starved.look(now_ns)
                reason = self._suspicion(child, now_ns)
                if reason is not None:
                    child.killed_for = reason
                    self._signal(child)

    def _suspicion(self, child: _Child, now_ns: int) -> Reason | None:
        """Why the child should be killed now, if it should; proves a tripped one healthy."""
        policy = self._policy
        if child.exit is None or child.killed_for is not None:
            return None
        if child.state == "starting":
            since_ns = max(child.started_ns, self._trusted_ns)
            return "start" if now_ns - since_ns > policy.start_s * 1e9 else None
        if child.state != "ready":
            return None
        if child.tripped and now_ns - child.ready_ns > policy.healthy_s * 1e9:
            child.tripped = False
            child.deaths.clear()
            child.backoff.reset()
        floor_ns = max(child.ready_ns, self._trusted_ns)
        for stamp_ns in child.spec.stamps():
            since_ns = max(stamp_ns, floor_ns)
            silent_ns = now_ns - since_ns
            if silent_ns > policy.hang_s * 1e9 and child.starved is not None:
                silent_ns -= child.starved.since_ns(since_ns)
            if silent_ns > policy.hang_s * 1e9:
                return "hang"
        return None

    def _signal(self, child: _Child) -> None:
        if child.exit is not None:
            child.exit.signal(signal.SIGKILL)

    # --- stopping -----------------------------------------------------------------------------

    async def _drain(self) -> None:
        kill = asyncio.create_task(self._kill.wait())
        ranks = sorted({child.spec.rank for child in self._children}, reverse=True)
        for rank in ranks:
            group = [child for child in self._children if child.spec.rank == rank]
            for child in group:
                if child.channel is not None:
                    child.state = "draining"
                    child.channel.send({"type": "drain"})
            await self._finish(group, kill)
        kill.cancel()

    async def _finish(self, group: Sequence[_Child], kill: asyncio.Task[bool]) -> None:
        gone = asyncio.create_task(
            asyncio.wait([child.task for child in group if child.task is not None])
        )
        await asyncio.wait(
            {gone, kill}, timeout=self._policy.drain_s, return_when=asyncio.FIRST_COMPLETED
        )
        if not gone.done():
            late = [child.spec.name for child in group if child.exit is not None]
            _log.error("drain.killed", children=", ".join(late))
            self._exit_code = self._exit_code or 1
            for child in group:
                self._signal(child)
            await gone
