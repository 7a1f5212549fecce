"""Names and patterns over a whole gateway: who is covered, by what, from which record on."""

import time
from itertools import islice

import pytest
from support.fleet import Client, Json
from support.serving import Serving, until
from support.stage import Stage
from support.udp import Venue

SYNTHETIC = (
    'feeds.0.type="synthetic"',
    'feeds.0.venue="SYN"',
    "feeds.0.symbols=4",
    "feeds.0.rate=4000",
)


@pytest.fixture
def gateway(stage: Stage, venue: Venue) -> Serving:
    return stage.serve(*venue.sets)


def subscribe(client: Client, channel: str, *symbols: str, **params: object) -> list[Json]:
    """The results; what came before the reply stays to be read."""
    reply = client.ask("subscribe", channel=channel, symbol=list(symbols), **params)
    results: list[Json] = reply["results"]
    return results


def unsubscribe(client: Client, channel: str, *symbols: str) -> list[Json]:
    """The results; all frames that came before the reply are dropped."""
    reply = client.ask("unsubscribe", channel=channel, symbol=list(symbols))
    client.take()
    results: list[Json] = reply["results"]
    return results


def frames(client: Client, count: int) -> list[tuple[str, str, int]]:
    """(symbol, type, seq) of the next data frames."""
    data = (message for message in client.each() if "seq" in message)
    return [(m["symbol"], m["type"], m["seq"]) for m in islice(data, count)]


def routed(client: Client) -> dict[str, int]:
    """By the string subscribed to, how many records it brought."""
    return {row["symbol"]: row["routed"] for row in client.ask("stats")["subscriptions"]}


def test_patterns_cover_what_appears_later_from_its_first_record(
    stage: Stage, gateway: Serving, venue: Venue
) -> None:
    client, other = stage.connect(), stage.connect()
    results = subscribe(client, "trade", "N*", "*7.SIM", "M.SIM")
    assert [result.get("matched") for result in results] == [0, 0, None]
    assert results[2]["seq"] == 0
    expected: dict[str, list[int]] = {}
    for number in range(30):
        for letter in "NMO":
            symbol = f"{letter}{number}"
            venue.trades(symbol, 1, 2, 3)
            if letter == "N" or number % 10 == 7:
                expected[f"{symbol}.SIM"] = [1, 2, 3]
    venue.trades("M", 1)
    expected["M.SIM"] = [1]
    seen: dict[str, list[int]] = {}
    for symbol, kind, seq in frames(client, sum(map(len, expected.values()))):
        assert kind == "update"
        seen.setdefault(symbol, []).append(seq)
    assert seen == expected
    # An instrument that two patterns cover came once, and is counted once: N7, N17, N27.
    assert routed(client) == {"N*": 27 * 3, "*7.SIM": 9 * 3, "M.SIM": 1}
    (result,) = subscribe(other, "trade", "N1*")
    assert result["matched"] == 11
    assert {kind for _, kind, _ in frames(other, 11)} == {"snapshot"}


def test_topics_that_a_pattern_gains_count_against_the_limit(stage: Stage, venue: Venue) -> None:
    stage.serve(*venue.sets, "limits.topics_per_connection=3")
    client = stage.connect()
    subscribe(client, "trade", "*")
    for symbol in "ABCDE":
        venue.trades(symbol, 1, 2)
    told = client.next(type="limit_exceeded")
    assert told["channel"] == "system"
    venue.trades("A", 3)
    (limited,) = [row["routed"] for row in client.ask("stats")["subscriptions"]]
    assert limited in (6, 7)  # A's third record may be on its way
    assert not [m for m in client.take() if b'"limit_exceeded"' in m]


def test_an_exact_name_wins_and_then_the_latest_pattern(
    stage: Stage, gateway: Serving, venue: Venue
) -> None:
    client = stage.connect()
    symbols = ("AA", "AB", "B")

    def tick(*expected: str) -> dict[str, int]:
        """One record of each; what each subscription brought of them."""
        before = routed(client)
        for symbol in symbols:
            venue.trades(symbol, 1)
        got = frames(client, len(expected))
        assert {(symbol, kind) for symbol, kind, _ in got} == {(x, "update") for x in expected}
        return {name: n - before.get(name, 0) for name, n in routed(client).items()}

    every = ("AA.SIM", "AB.SIM", "B.SIM")
    subscribe(client, "trade", "*.SIM")
    subscribe(client, "trade", "A*")
    assert tick(*every) == {"*.SIM": 1, "A*": 2}
    assert subscribe(client, "trade", "AA.SIM", snapshot=False)[0]["seq"] == 1
    assert tick(*every) == {"*.SIM": 1, "A*": 1, "AA.SIM": 1}
    # Asked for again, a pattern is the latest; it resyncs what it takes over.
    (result,) = subscribe(client, "trade", "*.SIM")
    assert result["matched"] == 3
    assert set(frames(client, 2)) == {("AB.SIM", "snapshot", 2), ("B.SIM", "snapshot", 2)}
    assert tick(*every) == {"*.SIM": 2, "A*": 0, "AA.SIM": 1}
    # What ends leaves its topics to the next that covers them, without a resync.
    unsubscribe(client, "trade", "AA.SIM")
    assert tick(*every) == {"*.SIM": 3, "A*": 0}
    unsubscribe(client, "trade", "*.SIM")
    assert tick("AA.SIM", "AB.SIM") == {"A*": 2}
    unsubscribe(client, "trade", "A*")
    (result,) = unsubscribe(client, "trade", "A*")
    assert result["error"]["code"] == "not_subscribed"
    assert tick() == {}


