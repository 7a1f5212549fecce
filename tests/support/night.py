"""A made-up day of a gateway at one point a second, for pages that show its history.

Kept as numbers of every second, and merged as the gateway merges: counts and histograms are added
up, and percentiles are read from the sum.
"""

import time
from typing import Any

import numpy as np

DAY_S = 86_400
BUCKETS = 72
RARE_MIN = 1000
TARGET_US = 1000.0
QUARTER = 0.25
"""A bucket's width in the logarithm to the base 2 of microseconds."""


class Night:
    """The last `span_s` seconds before `end_ns`, with one bad quarter of an hour in them.

    Args:
        per_s: deliveries of a second, about.
        bad_share: where between the start (0) and the end (1) the trouble was; above 1 for none.
    """

    def __init__(
        self,
        *,
        end_ns: int | None = None,
        span_s: int = DAY_S,
        per_s: float = 4000,
        bad_share: float = 0.62,
    ) -> None:
        random = np.random.default_rng(7)
        self.span_s = span_s
        self.end_ns = time.time_ns() if end_ns is None else end_ns
        at = np.arange(span_s)
        self.trouble = np.exp(-(((at - bad_share * span_s) / (min(span_s, 6000) / 6)) ** 2))
        daily = 1 + 0.5 * np.sin(2 * np.pi * at / DAY_S) + 0.05 * random.standard_normal(span_s)
        self.count = np.maximum(per_s * daily * (1 + self.trouble), 1).astype(np.int64)
        middle = np.log2(180 * (1 + 6 * self.trouble)) / QUARTER + random.normal(0, 0.5, span_s)
        centre = np.arange(BUCKETS)[None, :]
        spread = 2.2 + 2 * self.trouble[:, None]
        bell = np.exp(-0.5 * ((centre - middle[:, None]) / spread) ** 2)
        bell += (
            0.004
            * np.exp(-np.maximum(centre - middle[:, None], 0) / 5)
            * (centre > middle[:, None])
        )
        bell /= bell.sum(axis=1, keepdims=True)
        self.heat = np.floor(bell * self.count[:, None] + random.random((span_s, BUCKETS)) * 0.9)
        self.heat = self.heat.astype(np.int64)
        self.count = self.heat.sum(axis=1)
        self.step = np.floor(self.trouble * 6.5).astype(int)
        self.connections = (900 + 90 * np.sin(at / 4000) + 8 * np.sin(at / 60)).astype(int)
        self.published = (200 * daily).astype(np.int64)

    def answer(self, params: dict[str, Any]) -> dict[str, Any]:
        """The fields of a reply to `history`, besides its envelope."""
        to_ns = min(params.get("to", self.end_ns), self.end_ns)
        from_ns = params.get("from", to_ns - 900 * 10**9)
        last = self.span_s - max((self.end_ns - to_ns) // 10**9, 0)
        first = max(self.span_s - (self.end_ns - from_ns) // 10**9, 0)
        wide = max(1, -(-(last - first) // params.get("points", 600)))
        places = range(int(first), int(last), int(wide))
        return {
            "points": [self.point(place, int(min(place + wide, last))) for place in places],
            "merged": self.merged(int(first), int(last)),
            "resolution_s": int(wide),
            "from": from_ns,
            "to": to_ns,
        }

    def point(self, first: int, last: int) -> dict[str, Any]:
        """One point of the seconds `first` up to `last`."""
        heat = self.heat[first:last].sum(axis=0)
        step = int(self.step[first:last].max(initial=0))
        degraded = int(self.count[first:last].sum() * (step > 0))
        figures = summary(heat)
        parts = (0.2, 0.5, 0.25, 0.05)
        return {
            "ts": self.end_ns - (self.span_s - last) * 10**9,
            "span_s": last - first,
            "state": ("ok", "at_risk", "breached")[min(step, 4) // 2],
            "step": step,
            "count": figures["count"],
            **{name: figures[name] for name in ("p50_us", "p99_us", "p999_us", "max_us")},
            "heat": [[bucket, int(many)] for bucket, many in enumerate(heat) if many],
            "published": int(self.published[first:last].sum()),
            "delivered": figures["count"],
            "conflated": degraded // 3,
            "dropped": degraded // 900,
            "connections": int(self.connections[last - 1]),
            "classes": [
                {
                    "count": int(figures["count"] * part),
                    "p99_us": figures["p99_us"] and figures["p99_us"] * (0.4 + 0.3 * number),
                    "conflated": degraded // 4 * (number == 2) + degraded // 12 * (number == 3),
                    "dropped": degraded // 900 * (number == 3),
                }
                for number, part in enumerate(parts)
            ],
        }

    def merged(self, first: int, last: int) -> dict[str, Any]:
        """All of the seconds `first` up to `last` in one distribution."""
        heat = self.heat[first:last].sum(axis=0)
        shares = [100 * (1 - 0.5 ** (n / 4)) for n in range(80)] + [100.0]
        lines = [[share, quantile(heat, share)] for share in shares] if heat.sum() else []
        hgrm = "".join(f"{us:12.3f} {share / 100:14.12f}\n" for share, us in lines)
        return {**summary(heat), "percentiles": lines, "hdr": "", "hgrm": hgrm}


def quantile(heat: "np.ndarray[Any, Any]", percentile: float) -> float:
    """Of counts by bucket, in microseconds."""
    sums = np.cumsum(heat)
    rank = max(1, int(np.ceil(sums[-1] * percentile / 100 - 1e-9)))
    bucket = int(np.searchsorted(sums, rank))
    into = (rank - (sums[bucket - 1] if bucket else 0)) / heat[bucket]
    return float(round(2 ** ((bucket + into) * QUARTER), 3))


def summary(heat: "np.ndarray[Any, Any]") -> dict[str, Any]:
    """A distribution's figures, None where there are too few values for one."""
    count = int(heat.sum())
    known = {
        name: quantile(heat, share) if count else None
        for name, share in (("p50_us", 50), ("p90_us", 90), ("p99_us", 99), ("max_us", 100))
    }
    return {
        "count": count,
        **known,
        "p999_us": quantile(heat, 99.9) if count >= RARE_MIN else None,
    }
