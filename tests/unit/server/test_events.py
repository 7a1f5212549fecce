"""How many of the plane's events the loop tells in one iteration."""

from types import SimpleNamespace
from typing import Any

from gateway import _native as native
from gateway.server.registry import EVENTS_PER_TURN, Registry
from gateway.server.tenants import Tenants

CLIENTS = 150


class Ending:
    """Stands for a connection, and for whatever else an end is told to."""

    close_code = 1006
    close_reason = peer = ""
    tenant = 0

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def test_a_thousand_ends_are_told_some_in_each_iteration() -> None:
    waiting = [(native.EVENT_REMOVED, handle) for handle in range(CLIENTS)]
    soon: list[Any] = []

    def take(limit: int) -> list[tuple[object, ...]]:
        taken, waiting[:limit] = waiting[:limit], []
        return list(taken)

    ending: Any = Ending()
    plane: Any = SimpleNamespace(events=take)
    registry = Registry(ending, soon.append, ending, ending, Tenants(()))
    registry.clients.update((handle, ending) for handle in range(CLIENTS))
    registry.end()
    soon.append(lambda: registry.events(plane, ending))
    left = []
    while soon:  # each is an iteration of its own: call_soon never runs in the one that asks
        assert not registry.empty.is_set()
        soon.pop(0)()
        left.append(len(registry))
    assert left == [CLIENTS - EVENTS_PER_TURN, CLIENTS - 2 * EVENTS_PER_TURN, 0]
    assert registry.empty.is_set()
