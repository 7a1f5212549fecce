"""A client of a session: sends objects or texts on a manual clock, checks every answer's shape."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from gateway.model.topic import match_pattern
from gateway.session import (
    Action,
    Capacity,
    Close,
    Load,
    Options,
    Query,
    Session,
    Shared,
)
from gateway.session.actions import Wake

SLOT_WIDTHS = {0: 20, 1: 20, 2: 20, 3: 8, 4: 64}
TIME_OUT, SEQ, MATCHED, EPOCH = 1_700_000_000_000_000_123, 8812, 3, "k3f9aaaa"
RECOVERY = ',"recovery":"replaying","to":8820'
SLOT_TEXTS = {0: str(TIME_OUT), 1: str(SEQ), 2: str(MATCHED), 3: EPOCH, 4: RECOVERY}


def fill(payload: bytes, slots: Iterable[tuple[int, int, int]]) -> bytes:
    """What the data plane makes of a payload; each slot must be its width of spaces, in order."""
    filled, end = bytearray(payload), 0
    for offset, kind, _ in slots:
        width = SLOT_WIDTHS[kind]
        assert offset >= end
        end = offset + width
        assert filled[offset:end] == b" " * width
        filled[offset:end] = SLOT_TEXTS[kind].ljust(width).encode()
    return bytes(filled)


def granted(right: Any, channel: str, name: str) -> bool:
    """Whether a right, if there is one, grants a topic."""
    return right is None or right.decide(channel, name) is not None


@dataclass
class FakeCatalog:
    """Topics by channel; SIM and BINANCE are open venues, XNAS has a closed list."""

    topics: dict[str, list[str]] = field(
        default_factory=lambda: {
            "trade": ["BTCUSDT.BINANCE", "ETHBTC.BINANCE", "ETHUSDT.BINANCE", "BRK.B.XNAS"],
            "bbo": ["BTCUSDT.BINANCE", "BRK.B.XNAS"],
        }
    )
    matches: int = 0
    finds: int = 0
    steps_each: int = 4
    epoch: str = EPOCH
    full: int = 0

    def __len__(self) -> int:
        return sum(map(len, self.topics.values()))

    def venue(self, venue: str) -> Literal["unknown", "open", "closed"]:
        return {"SIM": "open", "BINANCE": "open", "XNAS": "closed"}.get(venue, "unknown")  # type: ignore[return-value]

    def listed(self, channel: str, name: str, venue: str) -> bool:
        return (channel, name, venue) == ("trade", "LATER.XNAS", "XNAS")

    def find(self, channel: str, name: str) -> bool:
        self.finds += 1
        return name in self.topics.get(channel, ())

    def match(self, channel: str, pattern: str, right: Any = None) -> tuple[int, int]:
        self.matches += 1
        names = [name for name in self.topics.get(channel, ()) if granted(right, channel, name)]
        covered = sum(match_pattern(pattern, name) for name in names)
        return covered, len(self) * self.steps_each

    def instruments(self, right: Any = None) -> list[tuple[str, list[str]]]:
        names = sorted({name for names in self.topics.values() for name in names})
        found = [
            (name, [c for c in self.topics if name in self.topics[c] and granted(right, c, name)])
            for name in names
        ]
        return [(name, channels) for name, channels in found if channels]


@dataclass
class Client:
    """One connection, with the time of its clock and all that was ever answered."""

    session: Session
    catalog: FakeCatalog
    shared: Shared
    mono_ns: int = 1_000_000_000
    real_ns: int = 1_600_000_000_000_000_000
    actions: list[Action] = field(default_factory=list)

    def send(self, request: Any, *, after_s: float = 1.0) -> list[Action]:
        """Sends an object as JSON, or a text as it is, so many seconds after the last one."""
        text = request if isinstance(request, str) else json.dumps(request)
        self.mono_ns += int(after_s * 1e9)
        actions = self.session.receive(text, mono_ns=self.mono_ns, real_ns=self.real_ns)
        for action in actions:
            if not isinstance(action, Query | Close | Wake):
                self.message(action)
        self.actions += actions
        return actions

    def message(self, action: Any) -> Any:
        """The message that the plane would send for an action."""
        return json.loads(fill(action.payload, action.slots))

    def ask(self, method: str, params: Any = None, req_id: Any = 7, **kwargs: Any) -> Any:
        """Sends a request that has one answer and returns it as a message."""
        request = {"method": method, "req_id": req_id}
        if params is not None:
            request["params"] = params
        actions = self.send(request, **kwargs)
        (action,) = actions
        return self.message(action)

    def subscribe(self, *symbols: str, channel: str = "trade", **params: Any) -> Any:
        """Subscribes and returns the reply."""
        return self.ask("subscribe", {"channel": channel, "symbol": symbols, **params})

    @property
    def last(self) -> Any:
        """The last action."""
        return self.actions[-1]


Connect = Callable[..., Client]


@pytest.fixture(scope="session")
def connect() -> Connect:
    """`connect(topics_max=5)` is a new client of a session with these limits."""

    def connect(
        catalog: FakeCatalog | None = None,
        shared: Shared | None = None,
        load: Callable[[], Load] = Load,
        names_waiting: Callable[[], int] = lambda: 0,
        access: Any = None,
        **limits: Any,
    ) -> Client:
        catalog = catalog or FakeCatalog()
        capacity = Capacity(
            load, target_ns=10_000_000, enforce=True, spread=lambda low, high: (low + high) // 2
        )
        shared = shared or Shared(Options(version="0.1.0", **limits), capacity, names_waiting)
        return Client(Session("c-17", catalog, shared, access), catalog, shared)

    return connect


@pytest.fixture
def client(connect: Connect) -> Client:
    """A client of a session with the default limits."""
    return connect()
