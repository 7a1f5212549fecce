"""Close frames, and parsers that go from one client to the next."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, frame

from gateway.options import LimitsOptions
from gateway.wire.events import Answer, Control, End, frame_close
from gateway.wire.parser import Parser, Parsers

MESSAGE_BYTES = 1 << 20
LIMITS = LimitsOptions()


def told(parser: Parser, data: bytes) -> list[object]:
    """What these bytes say, but for an end."""
    parser.receive(data)
    events: list[object] = []
    while parser.waiting and (event := parser.next_event(LIMITS)) is not None:
        events.append(event)
    return events


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("", ""), ("slow", "slow"), ("x" * 200, "x" * 123), ("\u20ac" * 50, "\u20ac" * 41)],
)
def test_close_frames_keep_whole_characters(reason: str, kept: str) -> None:
    frame = frame_close(4008, reason)
    assert frame[0] == 0x88
    assert frame[1] == len(frame) - 2 <= 125
    assert frame[2:4] == (4008).to_bytes(2, "big")
    assert frame[4:].decode() == kept


@pytest.fixture
def parser() -> Parser:
    return Parser(MESSAGE_BYTES, binary=True)


MESSAGES = st.one_of(
    st.binary(max_size=200).map(lambda payload: frame(BINARY, payload)),
    st.tuples(st.binary(max_size=200), st.sampled_from([2, 8])).map(
        lambda drawn: frame(BINARY, drawn[0], width=drawn[1])
    ),
    st.lists(st.binary(max_size=150), min_size=2, max_size=4).map(
        lambda parts: b"".join(
            frame(CONT if index else TEXT, part, fin=index == len(parts) - 1)
            for index, part in enumerate(parts)
        )
    ),
    st.binary(max_size=125).map(lambda payload: frame(PONG, payload)),
)


@given(st.lists(MESSAGES, min_size=1, max_size=4), st.data())
def test_at_rest_between_messages_and_nowhere_else(
    messages: list[bytes], draws: st.DataObject
) -> None:
    ends, whole = {0}, b"".join(messages)
    for message in messages:
        ends.add(max(ends) + len(message))
    cuts = draws.draw(st.sets(st.integers(0, len(whole)), max_size=6)) | {0, len(whole)}
    places = sorted(cuts)
    parser = Parser(MESSAGE_BYTES, binary=True)
    for start, end in itertools.pairwise(places):
        told(parser, whole[start:end])
        assert parser.at_rest == (end in ends)


def test_not_at_rest_before_its_pong_is_taken(parser: Parser) -> None:
    parser.receive(frame(PING, b"a"))
    assert parser.next_event(LIMITS) is Control.PING
    assert not parser.at_rest
    assert parser.next_event(LIMITS) == Answer(b"\x8a\x01a")
    assert parser.at_rest


def test_not_at_rest_before_its_frames_are_told(parser: Parser) -> None:
    parser.receive(frame(TEXT, b"a"))
    assert parser.waiting
    assert not parser.at_rest
    assert parser.next_event(LIMITS) == "a"
    assert parser.at_rest


@pytest.mark.parametrize("last", [frame(CLOSE, b""), frame(TEXT, b"", rsv=1)])
def test_never_at_rest_once_it_closes(last: bytes, parser: Parser) -> None:
    parser.receive(last)
    assert isinstance(parser.next_event(LIMITS), End)
    assert not parser.at_rest


@pytest.mark.parametrize("width", [2, 8])
def test_a_length_that_is_not_the_shortest_is_known_all_the_same(
    width: int, parser: Parser
) -> None:
    assert told(parser, frame(TEXT, b"a", width=width)) == ["a"]
    assert parser.at_rest


def test_a_parser_of_another_size_is_not_lent_again() -> None:
    parsers = Parsers(300, binary=True)
    before = parsers.take()
    parsers.give_back(before)
    parsers.message_bytes = 400
    lent = parsers.take()
    assert told(lent, frame(BINARY, b"x" * 400)) == [b"x" * 400]
    parsers.give_back(before)  # its message began before
    assert parsers.take() is not before
    parsers.give_back(lent)
    assert parsers.take() is lent


def test_one_parser_lies_ready() -> None:
    parsers = Parsers(MESSAGE_BYTES)
    first, second = parsers.take(), parsers.take()
    assert first is not second
    parsers.give_back(first)
    parsers.give_back(second)
    assert parsers.take() is second
    assert parsers.take() is not first
