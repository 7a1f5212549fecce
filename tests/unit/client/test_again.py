"""What a client asks for again: at what pace, from which moment, and when no data came."""

import json
from typing import Any

import pytest
from support.said import ack, good, hello, missing, receive, tick

from gateway.client.again import FIRST_DATA_TRIES_MAX, RECOVER_BEFORE_NS, Pace
from gateway.client.events import Gap
from gateway.client.requests import REQUEST_SYMBOLS_MAX, Request
from gateway.client.session import ClientSession

SECOND = 1_000_000_000
NOW = 1_790_000_000 * SECOND
BURST = 64


def params(requests: list[Request]) -> list[dict[str, Any]]:
    return [json.loads(request.text)["params"] for request in requests]


def connected(**more: Any) -> ClientSession:
    session = ClientSession(**more)
    session.connected(0)
    receive(session, hello("e1"))
    return session


def accept(session: ClientSession, requests: list[Request], at_s: float = 0, **more: Any) -> None:
    for request in requests:
        symbols = json.loads(request.text)["params"]["symbol"]
        results = [good(symbol) | more for symbol in symbols]
        receive(session, ack(request, *results), int(at_s * SECOND))


def due(session: ClientSession, at_s: float) -> list[dict[str, Any]]:
    return params(session.due(int(at_s * SECOND)))


# --- pace -----------------------------------------------------------------------------------------


def test_a_pace_lets_some_through_at_once_and_then_so_many_a_second() -> None:
    pace = Pace(burst=3, per_s=2)
    assert [pace.take(5 * SECOND) for _ in range(5)] == [True, True, True, False, False]
    assert [pace.take(6 * SECOND) for _ in range(3)] == [True, True, False]
    assert not pace.take(6 * SECOND - 1), "a clock that stands still gives none"
    assert [pace.take(3600 * SECOND) for _ in range(4)] == [True, True, True, False]


def test_many_names_are_asked_for_again_at_a_pace_in_their_order() -> None:
    session = connected()
    names = [f"S{number:05}.SIM" for number in range(100 * REQUEST_SYMBOLS_MAX)]
    asked = session.subscribe("bbo", names)  # by hand: as it is asked
    assert len(asked) == 100
    session.subscribe("trade", "*.SIM")
    at_once = params(session.connected(10 * SECOND))
    assert len(at_once) == BURST
    receive(session, hello("e1"))
    rest: list[dict[str, Any]] = []
    turns = 0
    while len(rest) < 101 - BURST:
        turns += 1
        some = due(session, 10 + 0.2 * turns)
        assert len(some) <= 5
        rest += some
    assert turns >= 7
    assert due(session, 60) == []
    every = [symbol for one in at_once + rest for symbol in one["symbol"]]
    assert every == [*names, "*.SIM"]


def test_who_asks_in_the_meantime_finds_patterns_in_their_order_and_names_subscribed() -> None:
    session = connected()
    for number in range(BURST):
        session.subscribe("trade", f"S{number}.SIM", class_=number % 3)  # each a request
    session.subscribe("bbo", "A*")
    session.subscribe("bbo", ["B.SIM", "C.SIM"])
    session.subscribe("status", "D.SIM")
    assert len(session.connected(0)) == BURST
    later = params(session.subscribe("bbo", "*.SIM"))
    assert [one["symbol"] for one in later] == [["A*"], ["*.SIM"]]
    changed = session.update("bbo", "C.SIM", class_=2)
    assert [json.loads(one.text)["method"] for one in changed] == ["subscribe", "update"]
    ended = session.unsubscribe("status", ["D.SIM"])
    assert [json.loads(one.text)["method"] for one in ended] == ["subscribe", "unsubscribe"]
    (again,) = params(session.subscribe("bbo", "B.SIM", class_=1))
    assert again["class"] == 1
    assert due(session, 100) == []


def test_holes_everywhere_ask_once_for_a_pattern() -> None:
    session = connected()
    accept(session, session.subscribe("trade", "*.SIM"))
    asked = []
    for number in range(300):
        receive(session, tick(1, f"S{number}.SIM"))
        gap = next(e for e in receive(session, tick(5, f"S{number}.SIM")) if isinstance(e, Gap))
        asked += session.resync(gap)
    assert len(asked) == 1, "while it is unanswered"
    assert due(session, 10) == []


def test_holes_everywhere_ask_for_names_no_faster_than_the_pace() -> None:
    session = connected()
    names = [f"S{number}.SIM" for number in range(300)]
    accept(session, session.subscribe("trade", names))
    asked = 0
    for name in names:
        receive(session, tick(1, name))
        gap = next(e for e in receive(session, tick(5, name)) if isinstance(e, Gap))
        asked += len(session.resync(gap))
    assert asked == BURST
    assert len(due(session, 10)) == 1, "all that are left, together"


