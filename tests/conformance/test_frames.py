"""RFC 6455 without a socket: each case at once, frame by frame and byte by byte."""

import json
from collections.abc import Sequence

import pytest
from support.conformance import CASES, Closed, Expected, Pong, Reply, ask
from support.sans import Sans, cut
from support.wire import TEXT, frame


def pieces(frames: Sequence[bytes], way: str) -> list[bytes]:
    """What is sent in one read each."""
    whole = b"".join(frames)
    if way == "at once":
        return [whole]
    return list(frames) if way == "by frames" else cut(whole, range(len(whole)))


@pytest.mark.parametrize("way", ["at once", "by frames", "by bytes"])
@pytest.mark.parametrize(("frames", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_frames(frames: Sequence[bytes], expected: Sequence[Expected], way: str) -> None:
    client = Sans().open().send(*pieces(frames, way))
    asked = [json.loads(text)["req_id"] for text in client.messages]
    assert asked == [one.req_id for one in expected if isinstance(one, Reply)]
    # Of several pings in a read the last one's pong stands for all.
    assert {one.payload for one in expected if isinstance(one, Pong)} <= {*client.pongs}
    last = expected[-1]
    if isinstance(last, Closed):
        code, reason = client.closed
        assert code == last.code, reason
        assert last.reason is None or reason == last.reason
    else:
        assert not client.over
        client.send(frame(TEXT, ask("still here")))
        assert client.messages[-1] == ask("still here").decode()


def test_names_are_distinct() -> None:
    assert len({case[0] for case in CASES}) == len(CASES)
