"""A stand-in for the ops listener: the real pages, and any figures that a test wants on them."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from gateway.ops.pages import Pages
from support.night import TARGET_US, Night

SUBPROTOCOL = Subprotocol("tickgate.v1.json")
CLASSES = 4


def figures(at_us: float = 410.0, count: int = 40_000) -> dict[str, Any]:
    """A distribution with this p99."""
    return {
        "count": count,
        "p50_us": at_us / 2.5,
        "p99_us": at_us,
        "p999_us": at_us * 1.9 if count >= 1000 else None,
        "max_us": at_us * 3.1,
    }


def quiet(now: dict[str, Any]) -> dict[str, Any]:
    """The same gateway, left as it is."""
    return now


def well(night: Night) -> dict[str, Any]:
    """What `ops` says of a gateway with nothing wrong."""
    now_ns = time.time_ns()
    objective = {
        "stage": "total",
        "percentile": 99,
        "target_us": TARGET_US,
        **figures(),
        "conflated": 0,
        "dropped": 0,
        "bad": 3,
        "window_s": 10.0,
        "state": "ok",
        "since": now_ns - 3 * 3600 * 10**9,
        "action": "none",
        "budget_remaining": 0.963,
        "enforce": True,
        "burn": {"5m": 0.03, "1h": 0.04},
        "alerts": [{"windows": "1h/5m", "rate": 14.4, "burning": False}],
        "transitions": {"ok": 1, "at_risk": 0, "breached": 0, "infeasible": 0},
        "good_total": 91_000_000,
        "bad_total": 1_200,
        "classes": [
            {
                "class": number,
                "target_us": TARGET_US if number < 2 else None,
                **figures(*each),
                "conflated": 0,
                "dropped": 0,
                "bad": 0,
                "state": "ok",
            }
            for number, each in enumerate(((260, 8000), (410, 20_000), (640, 11_400), (900, 600)))
        ],
    }
    channel = {"published": 100.0, "routed": 4000.0, "delivered": 4000.0, "snapshots": 0.1}
    channel |= {"conflated": 0.0, "filtered": 0.0, "dropped": 0.0}
    return {
        "ts": now_ns,
        "version": "0.1.0",
        "epoch": "k3f9",
        "uptime_s": 90_000.0,
        "ready": True,
        "problems": [],
        "listen": "ws://127.0.0.1:9/v1",
        "slo": objective,
        "point": night.point(night.span_s - 1, night.span_s),
        "stages": {
            "wire": figures(290, 2000),
            "ingest": figures(22, 2000),
            "ring": figures(14, 2000),
            "fanout": figures(380),
            "total": figures(),
        },
        "channels": {"trade": channel, "bbo": channel},
        "connections": 912,
        "subscriptions": 18_240,
        "blocked": 0,
        "levels": [912, 0, 0, 0],
        "controller": [controller("worker-0"), controller("worker-1")],
        "history": [],
        "slowest": [],
        "feeds": [feed("udp:0")],
        "processes": [process("supervisor"), process("feed"), process("worker-0")],
        "stalls": [],
    }


def controller(worker: str, **changed: Any) -> dict[str, Any]:
    """A worker's, calm."""
    calm = {
        "worker": worker,
        "step": 0,
        "intervals_ms": [0, 0, 0, 0],
        "infeasible": False,
        "overload_s": None,
        "busy": 0.43,
        "highest": False,
        "delivered_per_s": 4000,
        "sweep_us": 360.0,
        "sweep_clients": 456,
        "write_fixed_ns": 2700,
        "write_each_ns": 90.0,
        "delivery_cost_ns": 2900,
        "fan_out_us": 380.0,
        "audience_max": 456,
        "ring_age_us": 14.0,
        "class_links": [2000, 6000, 1100, 20],
    }
    return calm | changed


def feed(name: str, **changed: Any) -> dict[str, Any]:
    """A feed that is up."""
    up = {
        "name": name,
        "type": "udp",
        "state": "up",
        "message": "",
        "records": 1_234_567,
        "gaps": 0,
    }
    return up | {"decode_errors": 0, "last_record_ns": time.time_ns()} | changed


