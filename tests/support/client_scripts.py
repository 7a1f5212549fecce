"""Scripts of what happens to a client, and what the Python client makes of them: other clients
must tell the same.

The gateway in them is a made-up one, that loses records, skips some, restarts and numbers anew. Of
what it is asked for with `from` it sends some again, says that it has no more of others, and does
as if it had not heard. Where its numbering may restart between two connections no name is lossless:
a client may ask for one by its number before the hello, or by a time after it.
"""

import json
import random
from typing import Any

import msgspec

from gateway.client import (
    Bbo,
    Book,
    ClientSession,
    Conflation,
    Event,
    Gap,
    Hello,
    Malformed,
    RawTick,
    ReplayCompleted,
    Reply,
    Retired,
    Slow,
    System,
    Trade,
)
from gateway.client.requests import Request
from gateway.model.topic import is_pattern

NOW = 1_723_161_255_342_000_001
SECOND_NS = 1_000_000_000
SCRIPTS = 60
STEPS = 80
SYMBOLS = ("A.SIM", "B.SIM", "BAC-I*.X")
STRINGS = {
    "trade": ("*", "*.SIM", "A*", "BAC-I~**", "B.SIM", "BAC-I~*.X"),
    "bbo": ("*.SIM", "A.SIM", "BAC-I~*.X"),
}
TIMES = {"ts_event": NOW, "ts_recv": NOW + 1, "ts_send": NOW + 2}
DATA: dict[str, dict[str, Any]] = {
    "trade": {"id": "1", "price": "64250.10", "qty": "0.015", "side": "buy"},
    "bbo": {"bid": "1.0", "bid_qty": "2", "ask": None, "ask_qty": None},
}
MEMBERS: dict[type[Event], tuple[str, ...]] = {
    Conflation: ("class_", "interval_ms", "was_ms", "step"),
    Gap: ("channel", "symbol", "reason", "from_seq", "to_seq", "lost"),
    Hello: ("epoch",),
    Malformed: (),
    ReplayCompleted: ("channel", "symbol", "from_seq", "to_seq"),
    Retired: ("channel", "symbol"),
    Slow: ("level", "was", "action", "age_ms"),
    System: ("type",),
}


class Happening:
    """Steps, each with the requests (`req_id` and strings) and events that follow from it."""

    def __init__(self, seed: int) -> None:
        self.steps: list[dict[str, Any]] = []
        self._dice = random.Random(seed)
        self._session = ClientSession()
        self._clock_s = 0
        self._epoch = 1
        self._unanswered: list[Request] = []

    def made(self, steps: int) -> dict[str, Any]:
        """The whole script, and what the client counted."""
        self._begin()
        for _ in range(steps):
            self._step()
        return {"steps": self.steps, "statistics": msgspec.to_builtins(self._session.statistics())}

    def _begin(self) -> None:
        self._connect()

    def _step(self) -> None:
        raise NotImplementedError

    def _did(self, step: dict[str, Any], requests: list[Request], events: list[Event]) -> None:
        for request in requests:
            params = json.loads(request.text)["params"]
            step.setdefault("asks", []).append(
                [request.req_id, params["channel"], params["symbol"], params.get("from")]
            )
        self._unanswered += requests
        self.steps.append(step | {"tells": [told(event) for event in events]})

    def _connect(self) -> None:
        self._unanswered.clear()
        self._clock_s += 1
        hello = {"version": "1", "connection_id": "c", "epoch": f"e{self._epoch}", "now": NOW}
        text = json.dumps({"channel": "system", "type": "hello", "data": [hello]})
        requests = self._session.connected(self._clock_s * SECOND_NS)
        self._did({"do": "connect", "text": text}, requests, self._receive(text))

    def _message(self, text: str) -> None:
        self._clock_s += 1
        events = self._receive(text)
        self._did({"do": "tell", "text": text}, self._follows(events), events)

    def _follows(self, events: list[Event]) -> list[Request]:
        """What the client asks for after these events."""
        gaps = [event for event in events if isinstance(event, Gap)]
        return [request for gap in gaps for request in self._session.resync(gap)]

    def _receive(self, text: str) -> list[Event]:
        return self._session.receive(text, mono_ns=self._clock_s * SECOND_NS, real_ns=NOW)


