"""The client's session: what was missed is told, within a connection, across them, and once."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.said import UNKNOWN, Missing, ack, good, hello, missing, receive, tick

from gateway.client.events import Gap, Retired, System
from gateway.client.requests import Request
from gateway.client.session import ClientSession
from gateway.client.ticks import Bbo, Tick, Trade

# --- continuity -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "gaps"),
    [
        ([(5, 0), (6, 0), (7, 0)], []),
        ([(5, 0), (9, 3), (10, 0)], []),
        ([(5, 0), (7, 0)], [(6, 6, 1)]),
        ([(5, 0), (9, 2)], [(6, 6, 1)]),
        ([(5, 0), (9, 1)], [(6, 7, 2)]),
        ([(5, 0), (5, 0)], [UNKNOWN]),
        ([(5, 0), (7, 3)], [UNKNOWN]),
        ([(5, 0), (4, 0), (5, 0)], [UNKNOWN]),
        ([(5, 0), (7, 0), (8, 0), (10, 0)], [(6, 6, 1), (9, 9, 1)]),
    ],
)
def test_continuity(frames: list[tuple[int, int]], gaps: list[Missing]) -> None:
    session = ClientSession()
    events = [e for seq, skipped in frames for e in receive(session, tick(seq, skipped=skipped))]
    assert missing(events) == [("sequence", *gap) for gap in gaps]
    assert [e.seq for e in events if isinstance(e, Tick)] == [seq for seq, _ in frames]
    assert session.statistics().gaps == len(gaps)


def test_topics_are_counted_apart() -> None:
    session = ClientSession()
    for message in (tick(5), tick(8, "B.SIM"), tick(3, channel="bbo"), tick(6), tick(9, "B.SIM")):
        assert not any(isinstance(event, Gap) for event in receive(session, message))
    assert session.statistics().topics == 3


def test_an_epoch_restarts_the_numbering() -> None:
    session = ClientSession()
    receive(session, tick(500))
    epoch = {"channel": "system", "type": "epoch", "data": [{"epoch": "e2"}]}
    assert receive(session, epoch) == [System("epoch", ({"epoch": "e2"},))]
    assert [type(event) for event in receive(session, tick(1))] == [Trade]


@pytest.mark.parametrize("symbol", ["A.SIM", "*.SIM", "*", "A*", "A.*M"])
def test_the_first_frame_after_an_ack_sets_last(symbol: str) -> None:
    session = ClientSession()
    receive(session, tick(500))
    (request,) = session.subscribe("trade", [symbol])
    receive(session, ack(request, good(symbol)))
    assert missing(receive(session, tick(700))) == [("resubscribe", 501, 699, 199)]
    assert missing(receive(session, tick(702))) == [("sequence", 701, 701, 1)]


@pytest.mark.parametrize("symbol", ["B.SIM", "*.OTHER", "AA*", "A.SI"])
def test_an_ack_of_another_topic_changes_nothing(symbol: str) -> None:
    session = ClientSession()
    receive(session, tick(500))
    (request,) = session.subscribe("trade", [symbol])
    receive(session, ack(request, good(symbol)))
    assert missing(receive(session, tick(700))) == [("sequence", 501, 699, 199)]


@given(st.lists(st.tuples(st.sampled_from(["A.SIM", "B.SIM"]), st.integers(0, 3)), max_size=30))
def test_any_loss_that_is_announced_is_no_gap(steps: list[tuple[str, int]]) -> None:
    session = ClientSession()
    seq = {"A.SIM": 0, "B.SIM": 0}
    for symbol, skipped in steps:
        seq[symbol] += 1 + skipped
        message = tick(seq[symbol], symbol, skipped=skipped)
        assert not any(isinstance(event, Gap) for event in receive(session, message))
    assert session.statistics().skipped == sum(skipped for _, skipped in steps)


# --- across connections ---------------------------------------------------------------------------


def again(session: ClientSession, epoch: str = "e1") -> list[Request]:
    """Another connection, with its hello."""
    requests = session.connected(0)
    receive(session, hello(epoch))
    return requests


def subscribed(*symbols: str, channel: str = "trade", **params: Any) -> ClientSession:
    session = ClientSession()
    session.subscribe(channel, symbols, **params)
    again(session)
    return session


@pytest.mark.parametrize(
    ("first", "gaps"),
    [
        (tick(7, type="snapshot"), []),
        (tick(8, type="snapshot"), []),
        (tick(8), []),
        (tick(10, type="snapshot"), [("reconnect", 8, 9, 2)]),
        (tick(10), [("reconnect", 8, 9, 2)]),
        (tick(10, skipped=1), [("reconnect", 8, 8, 1)]),
        (tick(10, skipped=2), []),
        (tick(3, type="snapshot"), [("reconnect", *UNKNOWN)]),
    ],
)
def test_f79_what_was_missed_between_two_connections_is_a_gap(
    first: dict[str, Any], gaps: list[tuple[Any, ...]]
) -> None:
    session = subscribed("*")
    receive(session, tick(7))
    again(session)
    events = receive(session, first)
    assert missing(events) == gaps
    assert isinstance(events[-1], Trade)
    statistics = session.statistics()
    assert statistics.gaps == len(gaps)
    assert statistics.lost == sum(gap[3] or 0 for gap in gaps)
    follows = receive(session, tick(first["seq"] + 1))
    assert not missing(follows), "once"


def test_of_a_conflated_topic_what_was_missed_is_skipped() -> None:
    session = subscribed("A.SIM", channel="bbo")
    receive(session, tick(7, channel="bbo"))
    again(session)
    (quote,) = receive(session, tick(12, channel="bbo", type="snapshot", skipped=1))
    assert isinstance(quote, Bbo)
    assert quote.skipped == 4
    statistics = session.statistics()
    assert (statistics.skipped, statistics.lost, statistics.gaps) == (4, 0, 0)


@pytest.mark.parametrize(
    ("names", "modes", "is_gap"),
    [
        (["A.SIM", "*"], ["conflate", "lossless"], False),
        (["A.SIM", "*"], ["lossless", "conflate"], True),
        (["*", "A*"], ["conflate", "lossless"], True),
        (["*", "A*"], ["lossless", "conflate"], False),
    ],
)
def test_the_mode_in_force_decides_whether_it_is_a_gap(
    names: list[str], modes: list[str], is_gap: bool
) -> None:
    session = subscribed(*names)
    receive(session, tick(7))
    (request,) = again(session)
    results = [good(n) | {"mode": mode} for n, mode in zip(names, modes, strict=True)]
    receive(session, ack(request, *results))
    events = receive(session, tick(9))
    assert bool(missing(events)) is is_gap
    assert session.statistics().skipped == (0 if is_gap else 1)


def test_another_epoch_can_not_be_counted() -> None:
    session = subscribed("*")
    receive(session, tick(7))
    receive(session, tick(7, channel="bbo"))
    again(session, "e2")
    assert missing(receive(session, tick(1))) == [("reconnect", *UNKNOWN)]
    assert missing(receive(session, tick(1, channel="bbo"))) == []
    # The epoch may have changed in the middle of a connection, too: then it is that one that holds.
    receive(session, {"channel": "system", "type": "epoch", "data": [{"epoch": "e3"}]})
    receive(session, tick(1))
    again(session, "e3")
    assert missing(receive(session, tick(4))) == [("reconnect", 2, 3, 2)]


def test_what_was_missed_is_told_however_many_connections_failed_meanwhile() -> None:
    session = subscribed("*")
    receive(session, tick(7))
    session.connected(0)  # which said nothing
    again(session)  # where no record of it came
    again(session)
    assert missing(receive(session, tick(10))) == [("reconnect", 8, 9, 2)]


def test_without_a_snapshot_the_reply_tells_what_was_missed() -> None:
    session = subscribed("A.SIM", snapshot=False)
    receive(session, tick(7))
    (request,) = again(session)
    result = good("A.SIM") | {"seq": 9, "epoch": "e1", "snapshot": False}
    assert missing(receive(session, ack(request, result))) == [("reconnect", 8, 9, 2)]
    assert missing(receive(session, tick(12))) == [("reconnect", 10, 11, 2)]
    assert session.statistics().lost == 4
    (request,) = again(session, "e2")
    receive(session, ack(request, result | {"epoch": "e2"}))
    assert missing(receive(session, tick(10))) == [("reconnect", *UNKNOWN)]


def test_what_is_no_longer_wanted_is_not_missed() -> None:
    session = subscribed("A.SIM", "*.B")
    receive(session, tick(7))
    receive(session, tick(7, "X.B"))
    for symbol in ("A.SIM", "*.B"):
        (request,) = session.unsubscribe("trade", symbol)
        receive(session, ack(request, {"symbol": symbol, "success": True}))
    assert missing(receive(session, tick(20))) == []
    assert missing(receive(session, tick(20, "X.B"))) == []
    session.subscribe("trade", "*")
    (request,) = session.unsubscribe("trade", "A.SIM")  # another string still covers it
    receive(session, ack(request, {"symbol": "A.SIM", "success": True}))
    assert missing(receive(session, tick(23))) == [("resubscribe", 21, 22, 2)]


class Publisher:
    """A naive gateway of one topic: what it publishes, loses and merges is counted by hand."""

    def __init__(self, session: ClientSession, channel: str) -> None:
        self.session = session
        self.channel = channel
        self.seq = 0
        self.skipped = 0  # merged, and to be told with the next frame
        self.first = 0  # the first record that the client got
        self.got: set[int] = set()
        self.told = 0
        self.fresh = True  # no frame since the subscription

    def step(self, what: str) -> None:
        match what:
            case "lose":  # whatever is not told while connected
                self.seq += 1
                self.skipped = 0 if self.fresh else self.skipped
            case "merge" if not self.fresh:
                self.seq += 1
                self.skipped += 1
            case "reconnect":
                again(self.session)
                self.fresh, self.skipped = True, 0
            case "resubscribe":
                (request,) = self.session.subscribe(self.channel, "*")
                receive(self.session, ack(request, good("*")))
                self.fresh, self.skipped = True, 0
            case "snapshot" if self.fresh and self.seq:
                self.send("snapshot")
            case "update":
                self.seq += 1
                self.send("update")

    def send(self, kind: str) -> None:
        frame = tick(self.seq, channel=self.channel, type=kind, skipped=self.skipped)
        events = receive(self.session, frame)
        self.first = self.first or self.seq
        self.got.add(self.seq)
        record = events[-1]
        assert isinstance(record, Tick)
        self.told += record.skipped
        self.told += sum(gap.lost or 0 for gap in events[:-1] if isinstance(gap, Gap))
        self.fresh, self.skipped = False, 0
        assert self.told == self.seq - self.first + 1 - len(self.got)


@pytest.mark.parametrize("channel", ["trade", "bbo"])
@given(
    st.lists(
        st.sampled_from(["lose", "merge", "reconnect", "resubscribe", "snapshot", "update"]),
        max_size=40,
    )
)
def test_f79_every_record_came_or_was_told_to_be_missing(channel: str, steps: list[str]) -> None:
    publisher = Publisher(subscribed("*", channel=channel), channel)
    for step in steps:
        publisher.step(step)
    statistics = publisher.session.statistics()
    assert statistics.skipped + statistics.lost == publisher.told


# --- what the gateway tells of gaps ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "gap"),
    [
        ({"from": 8, "to": 10, "reason": "lapped"}, Gap("trade", "A.SIM", "lapped", 8, 10, 3)),
        ({"from": 8, "to": 8, "reason": "failover"}, Gap("trade", "A.SIM", "failover", 8, 8, 1)),
        ({"reason": "feed", "lost": 5}, Gap("trade", "A.SIM", "feed", lost=5)),
        ({"reason": "refused"}, Gap("trade", "A.SIM", "refused")),
        ({"reason": "reset", "why": "new"}, Gap("trade", "A.SIM", "reset")),
        ({"reason": "unheard of"}, Gap("trade", "A.SIM", "unheard of")),
        ({"from": 8, "to": 7}, Gap("trade", "A.SIM", "", 8, 7)),
    ],
)
def test_a_gap_that_the_gateway_tells(row: dict[str, Any], gap: Gap) -> None:
    session = subscribed("A.SIM")
    data = [{"channel": "trade", "symbol": "A.SIM"} | row]
    assert receive(session, {"channel": "system", "type": "gap", "data": data}) == [gap]
    assert session.resync(gap) == [], "the gateway goes on by itself"
    assert session.statistics().gaps == 1
    assert session.statistics().lost == 0, "its next frame says what it skipped"


def test_a_retired_instrument_is_forgotten() -> None:
    session = subscribed("*")
    receive(session, tick(7))
    data = [{"channel": "trade", "symbol": "A.SIM"}, {"channel": "bbo", "symbol": "A.SIM"}]
    assert receive(session, {"channel": "system", "type": "retired", "data": data}) == [
        Retired("trade", "A.SIM"),
        Retired("bbo", "A.SIM"),
    ]
    assert missing(receive(session, tick(1))) == []
