"""The client's side of a handshake and of closing; its frames are `tests/conformance`'s."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.from_server import MESSAGE_BYTES_MAX, served
from support.sans import cut
from support.sans_client import LIMITS, SansClient, key_of, sent, upgrade
from support.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, mask
from websockets.exceptions import InvalidURI

from gateway.wire.client_handshake import NO_HTTP, Opened, Refused
from gateway.wire.client_side import ClientSide
from gateway.wire.head import HEAD_BYTES_MAX

JSON, SBE = "tickgate.v1.json", "tickgate.v1.sbe"


# --- the request ----------------------------------------------------------------------------------


def test_the_request_byte_for_byte() -> None:
    side = ClientSide("ws://gateway.test:8765/v1?x=1", [SBE, JSON], LIMITS)
    assert (
        side.request
        == (
            b"GET /v1?x=1 HTTP/1.1\r\nHost: gateway.test:8765\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: tickgate.v1.sbe, tickgate.v1.json\r\n\r\n"
        )
        % key_of(side.request).encode()
    )


def test_each_request_has_a_key_of_its_own() -> None:
    assert len({SansClient().side.request for _ in range(50)}) == 50


@pytest.mark.parametrize("url", ["http://a.test", "ws://", "ws://a.test/#b", "", "ws://a@b.test"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(InvalidURI):
        ClientSide(url, [JSON], LIMITS)


# --- the answer -----------------------------------------------------------------------------------


def answered(answer: bytes, *, subprotocols: tuple[str, ...] = (JSON,)) -> Opened | Refused | None:
    """What an answer means, however it is cut; `KEY` in it is what the key makes."""
    client = SansClient(subprotocols)
    accept = upgrade(client.side.request).split(b"Accept: ")[1].split(b"\r\n")[0]
    whole = answer.replace(b"KEY", accept)
    client.get(whole)
    bytewise = SansClient(subprotocols)
    accept = upgrade(bytewise.side.request).split(b"Accept: ")[1].split(b"\r\n")[0]
    bytewise.get(*cut(answer.replace(b"KEY", accept), range(len(whole))))
    assert (bytewise.answer is None) == (client.answer is None)
    assert type(bytewise.answer) is type(client.answer)
    assert client.messages == bytewise.messages == []
    return client.answer


HEAD = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
ACCEPT = b"Sec-WebSocket-Accept: KEY\r\n"


@pytest.mark.parametrize(
    ("lines", "chosen"),
    [
        (b"", None),
        (b"Sec-WebSocket-Protocol: tickgate.v1.sbe\r\n", SBE),
        (b"sec-websocket-protocol:tickgate.v1.json\r\nServer: x\r\n", JSON),
    ],
)
def test_an_answer_that_lets_it_in(lines: bytes, chosen: str | None) -> None:
    answer = HEAD + ACCEPT + lines + b"\r\n"
    assert answered(answer, subprotocols=(SBE, JSON)) == Opened(chosen)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (HEAD + b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", "Sec-WebSocket-Accept"),
        (HEAD, "Sec-WebSocket-Accept"),
        (HEAD + ACCEPT + ACCEPT, "multiple values"),
        (b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n" + ACCEPT, "Connection"),
        (b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" + ACCEPT, "Upgrade"),
        (HEAD + ACCEPT + b"Sec-WebSocket-Protocol: mqtt\r\n", "unsupported subprotocol: mqtt"),
        (HEAD + ACCEPT + b"Sec-WebSocket-Protocol: tickgate.v1.json, x\r\n", "multiple values"),
        (HEAD + ACCEPT + b"Sec-WebSocket-Extensions: permessage-deflate\r\n", "extensions"),
    ],
)
def test_an_upgrade_to_something_else(answer: bytes, why: str) -> None:
    refused = answered(answer + b"\r\n")
    assert isinstance(refused, Refused)
    assert refused.status == 101
    assert why in refused.text


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/2 101 X\r\n\r\n",
        b"HTTP/1.0 101 X\r\n\r\n",
        b"HTTP/1.1 101\r\n\r\n",
        b"HTTP/1.1 abc X\r\n\r\n",
        b"HTTP/1.1 999 X\r\n\r\n",
        b"HTTP/1.1 101 X\nUpgrade: websocket\n\n",
        b"HTTP/1.1 101 X\r\nno colon\r\n\r\n",
        b"\r\n\r\n",
        b"\x16\x03\x01\x00\n",
        b"x" * 9000,
        b"HTTP/1.1 101 X\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
        b"HTTP/1.1 101 X\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 403 X\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 403 X\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 403 X\r\nTransfer-Encoding: gzip\r\n\r\n",
    ],
)
def test_an_answer_that_is_no_http(answer: bytes) -> None:
    refused = answered(answer)
    assert isinstance(refused, Refused)
    assert refused.status == NO_HTTP
    assert refused.text


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n", Refused(403, "HTTP 403")),
        (
            b"HTTP/1.1 503 Full\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
            Refused(503, "HTTP 503", ("7",)),
        ),
        (
            b"HTTP/1.1 429 X\r\nRetry-After: 1\r\nRetry-After: 2\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
            Refused(429, "HTTP 429", ("1", "2")),
        ),
        (b"HTTP/1.1 304 X\r\n\r\n", Refused(304, "HTTP 304")),
        (
            b"HTTP/1.1 301 X\r\nLocation: ws://x\r\nContent-Length: 0\r\n\r\n",
            Refused(301, "HTTP 301"),
        ),
    ],
)
def test_a_refusal(answer: bytes, expected: Refused) -> None:
    assert answered(answer) == expected


def test_a_refusal_waits_for_its_body() -> None:
    client = SansClient().get(b"HTTP/1.1 503 Full\r\nContent-Length: 3\r\n\r\nno")
    assert client.answer is None
    assert client.get(b"\n").answer == Refused(503, "HTTP 503")


def test_a_body_may_end_with_the_stream() -> None:
    client = SansClient().get(b"HTTP/1.1 502 Bad\r\n\r\n<html>")
    assert client.answer is None
    assert client.side.receive_end() == Refused(502, "HTTP 502")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 101 X\r\nUp", b"HTTP/1.1 101 X\r\nA: b\r\n"])
def test_a_stream_that_ends_before_its_answer(answer: bytes) -> None:
    client = SansClient().get(answer)
    refused = client.side.receive_end()
    assert refused is not None
    assert refused.status == NO_HTTP
    assert client.side.receive_end() is None
    assert client.get(b"HTTP/1.1 403 X\r\n\r\n").answer is None, "it is over"


@pytest.mark.parametrize("step", [1, 1000, 1 << 20])
@pytest.mark.parametrize("beyond", [0, 1])
def test_the_limit_of_an_answer_s_head_is_exact(beyond: int, step: int) -> None:
    client = SansClient()
    lines = [f"X: {'x' * 8000}"] * 4
    left = HEAD_BYTES_MAX + beyond - len(upgrade(client.side.request, *lines, "Y: "))
    whole = upgrade(client.side.request, *lines, f"Y: {'y' * left}")
    assert len(whole) == HEAD_BYTES_MAX + beyond
    client.get(*cut(whole, range(0, len(whole), step)))
    too_long = Refused(NO_HTTP, "an answer whose head has more than 32768 bytes")
    assert client.answer == (too_long if beyond else Opened(None))


def test_an_endless_head_is_refused_in_time() -> None:
    client = SansClient().get(b"HTTP/1.1 101 X\r\n", *[b"X: " + b"x" * 4000 + b"\r\n"] * 9)
    assert client.answer == Refused(NO_HTTP, "an answer whose head has more than 32768 bytes")


FRAMES = served(TEXT, b"hello") + served(PING, b"p") + served(BINARY, b"\x00")


def test_frames_behind_the_answer_wherever_it_is_cut() -> None:
    size = len(upgrade(SansClient().side.request) + FRAMES)
    for place in range(1, size):
        client = SansClient()
        whole = upgrade(client.side.request) + FRAMES
        client.get(whole[:place], whole[place:])
        assert client.answer == Opened(None)
        assert client.messages == ["hello", b"\x00"]
        assert client.pongs == [b"p"]


def test_what_follows_a_refusal_is_discarded() -> None:
    client = SansClient().get(b"HTTP/1.1 304 X\r\n\r\n" + FRAMES, FRAMES)
    assert client.answer == Refused(304, "HTTP 304")
    assert client.messages == []


# --- whatever comes -------------------------------------------------------------------------------

SERVED = st.one_of(
    st.builds(
        served,
        st.sampled_from([TEXT, BINARY, CONT, PING, PONG]),
        st.binary(max_size=150),
        fin=st.booleans(),
        width=st.sampled_from([None, None, 2, 8]),
    ),
    st.text(max_size=60).map(lambda text: served(TEXT, text.encode())),
    st.sampled_from([served(CLOSE), served(CLOSE, b"\x03\xe8bye"), served(3), b"\xff"]),
    st.binary(max_size=20),
)


@given(st.lists(SERVED, max_size=8), st.data())
def test_the_events_are_the_same_however_frames_are_cut(
    frames: list[bytes], draws: st.DataObject
) -> None:
    whole = b"".join(frames)
    places = draws.draw(st.sets(st.integers(0, len(whole)), max_size=8))
    once = SansClient().open().get(whole)
    for other_places in (places, range(len(whole))):
        other = SansClient().open().get(*cut(whole, other_places))
        assert other.messages == once.messages
        assert (other.end is None) == (once.end is None)
        if other.end is not None and once.end is not None:
            assert other.end._replace(frame=b"") == once.end._replace(frame=b"")
        assert {*once.pongs} <= {*other.pongs}


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_are_taken_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(400):
        client = SansClient().open()
        client.get(*(chance.randbytes(chance.randint(1, 40)) for _ in range(3)))
        assert client.closed in {0, 1002, 1005, 1007, 1009} | {*range(1000, 5000)}
        SansClient().get(chance.randbytes(chance.randint(1, 400)), b"\r\n\r\n")


@pytest.mark.parametrize("seed", range(4))
def test_a_good_stream_with_some_bytes_changed(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(300):
        client = SansClient()
        wrong = bytearray(upgrade(client.side.request) + FRAMES * 2 + served(CLOSE, b"\x03\xe8"))
        for _ in range(chance.randint(1, 4)):
            wrong[chance.randrange(len(wrong))] = chance.randrange(256)
        client.get(*cut(bytes(wrong), [chance.randrange(len(wrong))]))
        client.side.receive_end()


# --- sending and closing --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_a_text_is_masked_and_in_the_shortest_form(size: int) -> None:
    data = SansClient().open().side.send("x" * size)
    width = 0 if size < 126 else 2 if size < 65536 else 8
    assert data[0] == 0x80 | TEXT
    assert data[1] == 0x80 | {0: size, 2: 126, 8: 127}[width] if width else data[1] == 0x80 | size
    assert not width or int.from_bytes(data[2 : 2 + width]) == size
    key = data[2 + width : 6 + width]
    assert mask(data[6 + width :], key) == b"x" * size


def test_masks_differ() -> None:
    side = SansClient().open().side
    assert len({side.send("x")[2:6] for _ in range(50)}) > 45


def test_after_its_own_close_messages_come_until_the_server_s() -> None:
    client = SansClient().open()
    assert sent(client.side.close(1001, "no heartbeat")) == (CLOSE, b"\x03\xe9no heartbeat")
    client.get(served(TEXT, b"late") + served(PING, b"p"), served(TEXT, b"later"))
    assert client.messages == ["late", "later"]
    assert client.pongs == [b"p"]
    client.get(served(CLOSE, b"\x03\xe9bye") + served(TEXT, b"no"), served(TEXT, b"no"))
    assert client.end is not None
    assert client.end == (1001, "bye", b"", False), "there is nothing more to write"
    assert client.messages == ["late", "later"]
    assert client.side.close(1000, "") == b""


def test_a_fault_after_its_own_close_has_no_answer() -> None:
    client = SansClient().open()
    client.side.close(1001, "no heartbeat")
    client.get(served(TEXT, b"late"), served(3))
    assert client.end == (1001, "no heartbeat", b"", True)


def test_bad_text_after_its_own_close_is_a_fault_too() -> None:
    client = SansClient().open()
    client.side.close(1001, "no heartbeat")
    client.get(served(TEXT, b"\xff"))
    assert client.end is not None
    assert (client.end.code, client.end.frame, client.end.failed) == (1007, b"", True)


def test_a_long_reason_is_cut_at_a_whole_character() -> None:
    opcode, payload = sent(SansClient().open().side.close(4000, "\u20ac" * 60))
    assert (opcode, payload[2:].decode()) == (CLOSE, "\u20ac" * 41)


def test_there_is_nothing_to_close_before_it_is_open() -> None:
    assert SansClient().side.close(1000, "") == b""


def test_a_frame_that_is_longer_than_a_read_is_put_together() -> None:
    client = SansClient().open()
    payload = bytes(range(256)) * (MESSAGE_BYTES_MAX // 256)
    whole = (served(BINARY, payload) + served(TEXT, b"x")) * 3
    client.get(*cut(whole, range(0, len(whole), 1000)))
    assert client.messages == [payload, "x"] * 3
