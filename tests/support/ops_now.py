"""What the `ops` channel says, made up: one document each for the states worth seeing."""

from collections.abc import Mapping
from typing import Any

TS = 1_790_000_000_000_000_000
"""When all of it was, REALTIME ns."""
_S = 1_000_000_000


def latency(p50_us: float, count: int = 81_234) -> dict[str, Any]:
    """A stage's or a class's figures, from its median."""
    few = count < 1000
    return {
        "count": count,
        "p50_us": p50_us,
        "p99_us": p50_us * 4,
        "p999_us": None if few else p50_us * 9,
        "max_us": p50_us * 30,
    }


def nothing() -> dict[str, Any]:
    """The same of no sample."""
    return {"count": 0, "max_us": 0.0} | dict.fromkeys(("p50_us", "p99_us", "p999_us"))


def point(ts: int = TS, p99_us: float | None = 410.6, **more: Any) -> dict[str, Any]:
    """One second."""
    return {
        "ts": ts,
        "span_s": 1,
        "state": "ok",
        "step": 0,
        "count": 8123,
        "p50_us": 31.2,
        "p99_us": p99_us,
        "p999_us": 902.1,
        "max_us": 1240.0,
        "heat": [[20, 8000], [36, 123]],
        "published": 1000,
        "delivered": 8123,
        "conflated": 12,
        "dropped": 0,
        "connections": 103,
        "classes": [],
        **more,
    }


def controller(worker: str = "worker-0", **more: Any) -> dict[str, Any]:
    """One worker's."""
    return {
        "worker": worker,
        "step": 0,
        "intervals_ms": [0, 0, 0, 0],
        "infeasible": False,
        "overload_s": None,
        "busy": 0.43,
        "highest": False,
        "delivered_per_s": 8123.0,
        "sweep_us": 310.0,
        "sweep_clients": 100,
        "write_fixed_ns": 3000,
        "write_each_ns": 110.0,
        "delivery_cost_ns": 3600,
        "fan_out_us": 360.0,
        "audience_max": 100,
        "ring_age_us": 85.0,
        "class_links": [100, 100, 3, 0],
        **more,
    }


def feed(name: str = "synthetic:SIM", **more: Any) -> dict[str, Any]:
    """One feed."""
    return {
        "name": name,
        "type": "synthetic",
        "venue": "SIM",
        "state": "up",
        "records": 123_456,
        "decode_errors": 0,
        "gaps": 0,
        "lost": 0,
        "duplicates": 0,
        "skipped": 0,
        "reconnects": 0,
        "last_record_ns": TS - 1_000_000,
        "message": "",
        "refused": {},
        "last_refused": None,
        **more,
    }


def process(name: str, role: str, **more: Any) -> dict[str, Any]:
    """One process."""
    return {
        "name": name,
        "role": role,
        "pid": 17,
        "state": "ready",
        "restarts": 0,
        "loop_lag_ms": 0.4,
        "loop_lag_max_ms": 12.0,
        "gc_pauses": 3,
        "gc_pause_max_ms": 4.1,
        "run_delay_ms": 0.2,
        "cpu": 0.31,
        "plane_stalls": 0,
        **more,
    }


