"""Starts child processes, watches them, restarts them, stops them. Knows nothing of what they do.

Theory of operation. A child is a program that gets a control channel (see `channel.py`,
`messages.py`); the first message on it is the child's own configuration. Its life:

    starting --ready--> ready --death--> waiting (backoff) --> starting ...
        any of these --stop--> draining --> stopped

- `Ready` ends the start. `Failed` before the first `Ready` says that no restart will help (a port
  is not to be had): the supervisor stops all with the code that it names.
- Its `Exit` shows death, whatever the cause. The next start waits for the backoff; a spell of
  health resets it. More than `restarts_max` deaths inside `restarts_window_s` trip the breaker:
  the child is tried only every `tripped_s`, and nothing is ready until one try proves healthy.
- A child's signs of life are MONOTONIC stamps that it writes into shared memory. One older than
  `hang_s` means a hang: SIGKILL, then as for any death. The supervisor distrusts itself first: from
  a pause of its own (suspended, starved) the count starts again. Nor does time count in which a
  thread of the child was runnable without a CPU: a new process would get no more of it, and all
  clients would come back at once to a host that is too busy already.
- `Segment`, with a descriptor, is memory that one child offers to the others: passed on to those
  that want it, and kept for those that start later.
- What comes and is no message, or not one for a supervisor, is logged and changes nothing.
- Stopping is by rank, highest first, each rank with a deadline; a second request kills all at once.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

import msgspec

from gateway import log
from gateway.backoff import Backoff
from gateway.errors import ResourceError
from gateway.exits import Exit
from gateway.model.admin import Answer
from gateway.model.status import Status
from gateway.supervisor import signals
from gateway.supervisor.channel import (
    MESSAGE_BYTES_MAX,
    Channel,
    Received,
    Refused,
    fits,
    readable,
)
from gateway.supervisor.children import (
    ChildSpec,
    ChildStatistics,
    Policy,
    Reason,
    State,
    Statistics,
)
from gateway.supervisor.messages import (
    Drain,
    Failed,
    Ready,
    Reload,
    Segment,
    Start,
    ToChild,
    type_of,
)
from gateway.supervisor.schedstat import Starvation

_log = log.get("supervisor")


@dataclass
class _Child:
    spec: ChildSpec
    first: Start
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
    status: Status = field(default_factory=Status)
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
        on_answer: Callable[[Answer], None] = lambda _: None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`on_ready` is called once, when all children are; `on_drain` once, as stopping begins;
        `on_answer` with what workers answer.
        """
        self._policy = policy or Policy()
        self._clock = clock
        self._on_ready: Callable[[], None] | None = on_ready
        self._on_drain = on_drain
        self._on_answer = on_answer
        self._drain_order = Drain()
        self._children = [_Child(spec, spec.first, self._policy.backoff()) for spec in specs]
        self._stop = asyncio.Event()
        self._kill = asyncio.Event()
        self._exit_code = 0
        self._trusted_ns = 0
        self._segment_fd = -1
        self._segment: Segment | None = None

    def statistics(self) -> Statistics:
        """A frozen snapshot for /readyz, /statusz and /metrics."""
        return Statistics(
            self._stop.is_set(),
            "" if self._segment is None else self._segment.epoch,
            tuple(child.statistics() for child in self._children),
        )

    def segment(self) -> int:
        """A new descriptor of the segment that was offered last, its caller's; -1: there is none.

        Raises:
            OSError: no descriptor is to be had.
        """
        return os.dup(self._segment_fd) if self._segment_fd >= 0 else -1

    def stop(self, exit_code: int = 0, window_ms: int = 0) -> None:
        """Drains and ends, with this code at best; a second call kills all children at once.

        Args:
            exit_code: of the process, where nothing goes wrong.
            window_ms: over how long clients are asked to come back; 0: as workers think.
        """
        if self._stop.is_set():
            self._kill.set()
        self._drain_order = Drain(window_ms=window_ms)
        self._exit_code = self._exit_code or exit_code
        self._stop.set()

    def tell(self, name: str, message: ToChild) -> bool:
        """Sends this child a message.

        Returns:
            False where it does not run, or reads so slowly that there is no room.
        """
        for child in self._children:
            if child.spec.name == name and child.channel is not None:
                return child.channel.send(message)
        return False

    def tell_all(self, message: ToChild) -> list[str]:
        """Sends every child that runs a message; the names of those that had no room for it."""
        return [
            child.spec.name
            for child in self._children
            if child.channel is not None and not child.channel.send(message)
        ]

    def reconfigure(self, config: msgspec.Raw) -> list[str]:
        """Gives every child another configuration, now and at its later starts.

        Returns:
            The names of those that had no room for the message.

        Raises:
            ValueError: it is too large for a message; nothing has changed.
        """
        firsts = [msgspec.structs.replace(child.first, config=config) for child in self._children]
        if not all(map(fits, firsts)):
            raise ValueError(f"a configuration of more than {MESSAGE_BYTES_MAX} bytes")
        for child, first in zip(self._children, firsts, strict=True):
            child.first = first
        return self.tell_all(Reload(config=config))

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
            why = f"cannot be started: {error}"
            self._failed(child, Failed(exit=ResourceError.exit_code, message=why))
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
        ours.send(child.first)
        if spec.takes_segments and self._segment is not None:
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
        while (received := await channel.receive()) is not None:
            self._take(child, received)

    def _take(self, child: _Child, received: Received | Refused) -> None:
        match received:
            case Received(Ready()):
                self._became_ready(child)
            case Received(Status() as status):
                child.status = status
            case Received(Segment() as segment, (fd,)):
                self._offer(segment, fd)
            case Received(Answer() as answer):
                self._on_answer(answer)
            case Received(Failed() as failed):
                self._failed(child, failed)
            case Received(message):
                words = {"type": type_of(message), "problem": "it is for children alone"}
                _log.warning("child.message_refused", child=child.spec.name, **words)
            case Refused(type, problem):
                words = {"type": type, "problem": problem}
                _log.error("child.message_refused", child=child.spec.name, **words)
            case _:
                assert_never(received)

    def _became_ready(self, child: _Child) -> None:
        child.ready_ns = self._clock()
        child.proven = True
        if child.state == "starting":
            child.state = "ready"
        if self._on_ready is not None and all(c.state == "ready" for c in self._children):
            self._on_ready()
            self._on_ready = None

    def _failed(self, child: _Child, failed: Failed) -> None:
        _log.error("child.failed", child=child.spec.name, message=failed.message)
        if not child.proven and not self._stop.is_set():
            self._exit_code = failed.exit
            self._stop.set()

    def _offer(self, segment: Segment, fd: int) -> None:
        if self._segment_fd >= 0:
            os.close(self._segment_fd)
        self._segment, self._segment_fd = segment, fd
        for child in self._children:
            if child.spec.takes_segments and child.channel is not None:
                # A child that doesn't read has the same message waiting at its next start.
                child.channel.send(segment, [fd])

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
                    child.channel.send(self._drain_order)
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