# --- what was missed ------------------------------------------------------------------------------


def record(session: ClientSession, seq: int, at_ns: int, symbol: str = "A.SIM") -> None:
    receive(session, tick(seq, symbol, ts_recv=at_ns))


def lossless(*symbols: str) -> ClientSession:
    session = connected()
    for symbol in symbols:
        accept(session, session.subscribe("trade", symbol), mode="lossless")
    record(session, 5, NOW)
    return session


def replaying(session: ClientSession) -> bool:
    return session.replaying


def moment(one: dict[str, Any]) -> int:
    ns: int = one["from"]["ts"]
    return ns


def test_a_connection_that_ends_before_the_replay_does_takes_nothing_from_it() -> None:
    session = lossless("*.SIM")
    accept(session, session.subscribe("bbo", "*"), mode="conflate")
    first, _ = session.connected(0)
    assert moment(params([first])[0]) == NOW - RECOVER_BEFORE_NS
    receive(session, hello("e1"))
    # Not even answered; meanwhile quotes come, live.
    receive(session, tick(1, channel="bbo", ts_recv=NOW + 60 * SECOND))
    again, _ = session.connected(0)
    assert moment(params([again])[0]) == NOW - RECOVER_BEFORE_NS
    receive(session, hello("e1"))
    accept(session, [again], mode="lossless", recovery="replaying")
    assert replaying(session)
    record(session, 6, NOW + 1)
    receive(session, tick(2, channel="bbo", ts_recv=NOW + 61 * SECOND))
    third, _ = session.connected(0)  # in the middle of it
    assert moment(params([third])[0]) == NOW - RECOVER_BEFORE_NS
    assert not replaying(session)
    receive(session, hello("e1"))
    accept(session, [third], mode="lossless", recovery="replaying")
    done = {"channel": "trade", "symbol": "*.SIM"}
    receive(session, {"channel": "system", "type": "replay_completed", "data": [done]})
    assert not replaying(session)
    last, _ = session.connected(0)
    assert moment(params([last])[0]) == NOW + 60 * SECOND, "what it had to the end is not asked for"


def test_names_that_waited_for_the_pace_ask_from_where_they_left_off() -> None:
    session = connected()
    for number in range(BURST + 1):
        asked = session.subscribe("trade", f"S{number}.SIM", class_=number % 2)
        accept(session, asked, mode="lossless")
    record(session, 5, NOW, f"S{BURST}.SIM")
    session.connected(0)
    receive(session, hello("e1"))
    record(session, 1, NOW + 9 * SECOND, "S0.SIM")
    (last,) = due(session, 10)
    assert last["from"] == {"epoch": "e1", "seq": 5}
    session.connected(11 * SECOND)
    receive(session, hello("e2"))  # nothing to be compared: by the moment, then
    (last,) = due(session, 30)
    assert moment(last) == NOW - RECOVER_BEFORE_NS


@pytest.mark.parametrize("whole", [False, True])
def test_a_gateway_that_can_not_recover_is_asked_without(whole: bool) -> None:
    session = lossless("A.SIM")
    (request,) = session.connected(0)
    receive(session, hello("e1"))
    error = {"code": "bad_request", "message": "from: not built yet", "retryable": False}
    reply = ack(request, {"symbol": "A.SIM", "success": False, "error": error})
    receive(session, ack(request) | {"success": False, "error": error} if whole else reply)
    (again,) = session.due(SECOND)
    assert "from" not in params([again])[0]
    receive(session, ack(again, {"symbol": "A.SIM", "success": False, "error": error}))
    assert session.due(9 * SECOND) == session.connected(9 * SECOND) == []


def test_a_request_that_came_too_soon_is_repeated_when_the_gateway_says() -> None:
    session = lossless("A.SIM", "B.SIM")
    (request,) = session.connected(0)
    receive(session, hello("e1"), SECOND)
    error = {"code": "rate_limited", "retryable": True, "retry_after_ms": 500}
    receive(session, ack(request) | {"success": False, "error": error}, SECOND)
    assert due(session, 1.4) == []
    (again,) = due(session, 1.5)
    assert again == params([request])[0]


def test_what_a_user_asks_from_is_what_is_asked_for_again_in_the_middle_of_it() -> None:
    session = lossless("B.SIM")
    asked = session.subscribe("trade", "*.SIM", from_={"ts": NOW - 3600 * SECOND})
    accept(session, asked, mode="lossless", recovery="replaying")
    *_, again = params(session.connected(0))
    assert moment(again) == NOW - 3600 * SECOND
    session.unsubscribe("trade", "*.SIM")
    session.subscribe("trade", "*.SIM")
    *_, again = params(session.connected(0))
    assert moment(again) == NOW - RECOVER_BEFORE_NS


