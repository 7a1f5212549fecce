"""What is wanted: which string is in force for a topic, and in which mode."""

from gateway.client.continuity import Topic
from gateway.client.requests import INSTRUMENTS, Key
from gateway.client.wanted import Wanted

A = Topic("trade", "A.SIM")


def test_a_name_is_in_force_then_the_latest_pattern() -> None:
    wanted = Wanted()
    star, narrow, name = (Key("trade", symbol) for symbol in ("*", "A*", "A.SIM"))
    for key in (name, narrow, star):
        wanted.add(key, {})
    assert wanted.covering(A) == name
    wanted.remove(name)
    assert wanted.covering(A) == star
    wanted.add(narrow, {"class": 2})
    assert wanted.covering(A) == narrow
    assert wanted.covering(Topic("bbo", "A.SIM")) is None
    assert [*wanted] == [star, narrow]
    assert len(wanted) == 2


def test_names_are_counted_by_channel_and_scope() -> None:
    wanted = Wanted()
    for _ in range(2):
        wanted.add(Key("trade", "A.SIM"), {})
    wanted.add(Key("candle", "A.SIM", "1m"), {})
    wanted.add(Key("health", "A.SIM", INSTRUMENTS), {})
    assert (wanted.names("trade", ""), wanted.names("candle", "1s")) == (1, 0)
    wanted.remove(Key("trade", "A.SIM"))
    wanted.remove(Key("trade", "B.SIM"))
    assert wanted.names("trade", "") == 0
    assert wanted.covering(Topic("health", "A.SIM")) == Key("health", "A.SIM", INSTRUMENTS)


def test_whether_a_topic_is_lossless_follows_what_is_in_force() -> None:
    wanted = Wanted()
    star, name = Key("trade", "*"), Key("trade", "A.SIM")
    assert wanted.lossless(A)
    assert not wanted.lossless(Topic("bbo", "A.SIM"))
    wanted.add(star, {})
    wanted.accepted(star, "conflate")
    assert not wanted.lossless(A)
    wanted.add(name, {})
    assert wanted.lossless(A), "until it is accepted as something else"
    wanted.accepted(name, "conflate")
    assert not wanted.lossless(A)
    wanted.accepted(name, "lossless")
    assert wanted.lossless(A)
    wanted.remove(name)
    assert not wanted.lossless(A)
    wanted.ended(star)
    assert wanted.lossless(A)
    wanted.add(name, {})
    wanted.accepted(name, "conflate")
    assert wanted.connected() == {star}, "as it was asked for"
    assert wanted.connected() == {star, name}