def now(slo: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """All well."""
    objective = {
        "stage": "total",
        "percentile": 99,
        "target_us": 1000,
        "p50_us": 31.2,
        "p99_us": 410.6,
        "p999_us": 902.1,
        "max_us": 1240.0,
        "count": 81_234,
        "conflated": 12,
        "dropped": 0,
        "bad": 31,
        "window_s": 10.04,
        "state": "ok",
        "since": TS - 11_520 * _S,
        "action": "none",
        "budget_remaining": 0.962,
        "enforce": True,
        "burn": {"5m": 0.04, "30m": 0.03, "1h": 0.038, "6h": 0.02, "3d": 0.02},
        "alerts": [
            {"windows": "1h/5m", "rate": 14.4, "burning": False},
            {"windows": "6h/30m", "rate": 6, "burning": False},
            {"windows": "3d/6h", "rate": 1, "burning": False},
        ],
        "transitions": {"ok": 1, "at_risk": 1, "breached": 0, "infeasible": 0},
        "good_total": 900_000,
        "bad_total": 231,
        "classes": [
            {"class": number, "target_us": target, "conflated": 4 * number, "dropped": 0}
            | {"bad": 0, "state": "ok"}
            | (latency(30.0 + number) if number < 3 else nothing())
            for number, target in enumerate((1000, 1000, None, None))
        ],
    }
    return {
        "ts": TS,
        "version": "0.1.0",
        "epoch": "k3f9",
        "uptime_s": 11_530.2,
        "ready": True,
        "problems": [],
        "listen": "ws://127.0.0.1:8765/v1",
        "slo": objective | dict(slo or {}),
        "point": point(),
        "stages": {
            name: latency(p50_us)
            for name, p50_us in (
                ("wire", 4.0),
                ("ingest", 2.0),
                ("ring", 5.1),
                ("fanout", 21.0),
                ("total", 31.2),
            )
        },
        "channels": {},
        "connections": 103,
        "subscriptions": 210,
        "blocked": 1,
        "levels": [102, 1, 0, 0],
        "controller": [controller()],
        "history": [],
        "slowest": [
            {
                "worker": "worker-0",
                "connection_id": "c-17",
                "address": "10.0.0.9:51234",
                "level": 1,
                "age_ms": 153.0,
                "pending_bytes": 18_000,
                "why": "its socket takes 12 KB/s",
            }
        ],
        "feeds": [feed()],
        "processes": [process("feed", "feed"), process("worker-0", "worker")],
        "stalls": [],
        **more,
    }


def overloaded() -> dict[str, Any]:
    """Breached; the ladder is at work, and one feed is down."""
    return now(
        {
            "state": "breached",
            "since": TS - 42 * _S,
            "p99_us": 5230.0,
            "bad": 1231,
            "budget_remaining": -0.4,
            "burn": {"5m": 31.0, "30m": 7.0, "1h": 14.9, "6h": 2.0, "3d": 0.2},
            "alerts": [{"windows": "1h/5m", "rate": 14.4, "burning": True}],
            "action": "conflate",
        },
        ready=False,
        problems=["worker-1 keeps dying (signal)"],
        controller=[
            controller(step=4, intervals_ms=[0, 0, 20, None], overload_s=7.2, busy=0.99),
            controller("worker-1", step=1, intervals_ms=[0, 0, 0, None]),
        ],
        history=[
            {
                "ts": TS - (60 - n) * _S,
                "worker": "worker-0",
                "kind": "ladder",
                "step": n + 1,
                "was": n,
                "reason": f"ring age {n} ms and growing",
            }
            for n in range(20)
        ],
        feeds=[feed(), feed("udp:9700", state="down", message="no datagram for 5 s", gaps=3)],
        stalls=[
            {
                "ts": TS - 41 * _S,
                "process": "worker-0",
                "kind": "gc",
                "ms": 212.0,
                "words": "collection of generation 2 took 212 ms",
            }
        ],
    )


def infeasible() -> dict[str, Any]:
    """The largest fan-out alone takes longer than the target."""
    return now(
        {"state": "infeasible", "since": TS - 5 * _S, "p99_us": 9000.0},
        controller=[controller(infeasible=True, audience_max=5000, fan_out_us=18_000.0)],
    )


def idle() -> dict[str, Any]:
    """Nothing was ever delivered."""
    return now(
        {**nothing(), "budget_remaining": 1.0, "classes": [nothing() for _ in range(4)]},
        point=point(p99_us=None, **{k: v for k, v in nothing().items() if k != "p99_us"}),
        stages={name: nothing() for name in ("wire", "ingest", "ring", "fanout", "total")},
        controller=[controller(intervals_ms=[0, 0, 0, 0], sweep_us=0)],
        slowest=[],
        feeds=[],
        connections=0,
        levels=[0, 0, 0, 0],
    )
