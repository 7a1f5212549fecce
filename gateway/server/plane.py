"""Makes the native data plane from the configuration, and hands its events to connections."""

import asyncio
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from gateway import _native as native
from gateway.codec.formats import LOCALS, Format, programs

if TYPE_CHECKING:
    from gateway.options import LimitsOptions, PlaneOptions, SloOptions
    from gateway.server.parts import WorkerParts

CONTROL_BYTES_MAX = 96 << 10
"""Replies, pongs and notices that may wait for one client. At half, its requests are not read: what
is left has room for one more reply of the largest size."""


REPLAY_AGES = 4
"""A client that is too slow for its queue replays from the ring in place of being closed, where
that holds so many times the age at which its queue is too old: less would be gone too soon."""


class Client(Protocol):
    """What the plane's events are told to; its handle is the plane's name for it."""

    def gone(self, error: str) -> None: ...
    def fail(self, code: int, reason: str) -> None: ...
    def resume(self) -> None: ...
    def removed(self) -> None: ...
    def answer_stats(self, token: int, rows: object) -> None: ...
    def forbidden(self, identity: int) -> None: ...
    def received(self, data: bytes, discarded: int) -> None: ...


def make_plane(parts: "WorkerParts", formats: Sequence[Format], clients_max: int) -> native.Plane:
    """The plane of one worker, not started yet; a client's format is its place among these."""
    limits: LimitsOptions = parts.config.limits
    options: PlaneOptions = parts.config.plane
    slo: SloOptions = parts.config.slo
    return native.Plane(
        formats=[programs(one) for one in formats],
        locals=LOCALS,
        stats=parts.stats,
        wait_fd=parts.wait_fd,
        wait_index=parts.index,
        event_fd=parts.event_fd,
        clients_max=clients_max,
        topics_per_client_max=limits.topics_per_connection,
        waiting_topics_max=limits.waiting_names,
        book_levels_max=parts.config.ring.book_levels_max,
        log_bytes=options.log_bytes,
        control_bytes_max=CONTROL_BYTES_MAX,
        lossless_frames_max=limits.lossless_frames_max,
        lossless_max_age_ns=limits.lossless_max_age_ms * 1_000_000,
        replay_depth_ns=replay_depth_ns(limits),
        stall_max_ns=limits.stall_max_s * 1_000_000_000,
        heartbeat_ns=limits.heartbeat_ms * 1_000_000,
        **controlled(slo),
        enforce=slo.enforce,
        spin=options.wait == "spin",
        populate=parts.config.memory.populate == "start",
        cpu=options.cpu,
        tenants=[tenant.weight for tenant in parts.config.tenants],
        soon=asyncio.get_running_loop().call_soon,
    )


def replay_depth_ns(limits: "LimitsOptions") -> int:
    """How much the ring has to hold for slow clients to replay from it; 0: they are closed."""
    return limits.lossless_replay * REPLAY_AGES * limits.lossless_max_age_ms * 1_000_000


def controlled(slo: "SloOptions") -> dict[str, int]:
    """The objective as the plane's controller has it."""
    late_ppm = max(round((100 - slo.percentile) * 10_000), 1)
    return {"target_ns": slo.target_us * 1000, "late_ppm": late_ppm}


class Control(Protocol):
    """What is told that no client is asked about: what the controller did, and that the gateway's
    own reports have a first follower, or none any more."""

    def ladder(self, step: int, was: int, reason: str) -> None: ...
    def level(self, handle: int, level: int, was: int, reason: str) -> None: ...
    def stall(self, duration_ns: int, words: str) -> None: ...
    def followed(self) -> None: ...


_CONTROL_EVENTS = (
    native.EVENT_LADDER,
    native.EVENT_LEVEL,
    native.EVENT_STALL,
    native.EVENT_LOCAL,
)


def dispatch(
    events: Iterable[tuple[object, ...]], clients: dict[int, Client], control: Control
) -> list[int]:
    """Tells each event to its client or to the controller's observer.

    Returns:
        The handles that the plane has let go of.
    """
    removed = []
    for event in events:
        kind, handle = event[0], event[1]
        assert isinstance(handle, int)
        if kind in _CONTROL_EVENTS:
            _observe(event, control)
            continue
        client = clients.get(handle)
        if client is None:
            continue
        if kind == native.EVENT_REMOVED:
            removed.append(handle)
            client.removed()
        else:
            _tell(event, client)
    return removed


def _tell(event: tuple[object, ...], client: Client) -> None:
    match event:
        case (native.EVENT_GONE, _, int(error)):
            client.gone(os.strerror(error))
        case (native.EVENT_CLOSE, _, int(code), str(reason)):
            client.fail(code, reason)
        case (native.EVENT_STATS, _, int(token), rows):
            client.answer_stats(token, rows)
        case (native.EVENT_FORBIDDEN, _, int(identity)):
            client.forbidden(identity)
        case (native.EVENT_DATA, _, bytes(data), int(discarded)):
            client.received(data, discarded)
        case (native.EVENT_RESUME, _):
            client.resume()
        case _:
            assert event[0] == native.EVENT_SHUT


def _observe(event: tuple[object, ...], control: Control) -> None:
    match event:
        case (native.EVENT_LADDER, _, int(step), int(was), str(reason)):
            control.ladder(step, was, reason)
        case (native.EVENT_LEVEL, int(handle), int(level), int(was), str(reason)):
            control.level(handle, level, was, reason)
        case (native.EVENT_STALL, _, int(duration_ns), str(words)):
            control.stall(duration_ns, words)
        case (native.EVENT_LOCAL, _):
            control.followed()