class Script(Happening):
    """Of trades and quotes."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._seqs = {(channel, symbol): 0 for channel in DATA for symbol in SYMBOLS}
        self._asked_first = 0
        self._replaying: list[tuple[str, str]] = []
        self._restarts = seed % 2 == 0

    def _step(self) -> None:
        match self._dice.randrange(20):
            case 0:
                self._epoch += self._restarts and self._dice.random() < 0.3
                self._move()
                self._connect()
            case 1 | 2:
                self._ask(self._dice.choice(("subscribe", "subscribe", "unsubscribe")))
            case 3 | 4 | 5:
                if self._unanswered:
                    self._reply(self._unanswered.pop(0))
            case 6:
                self._message(self._notice())
            case 7 | 8 if self._replaying:
                self._message(self._completed())
            case 7:
                self._message(self._dice.choice(("{", '{"channel":"trade"}', '{"method":1}')))
            case _ if self._answered:
                self._record()

    @property
    def _answered(self) -> bool:
        """Whether what was asked for with the connection is answered: before, no record comes."""
        return all(request.req_id > self._asked_first for request in self._unanswered)

    def _connect(self) -> None:
        self._replaying.clear()
        super()._connect()
        self._asked_first = max((request.req_id for request in self._unanswered), default=0)

    def _ask(self, method: str) -> None:
        channel = self._dice.choice(tuple(STRINGS))
        symbol = self._dice.choice(STRINGS[channel])
        if channel == "trade" and self._restarts and not is_pattern(symbol):
            return
        requests = getattr(self._session, method)(channel, [symbol])
        self._did({"do": method, "channel": channel, "symbol": symbol}, requests, [])

    def _reply(self, request: Request) -> None:
        asked = json.loads(request.text)
        params = asked["params"]
        mode = "lossless" if params["channel"] == "trade" else "conflate"
        results = [
            self._result(symbol, mode) | self._recovery(params, symbol)
            for symbol in params["symbol"]
        ]
        reply = {"method": asked["method"], "req_id": request.req_id, "success": True}
        self._message(json.dumps(reply | {"results": results}))

    def _result(self, symbol: str, mode: str) -> dict[str, Any]:
        if self._dice.random() < 0.1:
            return {"symbol": symbol, "success": False, "error": {"code": "forbidden"}}
        return {"symbol": symbol, "success": True, "mode": mode}

    def _recovery(self, params: dict[str, Any], symbol: str) -> dict[str, Any]:
        """What a result says of `from`; the numbers go back where records come again."""
        asked = params.get("from")
        if asked is None or self._dice.random() < 0.1:
            return {}
        if self._dice.random() < 0.3:
            return {"recovery": "insufficient_state", "oldest": 1}
        self._replaying.append((params["channel"], symbol))
        for topic in self._seqs:
            self._seqs[topic] = max(0, self._seqs[topic] - self._dice.randrange(6))
        return {"recovery": "replaying"} | {name: asked[name] for name in asked if name == "seq"}

    def _completed(self) -> str:
        channel, symbol = self._replaying.pop(0)
        row = {"channel": channel, "symbol": symbol, "from": 8, "to": 9}
        return json.dumps({"channel": "system", "type": "replay_completed", "data": [row]})

    def _notice(self) -> str:
        channel, symbol = self._dice.choice(tuple(self._seqs))
        topic = {"channel": channel, "symbol": symbol}
        kind, row = self._dice.choice(
            (
                ("gap", topic | {"from": 3, "to": 7, "reason": "lapped"}),
                ("gap", topic | {"lost": 2, "reason": "feed"}),
                ("gap", topic | {"reason": "refused"}),
                ("retired", topic),
                ("conflation", {"class": 2, "interval_ms": None, "was_ms": 20, "step": 3}),
                ("slow", {"level": 1, "was": 0, "action": "live"}),
                ("limit_exceeded", {"limit": "notices", "value": 1}),
                ("epoch", {"epoch": f"e{self._epoch + 1}"}),
            )
        )
        if kind == "epoch":
            self._epoch += 1
            self._seqs = dict.fromkeys(self._seqs, 0)
        return json.dumps({"channel": "system", "type": kind, "data": [row]})

    def _move(self) -> None:
        """Time passes in which this client gets nothing."""
        for topic in self._seqs:
            self._seqs[topic] += self._dice.randrange(3)

    def _record(self) -> None:
        channel, symbol = topic = self._dice.choice(tuple(self._seqs))
        skipped = self._dice.choice((0, 0, 0, 1, 3))
        lost = self._dice.choice((0, 0, 0, 0, 0, 0, 2, -1))
        self._seqs[topic] = max(1, self._seqs[topic] + 1 + skipped + lost)
        head = {"channel": channel, "symbol": symbol, "seq": self._seqs[topic], **TIMES}
        head["ts_recv"] = NOW + self._clock_s * SECOND_NS
        head["type"] = self._dice.choice(("update", "update", "snapshot"))
        row = DATA[channel] if self._dice.random() < 0.95 else {}
        self._message(json.dumps(head | {"data": [row], "skipped": skipped}))


def told(event: Event) -> list[Any]:
    """An event as all clients can write it."""
    match event:
        case Trade() | Bbo():
            number = event.price_text if isinstance(event, Trade) else event.bid_text
            return [event.channel, event.symbol, event.type, event.seq, event.skipped, number]
        case Book():
            sides = [] if event.book is None else [event.book.bids, event.book.asks]
            best = [[side[0].price_text, side[0].qty_text] if side else None for side in sides]
            return ["book", event.symbol, event.type, event.seq, event.skipped, best]
        case RawTick():
            return ["raw", event.channel, event.symbol, event.seq, event.problem != ""]
        case Reply():
            return ["reply", event.req_id, [result.success for result in event.results]]
    kind = type(event)
    return [kind.__name__.lower(), *(getattr(event, member) for member in MEMBERS[kind])]


def scripts() -> list[dict[str, Any]]:
    """All of them; the same in every run."""
    return [Script(seed).made(STEPS) for seed in range(SCRIPTS)]