def test_what_could_not_be_had_is_not_asked_for_again() -> None:
    session = lossless("*.SIM")
    (request,) = session.connected(0)
    receive(session, hello("e1"))
    accept(session, [request], mode="lossless", recovery="insufficient_state", oldest=NOW)
    record(session, 50, NOW + 60 * SECOND)
    (again,) = params(session.connected(0))
    assert moment(again) == NOW + 60 * SECOND - RECOVER_BEFORE_NS


def test_a_new_epoch_ends_replays() -> None:
    session = lossless("*.SIM")
    (request,) = session.connected(0)
    receive(session, hello("e1"))
    accept(session, [request], mode="lossless", recovery="replaying")
    receive(session, {"channel": "system", "type": "epoch", "data": [{"epoch": "e2"}]})
    assert not replaying(session)


# --- the first frame ------------------------------------------------------------------------------


def subscribed(session: ClientSession, symbol: str = "A.SIM", **result: Any) -> None:
    accept(session, session.subscribe("trade", symbol), at_s=0, **result)


def test_a_state_that_does_not_come_is_told_and_asked_for_a_few_times() -> None:
    session = connected(first_data_s=5)
    subscribed(session, seq=7)
    assert session.overdue(int(4.9 * SECOND)) == []
    now_s = 0.0
    for _ in range(FIRST_DATA_TRIES_MAX):
        now_s += 5
        assert session.overdue(int(now_s * SECOND)) == [Gap("trade", "A.SIM", "no_data")]
        assert session.overdue(int((now_s + 4) * SECOND)) == [], "until the next one is answered"
        again = session.due(int(now_s * SECOND))
        assert params(again) == [{"channel": "trade", "symbol": ["A.SIM"]}]
        accept(session, again, at_s=now_s, seq=7)
    assert session.overdue(3600 * SECOND) == []
    assert session.statistics().gaps == FIRST_DATA_TRIES_MAX
    assert missing(receive(session, tick(9))) == []


@pytest.mark.parametrize(
    "result",
    [
        {"seq": 0},
        {"seq": 7, "snapshot": False},
        {"seq": 7, "class": 2},
        {"seq": 7, "max_age_ms": 100},
        {"seq": 7, "recovery": "replaying"},
    ],
)
def test_what_need_not_come_is_not_awaited(result: dict[str, Any]) -> None:
    session = connected()
    subscribed(session, **result)
    assert session.overdue(3600 * SECOND) == []


def test_a_frame_in_time_is_enough_and_of_a_pattern_any() -> None:
    session = connected()
    subscribed(session, seq=7)
    receive(session, tick(7, type="snapshot"))
    assert session.overdue(3600 * SECOND) == []
    accept(session, session.subscribe("trade", "*.SIM"), matched=3, seq=None)
    assert session.overdue(3600 * SECOND) == [Gap("trade", "*.SIM", "no_data")]
    accept(session, session.due(3600 * SECOND), at_s=3600, matched=3, seq=None)
    receive(session, tick(1, "B.SIM", channel="status"))
    receive(session, tick(1, "B.X"))
    assert len(session.overdue(7200 * SECOND)) == 1
    accept(session, session.due(7200 * SECOND), at_s=7200, matched=3, seq=None)
    receive(session, tick(1, "B.SIM"))
    assert session.overdue(9999 * SECOND) == []


@pytest.mark.parametrize("matched", [0, 1])
def test_a_pattern_whose_topics_are_all_subscribed_to_by_name_awaits_nothing(matched: int) -> None:
    session = connected()
    subscribed(session, seq=0)
    accept(session, session.subscribe("trade", "*.SIM"), matched=matched, seq=None)
    assert session.overdue(3600 * SECOND) == []


def test_a_reader_that_paused_has_the_time_once_more() -> None:
    session = connected(first_data_s=5)
    subscribed(session, seq=7)
    session.touch(60 * SECOND)
    assert session.overdue(int(64.9 * SECOND)) == []
    assert len(session.overdue(65 * SECOND)) == 1
    session.touch(70 * SECOND)
    assert session.overdue(3600 * SECOND) == [], "it waits for the reply to the next try"


def test_what_is_not_wanted_any_more_is_not_awaited() -> None:
    session = connected()
    subscribed(session, seq=7)
    session.unsubscribe("trade", "A.SIM")
    assert session.overdue(3600 * SECOND) == []
    subscribed(session, seq=7)
    session.connected(SECOND)
    assert session.overdue(3600 * SECOND) == []


def test_silence_may_be_given_a_limit_of_its_own() -> None:
    session = connected(stall_s=0.5)
    assert not session.stale(SECOND // 2)
    assert session.stale(SECOND // 2 + 1)