def process(name: str, **changed: Any) -> dict[str, Any]:
    """A process that is well."""
    well = {"name": name, "role": name, "pid": 4242, "state": "ready", "restarts": 0, "cpu": 0.43}
    well |= {"loop_lag_ms": 0.1, "loop_lag_max_ms": 1.4, "gc_pauses": 12, "gc_pause_max_ms": 1.9}
    return well | {"run_delay_ms": 0.7, "plane_stalls": 0} | changed


def burning(now: dict[str, Any]) -> dict[str, Any]:
    """The same gateway in the middle of an overload, with each kind of trouble."""
    ns = now["ts"]
    return now | {
        "slo": now["slo"]
        | figures(4200)
        | {"state": "breached", "since": ns - 130 * 10**9, "budget_remaining": -1.4}
        | {"action": "conflate", "conflated": 51_200, "dropped": 40}
        | {"alerts": [{"windows": "1h/5m", "rate": 14.4, "burning": True}]}
        | {"classes": [give_way(one) for one in now["slo"]["classes"]]},
        "stages": now["stages"]
        | {"ring": figures(2900, 2000)}
        | {"fanout": figures(1900)}
        | {"total": figures(4200)},
        "channels": {
            name: each | {"conflated": 2560.0, "dropped": 2.0}
            for name, each in now["channels"].items()
        },
        "problems": ["feed udp:1 is down"],
        "levels": [900, 9, 2, 1],
        "controller": [
            controller(
                "worker-0", step=5, intervals_ms=[0, 0, 20, None], overload_s=7.2, busy=0.99
            ),
            controller("worker-1"),
        ],
        "history": [
            {"ts": ns - 125 * 10**9, "worker": "worker-0", "kind": "ladder"}
            | {"step": 1, "was": 0, "reason": "p99 1.3 ms over 0.8 of the target"},
            {"ts": ns - 120 * 10**9, "worker": "worker-0", "kind": "state"}
            | {"step": 2, "was": 0, "reason": "p99 over its target"},
            {"ts": ns - 80 * 10**9, "worker": "worker-0", "kind": "ladder"}
            | {"step": 5, "was": 4, "reason": "the ring's oldest record is 2.3 ms old and ages"},
        ],
        "slowest": [
            {"worker": "worker-0", "connection_id": "c-17", "address": "203.0.113.9:40123"}
            | {"level": 3, "age_ms": 4153.0, "pending_bytes": 81_920}
            | {"why": "its socket takes nothing: the kernel's buffer is full"},
            {"worker": "worker-0", "connection_id": "c-9", "address": "203.0.113.4:51220"}
            | {"level": 1, "age_ms": 153.0, "pending_bytes": None, "why": "reads slower than sent"},
        ],
        "feeds": [
            feed("udp:0"),
            feed("udp:1", state="down", message="nothing came for 12 s", gaps=3, decode_errors=1)
            | {"last_record_ns": ns - 12 * 10**9},
        ],
        "stalls": [
            {"ts": ns - 60 * 10**9, "process": "worker-0", "kind": "gc", "ms": 203.0}
            | {"words": "a garbage collection of generation 2"},
        ],
    }


def give_way(one: dict[str, Any]) -> dict[str, Any]:
    """A class's row in an overload: the lower it is, the more is conflated."""
    number = one["class"]
    lost = {"conflated": 17_000 * number, "dropped": 40} if number > 1 else {}
    late = {"state": "breached", "bad": 2100} if one["target_us"] else {}
    return one | figures(one["p99_us"] * 9, one["count"]) | lost | late


