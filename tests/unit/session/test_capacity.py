"""Admission: who is refused while a worker has its hands full, and who never is."""

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.session import REJECTIONS, Capacity, Follow, Load, Subscribe, Unsubscribe
from gateway.session.capacity import BUSY_PPM, FULL_PPM, OVERLOAD_NS, RETRY_MS

if TYPE_CHECKING:
    from unit.session.conftest import Client, Connect

SECOND = 1_000_000_000
NOW = 100 * SECOND
BUSY = Load(plane_busy_ppm=FULL_PPM + 1, offered_per_s=900_000, capacity_per_s=1_000_000, links=90)
"""Each link costs 10,000 deliveries a second, and there is room for ten more."""


def changed(**gauges: int) -> Load:
    fields = {name: getattr(BUSY, name) for name in Load.__struct_fields__}
    return Load(**fields | gauges)


def capacity(load: Load, *, enforce: bool = True) -> Capacity:
    return Capacity(lambda: load, enforce=enforce)


OVERLOADED = changed(overload_since_ns=NOW - 2 * SECOND)


@pytest.mark.parametrize(
    ("load", "topics", "refused"),
    [
        (Load(), 10_000, False),
        (BUSY, 10, False),
        (BUSY, 11, True),
        (changed(plane_busy_ppm=FULL_PPM), 11, False),
        (changed(capacity_per_s=0), 11, False),
        (changed(infeasible=1), 11, False),
        (changed(links=0), 1, True),  # what one more costs is not known: as much as all there is
        (changed(offered_per_s=1_000_001), 0, True),
        (OVERLOADED, 0, True),
        (changed(overload_since_ns=NOW, plane_busy_ppm=BUSY_PPM + 1), 1, True),
        (changed(overload_since_ns=NOW, plane_busy_ppm=BUSY_PPM), 11, False),  # late, but idle
        (changed(overload_since_ns=NOW - 60 * SECOND, infeasible=1), 1000, False),
    ],
)
def test_a_subscription(load: Load, topics: int, refused: bool) -> None:
    error = capacity(load).room(NOW).take(topics)
    assert (error is not None) is refused
    assert capacity(load, enforce=False).room(NOW).take(topics) is None


@pytest.mark.parametrize(
    ("since_ns", "other", "refused"),
    [
        (0, {}, False),
        (NOW, {}, False),
        (NOW - OVERLOAD_NS, {}, False),
        (NOW - OVERLOAD_NS - 1, {}, True),
        (NOW - OVERLOAD_NS - 1, {"infeasible": 1}, False),
        (NOW - OVERLOAD_NS - 1, {"plane_busy_ppm": BUSY_PPM + 1}, True),
        (NOW - OVERLOAD_NS - 1, {"plane_busy_ppm": BUSY_PPM}, False),
    ],
)
def test_a_new_client(since_ns: int, other: dict[str, int], refused: bool) -> None:
    load = changed(overload_since_ns=since_ns, **other)
    assert (capacity(load).overload(NOW) is not None) is refused
    assert capacity(load, enforce=False).overload(NOW) is None


def test_the_words_name_the_load_and_the_limit() -> None:
    error = capacity(BUSY).room(NOW).take(11)
    assert error is not None
    assert error.message == "900000 deliveries a second and 110000 more, of 1000000"
    overload = "overloaded for 2.0 s: 900000 deliveries a second, of 1000000"
    error = capacity(OVERLOADED).room(NOW).take(1)
    assert error is not None
    assert error.message == overload
    unknown = changed(overload_since_ns=NOW - OVERLOAD_NS - SECOND, capacity_per_s=0)
    assert capacity(unknown).overload(NOW) == (
        "overloaded for 6.0 s: 900000 deliveries a second, of an unknown number"
    )


@given(asked=st.lists(st.integers(0, 12), max_size=12))
def test_a_request_is_no_way_around_the_limit(asked: list[int]) -> None:
    room = capacity(BUSY).room(NOW)
    held = [topics for topics in asked if room.take(topics) is None]
    assert sum(held) <= 10
    for topics in asked:
        assert (room.take(topics) is None) is (sum(held) + topics <= 10)
        held += [topics] if sum(held) + topics <= 10 else []


def test_those_refused_come_back_at_different_times() -> None:
    errors = [capacity(OVERLOADED).room(NOW).take(1) for _ in range(200)]
    waits = {error.retry_after_ms for error in errors if error is not None}
    assert len(waits) > 50
    assert all(wait is not None and RETRY_MS[0] <= wait <= RETRY_MS[1] for wait in waits)


# --- in a session ---------------------------------------------------------------------------------


class Gauges:
    """What a session sees of its worker; tests change it."""

    def __init__(self) -> None:
        self.load = Load()

    def __call__(self) -> Load:
        return self.load


@pytest.fixture
def gauges() -> Gauges:
    return Gauges()


@pytest.fixture
def client(connect: "Connect", gauges: Gauges) -> "Client":
    return connect(load=gauges)


def test_an_overloaded_worker_refuses_what_is_new(client: "Client", gauges: Gauges) -> None:
    client.subscribe("ETH*")
    gauges.load = changed(overload_since_ns=client.mono_ns)
    reply = client.subscribe("ETH*", "BTC*", "NOPE.X", mode="conflate")
    held, new, unknown = reply["results"]
    assert (held["success"], held["mode"]) == (True, "conflate")
    assert new["error"] == {
        "code": "capacity",
        "message": "overloaded for 1.0 s: 900000 deliveries a second, of 1000000",
        "retryable": True,
        "retry_after_ms": 3000,
    }
    assert unknown["error"]["code"] == "unknown_symbol"
    assert client.session.subscriptions == 1
    assert dict(zip(REJECTIONS, client.shared.rejections, strict=True))["capacity"] == 1
    gauges.load = Load()
    assert client.subscribe("BTC*")["success"] is True


@pytest.mark.parametrize(
    ("method", "extra", "kind"),
    [("update", {"mode": "conflate"}, Subscribe), ("unsubscribe", {}, Unsubscribe)],
)
def test_what_is_held_can_always_be_changed_and_ended(
    client: "Client", gauges: Gauges, method: str, extra: dict[str, Any], kind: type
) -> None:
    client.subscribe("ETH*")
    gauges.load = OVERLOADED
    assert client.ask(method, {"channel": "trade", "symbol": ["ETH*"], **extra})["success"]
    assert isinstance(client.last, kind)


@pytest.mark.parametrize("channel", ["slo", "health"])
def test_what_the_gateway_says_of_itself_is_never_refused(
    client: "Client", gauges: Gauges, channel: str
) -> None:
    gauges.load = OVERLOADED
    assert client.subscribe("*", channel=channel)["success"] is True
    assert client.last == Follow(channel, on=True)


def test_a_pattern_weighs_as_much_as_it_covers(client: "Client", gauges: Gauges) -> None:
    gauges.load = changed(links=9)  # 100,000 deliveries each: room for one
    reply = client.subscribe("ETH*", "BTC*", "BRK.B.XNAS")
    assert [one["success"] for one in reply["results"]] == [False, True, False]
    assert reply["results"][0]["error"]["message"].startswith(
        "900000 deliveries a second and 200000"
    )


def test_a_refusal_takes_nothing_from_the_clients_own_limits(
    connect: "Connect", gauges: Gauges
) -> None:
    client = connect(load=gauges, topics_max=2, patterns_max=1)
    gauges.load = OVERLOADED
    client.subscribe("ETH*", "A.SIM", "B.SIM")
    gauges.load = Load()
    assert client.subscribe("ETH*")["failed"] == 0
    assert client.session.statistics().topics == 2
