"""RFC 6455 against a gateway that runs, both listeners: one case of each section."""

import json
from collections.abc import Sequence

import pytest
from support.conformance import CASES, Closed, Expected, Pong, Reply, ask
from support.serving import Serving
from support.wire import PONG, TEXT, Wire, connected, frame

SECTIONS = {name.split()[0]: (name, frames, expected) for name, frames, expected in CASES[::-1]}


def check(wire: Wire, expected: Sequence[Expected]) -> None:
    """What comes back: replies in order, each pong somewhere, the close last.

    Of several pings the last one's pong may stand for all, so that more pongs may come than are
    expected.
    """
    replies = [one.req_id for one in expected if isinstance(one, Reply)]
    pongs = {one.payload for one in expected if isinstance(one, Pong)}
    while replies or pongs:
        got = wire.frame()
        if got.opcode == PONG:
            pongs.discard(got.payload)
            continue
        assert got.opcode == TEXT
        message = json.loads(got.payload)
        if "req_id" in message:
            assert message["req_id"] == replies.pop(0)
    last = expected[-1]
    if isinstance(last, Closed):
        code, reason = wire.closed()
        assert code == last.code, reason
        assert last.reason is None or reason == last.reason


def alive(wire: Wire) -> None:
    """A connection that was not failed goes on."""
    wire.send(frame(TEXT, ask("still here")))
    assert wire.reply()["req_id"] == "still here"


@pytest.mark.parametrize("listener", ["clients", "ops"])
@pytest.mark.parametrize("way", ["at once", "by frames"])
@pytest.mark.parametrize(
    ("frames", "expected"),
    [case[1:] for case in SECTIONS.values()],
    ids=[case[0] for case in SECTIONS.values()],
)
def test_a_case_of_each_section(
    gateway: Serving, frames: Sequence[bytes], expected: Sequence[Expected], way: str, listener: str
) -> None:
    url = gateway.url if listener == "clients" else f"ws{gateway.ops.removeprefix('http')}/v1"
    with connected(url) as wire:
        for piece in frames if way == "by frames" else [b"".join(frames)]:
            wire.send_anyway(piece)
        ends = isinstance(expected[-1], Closed)
        # The ops listener does not answer what waits when the end comes.
        check(wire, expected[-1:] if ends and listener == "ops" else expected)
        if not ends:
            alive(wire)