def idle(now: dict[str, Any]) -> dict[str, Any]:
    """The same gateway just started: no client, no feed, no sample of anything."""
    none: dict[str, Any] = dict.fromkeys(("p50_us", "p99_us", "p999_us")) | {
        "count": 0,
        "max_us": 0,
    }
    slo = now["slo"] | none | {"since": now["ts"] - 4 * 10**9, "budget_remaining": 1.0}
    slo |= {"classes": [one | none for one in slo["classes"]]}
    return now | {
        "slo": slo,
        "uptime_s": 4.2,
        "point": None,
        "stages": dict.fromkeys(now["stages"], none),
        "channels": {name: dict.fromkeys(each, 0.0) for name, each in now["channels"].items()},
        "connections": 0,
        "subscriptions": 0,
        "levels": [0, 0, 0, 0],
        "controller": [controller("worker-0", sweep_us=0.0, delivery_cost_ns=0, busy=0.0)],
        "feeds": [],
    }


class OpsStandIn:
    """Serves the pages and an `ops` session that tells what it is told to tell.

    Attributes:
        now: what `ops` says each `interval_s`; replace it, or change it in place.
        night: what `history` is answered from.
        mute: say nothing from here on, and keep connections open.
    """

    def __init__(self, night: Night, interval_s: float = 0.25) -> None:
        self.night = night
        self.now = well(night)
        self.interval_s = interval_s
        self.mute = False
        self.requests: list[dict[str, Any]] = []
        self.port = 0

    @property
    def url(self) -> str:
        """Where the page is, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def _listen(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1"

    async def run(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """Serves until `stop`."""
        async with serve(
            self._session,
            "127.0.0.1",
            self.port,
            process_request=self._process,
            subprotocols=[SUBPROTOCOL],
            compression=None,
        ) as server:
            self.port = port_of(server)
            self._pages = Pages()
            ready.set()
            await stop.wait()

    async def _process(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/v1":
            return None
        if path == "/statusz":
            return connection.respond(200, json.dumps({"listen": self._listen}))
        page = await self._pages.answer(path, request.headers)
        if page is None:
            return connection.respond(404, "not found\n")
        headers = Headers([*page.headers, ("Content-Type", page.type)])
        headers["Content-Length"] = str(len(page.body))
        headers["Connection"] = "close"
        return Response(page.status, "", headers, page.body)

    async def _session(self, connection: ServerConnection) -> None:
        hello = {"channel": "system", "type": "hello", "data": [{"epoch": self.now["epoch"]}]}
        await send(connection, hello)
        telling = asyncio.create_task(self._tell(connection))
        try:
            async for text in connection:
                await self._answer(connection, orjson.loads(text))
        finally:
            telling.cancel()

    async def _answer(self, connection: ServerConnection, request: dict[str, Any]) -> None:
        self.requests.append(request)
        reply = {"method": request["method"], "req_id": request["req_id"], "success": True}
        if request["method"] == "history" and not self.mute:
            reply |= await asyncio.to_thread(self.night.answer, request.get("params", {}))
        if request["method"] == "list":
            reply["instruments"] = []
        if not self.mute:
            await send(connection, reply)

    async def _tell(self, connection: ServerConnection) -> None:
        kind = "snapshot"
        while True:
            if not self.mute:
                now = self.now | {"ts": time.time_ns()}
                ops = {"channel": "ops", "type": kind, "ts_send": now["ts"], "data": [now]}
                slo = {"channel": "slo", "type": "update", "ts_send": now["ts"]}
                try:
                    await send(connection, slo | {"data": [now["slo"]]})
                    await send(connection, ops)
                except ConnectionClosed:
                    return
                kind = "update"
            await asyncio.sleep(self.interval_s)


async def send(connection: ServerConnection, body: dict[str, Any]) -> None:
    """One message."""
    await connection.send(orjson.dumps(body).decode())


def port_of(server: Server) -> int:
    """The port really bound."""
    return int(next(iter(server.sockets)).getsockname()[1])


@contextmanager
def standing_in(stand_in: OpsStandIn) -> Iterator[OpsStandIn]:
    """Serves on a thread of its own while the context lasts; entered again, on the same port."""
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def serve_until_stopped() -> None:
        loop.run_until_complete(stand_in.run(ready, stop))
        loop.close()

    thread = threading.Thread(target=serve_until_stopped)
    thread.start()
    assert ready.wait(10)
    try:
        yield stand_in
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
