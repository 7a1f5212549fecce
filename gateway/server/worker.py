"""One worker process: joins plane, catalog and listener, and runs until it is told to drain."""

import asyncio
import os
from typing import TYPE_CHECKING, Any

from gateway import log
from gateway.dialects.dialect import Doors
from gateway.server.catalog import Catalog
from gateway.server.listener import Listener, max_connections
from gateway.server.plane import make_plane
from gateway.server.roster import Roster

if TYPE_CHECKING:
    from gateway._native import Plane
    from gateway.server.parts import WorkerParts

STATUS_INTERVAL_S = 1.0
_log = log.get("worker")


async def run(parts: "WorkerParts") -> None:
    """Serves clients until `parts.drain` is set."""
    doors = Doors(parts.dialects)
    clients_max = max_connections(parts.config.limits.max_connections)
    plane = make_plane(parts, doors.formats, clients_max)
    catalog = Catalog(parts.venues)
    first = asyncio.create_task(_attach(parts, plane, catalog))
    drained = asyncio.create_task(parts.drain.wait())
    plane.start()
    try:
        # Nobody is accepted before there are names to ask for.
        await asyncio.wait((first, drained), return_when=asyncio.FIRST_COMPLETED)
        if first.done():
            await first
            await _serve(parts, doors, plane, catalog, drained)
    finally:
        first.cancel()
        drained.cancel()
        plane.stop()


async def _serve(
    parts: "WorkerParts",
    doors: Doors,
    plane: "Plane",
    catalog: Catalog,
    drained: "asyncio.Task[bool]",
) -> None:
    listener = Listener(parts, doors, plane, catalog)
    listener.start()
    following: asyncio.Task[Any] = asyncio.create_task(_follow(parts, plane, catalog))
    roster = Roster(listener.registry.clients, plane, listener.now_ns)
    beside = [
        asyncio.create_task(_reconfigure(parts, listener)),
        asyncio.create_task(_answer(parts, roster)),
    ]
    parts.reports(listener.report)
    listener.show_status()  # of a worker that is ready something is known
    parts.ready()
    _log.info("worker.ready", index=parts.index, max_connections=listener.admission.connections_max)
    while not parts.drain.is_set():
        listener.show_status()
        done, _ = await asyncio.wait(
            [drained, following], timeout=STATUS_INTERVAL_S, return_when=asyncio.FIRST_COMPLETED
        )
        if following in done:
            # It ends by an exception alone; without it clients would stay with what is past.
            await following
    for task in (following, *beside):
        task.cancel()
    await asyncio.gather(following, *beside, return_exceptions=True)
    await listener.drain(parts.window_ms())


async def _reconfigure(parts: "WorkerParts", listener: Listener) -> None:
    while True:
        listener.reconfigure(await parts.configs.get())


async def _answer(parts: "WorkerParts", roster: Roster) -> None:
    while True:
        ask = await parts.asks.get()
        try:
            await roster.answer(ask, parts.answer)
        except Exception:  # one question fails; the next ones must not
            _log.exception("ask.failed", call=ask.call)


async def _follow(parts: "WorkerParts", plane: "Plane", catalog: Catalog) -> None:
    while True:
        await _attach(parts, plane, catalog)


async def _attach(parts: "WorkerParts", plane: "Plane", catalog: Catalog) -> None:
    epoch, fd = await parts.segments.get()
    try:
        plane.attach(fd)
        catalog.follow(fd)
    finally:
        os.close(fd)
    _log.info("segment.attached", epoch=epoch)
