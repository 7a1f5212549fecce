"""What servers refused, of many processes, in a list that no server can make grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.loadtest.refusals import ROWS_MAX, Row, merged, said
from gateway.loadtest.result import Refusal


def refusal(kind: str, code: str, message: str | None, count: int) -> Refusal:
    return Refusal(kind=kind, code=code, message=message, count=count)  # type: ignore[arg-type]


def test_processes_add_up_and_numbers_do_not_tell_messages_apart() -> None:
    one: list[Row] = [
        ("close", "4008", "too old", 2),
        ("reply", "capacity", "a sweep over 1,501 clients takes 5.01 ms", 3),
        ("handshake", "HTTP 503", "for 6 s: full", 4),
    ]
    other: list[Row] = [
        ("handshake", "ECONNREFUSED", "", 9),
        ("handshake", "HTTP 503", "for 17 s: full", 10),
        ("reply", "capacity", "a sweep over 9 clients takes 12 ms", 1),
        ("reply", "capacity", None, 7),
        ("reply", "", "", 5),
        ("reply", "", None, 6),
    ]
    assert merged([one, other]) == [
        refusal("handshake", "HTTP 503", "for 6 s: full", 14),
        refusal("handshake", "ECONNREFUSED", "", 9),
        refusal("reply", "capacity", None, 7),
        refusal("reply", "", None, 6),
        refusal("reply", "", "", 5),
        refusal("reply", "capacity", "a sweep over 1,501 clients takes 5.01 ms", 4),
        refusal("close", "4008", "too old", 2),
    ]
    assert merged([[], []]) == []


ROWS = st.tuples(
    st.sampled_from(["handshake", "reply", "close"]),
    st.text(max_size=3),
    st.none() | st.text(max_size=5),
    st.integers(1, 100),
)


@given(tables=st.lists(st.lists(ROWS, max_size=60), max_size=4))
def test_the_list_is_bounded_and_nothing_is_lost(tables: list[list[Row]]) -> None:
    found = merged(tables)
    assert len(found) <= ROWS_MAX
    assert sum(row.count for row in found) == sum(row[3] for table in tables for row in table)
    assert len({(row.kind, row.code, row.message) for row in found}) == len(found)


def test_the_rare_ones_give_way() -> None:
    tables: list[list[Row]] = [[("close", str(code), "", 1) for code in range(1000, 1200)]]
    tables += [[("reply", "capacity", "full", 2)]]
    found = merged(tables)
    assert found[0] == refusal("reply", "capacity", "full", 2)
    assert refusal("close", "", None, 200 - (ROWS_MAX - 3 - 1)) in found


def test_an_unknown_kind_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="kind 'rumour' is none of handshake, reply, close"):
        merged([[("rumour", "", "", 1)]])


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        ("HTTP 503", "full", "HTTP 503: full"),
        ("ECONNREFUSED", "", "ECONNREFUSED"),
        ("HTTP 503", None, "HTTP 503, other messages"),
        ("", None, "others"),
        ("", "", "without a code"),
    ],
)
def test_a_refusal_in_words(code: str, message: str | None, words: str) -> None:
    assert said(code, message) == words
