"""What a program says to a `publisher` feed, byte by byte: numbers, acknowledgements, ends."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feeds.program import LINE_BYTES_MAX, LINES_MAX, Hello, Program, Refused, Some

HELLO = b'{"channel":"hello","publisher":"desk-7","stream":"a1","next":%d}\n'


def program(taken: int = 0) -> tuple[Program, list[Hello]]:
    came: list[Hello] = []

    def take(_: Program, hello: Hello) -> int:
        came.append(hello)
        return taken

    return Program(take), came


def told(one: Program) -> list[dict[str, object]]:
    said = []
    while unsent := one.unsent:
        said += [json.loads(line) for line in unsent.splitlines()]
        one.sent(len(unsent))
    return said


def taken(one: Program, data: bytes) -> list[Some]:
    one.receive(data)
    found = []
    while one.more:
        if (some := one.take()) is not None:
            found.append(some)
    return found


def test_a_hello_is_acknowledged_and_lines_have_numbers() -> None:
    one, came = program()
    assert taken(one, HELLO % 1) == []
    assert came == [Hello("desk-7", "a1", 1)]
    assert told(one) == [{"taken": 0, "refused": 0}]
    assert taken(one, b"a\nb\nc") == [Some(b"a\nb\n", 1, 2)]
    one.acknowledge()
    assert told(one) == [{"taken": 2, "refused": 0}]
    assert taken(one, b"\n") == [Some(b"c\n", 3, 1)]
    assert told(one) == [], "not before it is taken"
    one.acknowledge(1, {"why": "no price"})
    one.acknowledge()
    assert told(one) == [{"taken": 3, "refused": 1, "last_refused": {"why": "no price"}}]


@given(st.integers(0, 12), st.integers(1, 12), st.lists(st.integers(1, 30), max_size=8))
def test_what_was_taken_before_is_passed_over(before: int, first: int, cuts: list[int]) -> None:
    one, _ = program(before)
    data = HELLO % first + b"".join(b"%d\n" % n for n in range(first, first + 9))
    found: list[Some] = []
    at = 0
    for cut in [*cuts, len(data)]:
        found += taken(one, data[at : at + cut])
        at += cut
    numbers = [int(n) for some in found for n in some.text.split()]
    assert numbers == [n for n in range(first, first + 9) if n > before]
    for some in found:
        if some.lines:
            assert int(some.text.split()[0]) == some.first
            assert len(some.text.split()) == some.lines
    one.acknowledge()
    assert told(one)[-1]["taken"] == max(before, first + 8)


def test_a_turn_is_bounded() -> None:
    one, _ = program()
    one.receive(HELLO % 1 + b"x\n" * (2 * LINES_MAX + 1))
    sizes = []
    while one.more:
        some = one.take()
        assert some is not None
        sizes.append(some.lines)
    assert sizes == [LINES_MAX, LINES_MAX, 1]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{}", "hello"),
        (b'{"channel":"trade","symbol":"A","price":"1","qty":"1"}', "hello"),
        (HELLO[:-1] % 0, "next"),
        (b'{"channel":"hello","publisher":"","stream":"a"}', "publisher"),
        (b'{"channel":"hello","publisher":"a\\nb","stream":"a"}', "publisher"),
        (b'{"channel":"hello","publisher":"a","stream":"%s"}' % (b"x" * 65), "stream"),
        (b'{"channel":"hello","publisher":"a","stream":"a","more":1}', "more"),
        (b"\xff\xfe", "hello"),
    ],
)
def test_who_does_not_say_who_it_is_is_refused(line: bytes, why: str) -> None:
    one, came = program()
    one.receive(line + b"\n")
    with pytest.raises(Refused, match=why):
        one.take()
    assert came == []


def test_a_line_without_end_is_refused() -> None:
    one, _ = program()
    taken(one, HELLO % 1)
    one.receive(b"x" * LINE_BYTES_MAX)
    assert one.take() is None
    one.receive(b"x")
    with pytest.raises(Refused, match="65536 bytes"):
        one.take()


def test_who_does_not_read_has_the_newest_word_waiting_alone() -> None:
    one, _ = program()
    taken(one, HELLO % 1)
    one.sent(len(one.unsent) - 3)  # the rest of the first one has to follow
    for _ in range(100):
        taken(one, b"x\n")
        one.acknowledge()
    one.end("so")
    rest = one.unsent
    one.sent(3)
    assert rest == b"0}\n"
    assert told(one) == [{"taken": 100, "refused": 0}, {"error": "so"}]
