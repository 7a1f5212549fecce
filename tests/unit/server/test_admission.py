"""Who is let in: the limit, the drain, and an overload that lasts."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

from gateway._native import StatsPage
from gateway.model.outcomes import HANDSHAKES
from gateway.server.listener import Listener
from gateway.session.capacity import OVERLOAD_NS, Capacity, Load
from gateway.session.handshake import Refusal

NOW = 100_000_000_000
LONG = Load(
    overload_since_ns=NOW - OVERLOAD_NS - 1,
    plane_busy_ppm=1_000_000,
    offered_per_s=7,
    capacity_per_s=5,
)


def admitted(load: Load, *, clients: int = 0, draining: bool = False) -> Refusal | None:
    """The answer to one more client of at most two."""
    capacity = Capacity(lambda: load, enforce=True)
    listener: Any = SimpleNamespace(
        _draining=draining,
        _clients=dict.fromkeys(range(clients)),
        max_connections=2,
        _shared=SimpleNamespace(capacity=capacity),
        now_ns=lambda: NOW,
        full=lambda: Listener.full(listener),
        _shed=lambda why: Listener._shed(listener, why),
    )
    return Listener.admission(listener)


def test_there_is_room() -> None:
    assert admitted(Load(), clients=1) is None


def test_an_overload_that_lasts_sends_new_clients_away_for_a_while_each() -> None:
    refusals = [admitted(LONG) for _ in range(100)]
    after: Counter[str] = Counter()
    for refusal in refusals:
        assert refusal is not None
        assert (refusal.status, refusal.result) == (503, "overload")
        assert refusal.result in HANDSHAKES
        assert "7 deliveries a second, of 5" in refusal.text
        ((name, value),) = refusal.headers
        assert name == "Retry-After"
        after[value] += 1
    assert len(after) > 1
    assert set(after) <= {"1", "2", "3", "4", "5"}


def test_a_full_and_a_draining_gateway_say_so_first() -> None:
    for refusal in (admitted(LONG, clients=2), admitted(LONG, draining=True)):
        assert refusal is not None
        assert refusal.result == "shed"


def test_the_load_is_what_the_page_says(page: StatsPage) -> None:
    names = Load.__struct_fields__
    for value, name in enumerate(names, start=1):
        page.set(name, 0, value)
    listener: Any = SimpleNamespace(_stats=page)
    assert Listener._load(listener) == Load(*range(1, len(names) + 1))
