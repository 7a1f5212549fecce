"""What the `ops` channel says: the whole gateway at this second, for a page or a terminal.

Made once a second for all, and only while somebody follows it.
"""

import asyncio
import time
from typing import Any

import orjson
from msgspec.structs import asdict

from gateway.latency.control import LEVELS
from gateway.ops import processes
from gateway.ops.figures import figures
from gateway.ops.health import Health
from gateway.ops.objective import Watch
from gateway.ops.past import Past, point_document
from gateway.ops.reading import Reader, Reading
from gateway.ops.sampling import LOST, Sampling
from gateway.ops.status import objective
from gateway.ops.subject import Subject
from gateway.session.messages import HistoryParams

SLOWEST_MAX = 10
FRESH_S = 1.0
"""For so long a document is the same for those who come meanwhile."""

_RATES = ("published", "routed", "delivered", "conflated", "filtered", "snapshots")


class Live:
    """Makes the channel's messages.

    Args:
        subject: the gateway.
        watch: over its objective.
        health: whether it is ready.
        reader: of the stages' histograms, the same as /statusz has.
        sampling: counters and their rates.
    """

    def __init__(
        self, subject: Subject, watch: Watch, health: Health, reader: Reader, sampling: Sampling
    ) -> None:
        self._subject = subject
        self._watch = watch
        self._health = health
        self._reader = reader
        self._sampling = sampling
        self._started_s = time.monotonic()
        self._made_s = float("-inf")
        self._data = b""
        self._making = asyncio.Lock()

    def hello(self) -> dict[str, Any]:
        """What hello says of the gateway."""
        slo = self._subject.config.slo
        return {
            "version": self._subject.version,
            "epoch": self._subject.supervision().epoch,
            "slo": {
                "stage": slo.stage,
                "percentile": slo.percentile,
                "target_us": slo.target_us,
            },
        }

    async def message(self, kind: str) -> bytes:
        """The message of this second; `kind` is its type. Many who ask at once share the work."""
        async with self._making:
            now_s = time.monotonic()
            if kind == "update" or now_s - self._made_s > FRESH_S:
                # Megabytes are read for the stages: on a thread, as the loop watches processes.
                reading = await asyncio.to_thread(self._reader.read)
                self._data = orjson.dumps(self.document(now_s, reading))
                self._made_s = now_s
        head = b'{"channel":"ops","type":"%s","ts_send":%d,"data":['
        return head % (kind.encode(), time.time_ns()) + self._data + b"]}"

    async def history(self, params: HistoryParams) -> dict[str, Any]:
        """The reply to a request for the history; most of the work is done on a thread."""
        past = Past.of(self._sampling.history, params, time.time_ns())
        return await asyncio.to_thread(past.document)

    def document(self, now_s: float, reading: Reading) -> dict[str, Any]:
        """Everything, now; `now_s` is MONOTONIC."""
        subject, sampling = self._subject, self._sampling
        supervision = subject.supervision()
        problems = self._health.problems(now_s)
        look, last = self._watch.look, sampling.history.last
        window = reading.window | {subject.config.slo.stage: look.report.sample.histogram}
        return {
            "ts": time.time_ns(),
            "version": subject.version,
            "epoch": supervision.epoch,
            "uptime_s": round(now_s - self._started_s, 3),
            "ready": not problems,
            "problems": problems,
            "listen": subject.client_url,
            "slo": {"enforce": subject.config.slo.enforce, **objective(look)},
            "point": None if last is None else point_document(last),
            "stages": {name: figures(each) for name, each in window.items()},
            "channels": self._channels(),
            "connections": sampling.total("connections"),
            "subscriptions": sampling.total("subscriptions"),
            "blocked": sampling.total("clients_blocked"),
            "levels": [sampling.total("levels", level) for level in range(LEVELS)],
            "controller": [each.row() for each in look.controls],
            "history": sampling.transitions(),
            "slowest": self._slowest(),
            "feeds": processes.feeds(subject),
            "processes": self._processes(),
            "stalls": sampling.stalls(),
        }

    def _channels(self) -> dict[str, dict[str, float]]:
        rate = self._sampling.rate
        return {
            channel: {name: round(rate(name, index), 1) for name in _RATES}
            | {"dropped": round(sum(rate(name, index) for name in LOST), 1)}
            for channel, index in self._subject.channels.items()
        }

    def _slowest(self) -> list[dict[str, Any]]:
        every = [
            {"worker": child.name, **asdict(each)}
            for child in self._subject.supervision().children
            if child.status.worker is not None
            for each in child.status.worker.slowest
        ]
        every.sort(key=lambda each: each["age_ms"], reverse=True)
        return every[:SLOWEST_MAX]

    def _processes(self) -> list[dict[str, Any]]:
        rows = processes.rows(self._subject)
        return [row | {"restarts": sum(row["restarts"].values())} for row in rows]
