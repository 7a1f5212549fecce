"""RFC 6455 from a server to our client, without a socket: each case, however it is cut."""

import pytest
from support.from_server import SERVER_CASES, Case, said, served
from support.sans import cut
from support.sans_client import SansClient
from support.wire import TEXT

CUT_BYTES_MAX = 150
"""Streams of up to so many bytes are cut in two at each of them."""


def check(case: Case, *pieces: bytes) -> None:
    client = SansClient().open().get(*pieces)
    assert [said(message) for message in client.messages] == list(case.messages)
    # Of several pings in a read the last one's pong stands for all.
    assert case.pongs <= {*client.pongs}
    assert client.closed == case.code
    if client.end is not None:
        assert client.end.failed is not case.goodbye
        assert client.end.code == case.code
        assert case.reason is None or client.end.reason == case.reason
        assert client.get(served(TEXT, b"{}")).messages == client.messages, (
            "nothing counts any more"
        )
    else:
        client.get(served(TEXT, b'{"req_id":"still here"}'))
        assert said(client.messages[-1]) == "still here"


@pytest.mark.parametrize("way", ["at once", "by frames", "by bytes"])
@pytest.mark.parametrize("case", SERVER_CASES, ids=lambda case: case.name)
def test_a_server_s_frames(case: Case, way: str) -> None:
    whole = b"".join(case.frames)
    if way == "by frames":
        check(case, *case.frames)
    else:
        check(case, *(cut(whole, range(len(whole))) if way == "by bytes" else [whole]))


@pytest.mark.parametrize("case", SERVER_CASES, ids=lambda case: case.name)
def test_cut_at_every_byte(case: Case) -> None:
    whole = b"".join(case.frames)
    for place in range(1, min(len(whole), CUT_BYTES_MAX)):
        check(case, whole[:place], whole[place:])


def test_names_are_distinct() -> None:
    assert len({case.name for case in SERVER_CASES}) == len(SERVER_CASES)


def test_both_sides_of_each_rule_are_there() -> None:
    ends = {(case.code, case.goodbye) for case in SERVER_CASES}
    assert {
        (0, False),
        (1002, False),
        (1007, False),
        (1009, False),
        (1000, True),
        (1005, True),
    } <= ends