def test_parameters_in_force_are_the_winners(stage: Stage, gateway: Serving, venue: Venue) -> None:
    client = stage.connect()
    (pattern,) = subscribe(client, "bbo", "*", mode="lossless")
    (name,) = subscribe(client, "bbo", "A.SIM")
    assert (pattern["mode"], name["mode"]) == ("lossless", "conflate")
    reply = client.ask("update", channel="bbo", symbol=["*", "B.SIM"], mode="conflate")
    assert [result["success"] for result in reply["results"]] == [True, False]
    assert reply["results"][0]["mode"] == "conflate"
    assert reply["failed"] == 1
    venue.quotes("A", 1)
    assert frames(client, 1) == [("A.SIM", "update", 1)]


def test_one_bad_symbol_does_not_fail_the_others(
    stage: Stage, gateway: Serving, venue: Venue
) -> None:
    client = stage.connect()
    reply = client.ask("subscribe", channel="trade", symbol=["A.SIM", "A.NONE", "nothing"])
    assert (reply["success"], reply["failed"]) == (True, 2)
    assert reply["time_in"] <= reply["time_out"]
    good, *bad = reply["results"]
    assert (good["symbol"], good["success"], good["seq"]) == ("A.SIM", True, 0)
    assert [result["error"]["code"] for result in bad] == ["unknown_symbol"] * 2
    venue.trades("A", 1)
    assert frames(client, 1) == [("A.SIM", "update", 1)]


def all_of(client: Client) -> list[str]:
    """The made-up instruments, once all are there: the feed may just begin."""

    def listed() -> list[str] | None:
        names = [row["symbol"] for row in client.ask("list")["instruments"]]
        return names if len(names) == 4 else None

    names: list[str] = until(listed)
    return names


def test_a_closed_list_knows_all_its_names(stage: Stage) -> None:
    stage.serve(*SYNTHETIC)
    client = stage.connect()
    names = all_of(client)
    results = subscribe(client, "trade", names[0], "NOPE.SYN")
    assert results[0]["success"]
    assert results[1]["error"]["code"] == "unknown_symbol"


def test_list_stats_and_ping(stage: Stage, gateway: Serving, venue: Venue) -> None:
    client = stage.connect()
    subscribe(client, "trade", "*")
    venue.trades("A", 1)
    venue.quotes("A", 1)  # not the last: once both trades are here, it has gone by
    venue.trades("B", 1)
    frames(client, 2)
    assert client.ask("list")["instruments"] == [
        {"symbol": "A.SIM", "channels": ["trade", "bbo"]},
        {"symbol": "B.SIM", "channels": ["trade"]},
    ]
    assert client.ask("stats")["subscriptions"] == [
        {
            "channel": "trade",
            "symbol": "*",
            "class": 0,
            "routed": 2,
            "delivered": 2,
            "conflated": 0,
            "filtered": 0,
            "dropped": 0,
            "pending": 0,
        }
    ]
    before = time.time_ns()
    pong = client.ask("ping", t0=-17)
    assert pong["t0"] == -17
    assert before <= pong["t1"] <= pong["t2"] <= time.time_ns()


@pytest.mark.parametrize("mode", ["lossless", "conflate"])
def test_snapshots_stand_exactly_in_the_stream(stage: Stage, mode: str) -> None:
    """Each subscribe of a running topic: ack, snapshot of the ack's `seq`, then what follows."""
    # Of a client that a busy host holds up no frame becomes a snapshot, nor is it closed.
    stage.serve(*SYNTHETIC, "slo.enforce=false", "limits.lossless_max_age_ms=60000")
    client = stage.connect()
    names = all_of(client)
    for number in range(60):
        name, req_id = names[number % len(names)], f"again-{number}"
        params = {"channel": "bbo", "symbol": [name], "mode": mode}
        client.send({"method": "subscribe", "req_id": req_id, "params": params})
        (result,) = client.next(req_id=req_id)["results"]
        at = result["seq"]
        mine = (m for m in client.each() if m.get("symbol") == name)
        first = next(mine)
        if at:
            assert (first["type"], first["seq"]) == ("snapshot", at)
            first = next(mine)
        for message in (first, next(mine), next(mine)):
            assert message["type"] == "update"
            assert message["seq"] == at + 1 + message.get("skipped", 0)
            at = message["seq"]


def test_no_frame_follows_the_reply_to_an_unsubscribe(stage: Stage) -> None:
    stage.serve(*SYNTHETIC)
    client = stage.connect()
    names = all_of(client)
    subscribe(client, "trade", *names)
    for number in range(40):
        name = names[number % len(names)]
        subscribe(client, "bbo", name, "*", mode="lossless")
        client.next(channel="bbo", type="update")
        unsubscribe(client, "bbo", name, "*")
        # The reply to the ping comes after whatever might have been sent.
        for _ in range(3):
            client.ask("ping")
            client.next(channel="trade")
        assert not [m for m in client.take() if b'"bbo"' in m[:20]]
    # A subscription that still covers the topic keeps it.
    subscribe(client, "bbo", names[0], "*")
    unsubscribe(client, "bbo", "*")
    for _ in range(10):
        client.next(channel="bbo", symbol=names[0], type="update")
