"""However the bytes are cut, the events are the same; no bytes raise; what handshakes answer."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.meaning import FAILURES, documented, meaning
from support.sans import Sans, cut, endpoint
from support.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, close, frame, request, text
from websockets.http11 import Request

from gateway.options import LimitsOptions
from gateway.session.codes import CLOSE_CODES
from gateway.wire.events import End
from gateway.wire.handshake import Accepted
from gateway.wire.head import HEAD_BYTES_MAX
from gateway.wire.response import Response
from gateway.wire.server_side import ServerSide

LIMITS = LimitsOptions(message_bytes=300, fragments_max=4, control_frames_per_s=6)


def client(binary: bool = False) -> Sans:
    return Sans(endpoint(LIMITS, binary=binary))


# --- the same, however it is cut ------------------------------------------------------------------

PAYLOADS = st.one_of(
    st.binary(max_size=150),
    st.text(max_size=60).map(str.encode),
    st.sampled_from([b"", b"\xe2\x82\xac" * 40, b"\x03\xe8bye", b"\x03\xe8\xff", b"\x00" * 126]),
)
FRAMES = st.one_of(
    st.builds(
        frame, st.sampled_from([TEXT, BINARY, CONT, PING, PONG]), PAYLOADS, fin=st.booleans()
    ),
    st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125)),
    st.text(max_size=60).map(text),
    st.builds(
        frame,
        st.integers(0, 15),
        PAYLOADS,
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, 0, 1, 4]),
        masked=st.sampled_from([True, True, True, False]),
        width=st.sampled_from([None, None, 2, 8]),
    ),
    st.builds(close, st.sampled_from([None, 1000, 1004, 4000]), st.binary(max_size=3)),
    st.binary(max_size=20),
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["Origin", "X", "Sec-WebSocket-Protocol", "Upgrade", "Content-Length"]),
        st.sampled_from(["tickgate.v1.json", "null", "0", "x" * 8200, "\xff", "websocket", ""]),
    ),
    max_size=3,
)
REQUESTS = st.one_of(
    st.just(request()),
    st.builds(request, st.sampled_from(["/v1", "/v1?x", "/", "/" + "x" * 9000]), more=HEADERS),
    st.binary(max_size=200),
    st.just(request(more=[("X", "x" * 8000)] * 5)),
)


@given(st.lists(FRAMES, max_size=8), st.booleans(), st.data())
def test_the_events_are_the_same_however_frames_are_cut(
    frames: list[bytes], binary: bool, draws: st.DataObject
) -> None:
    whole = b"".join(frames)
    places = draws.draw(st.sets(st.integers(0, len(whole)), max_size=8))
    once = meaning(client(binary).open().send(whole))
    assert meaning(client(binary).open().send(*cut(whole, places))) == once
    assert meaning(client(binary).open().send(*cut(whole, range(len(whole))))) == once


@given(REQUESTS, st.lists(FRAMES, max_size=3), st.data())
def test_the_events_are_the_same_however_a_request_is_cut(
    head: bytes, frames: list[bytes], draws: st.DataObject
) -> None:
    whole = head + b"".join(frames)
    places = draws.draw(st.sets(st.integers(0, len(whole)), max_size=8))
    once = meaning(client().send(whole))
    assert meaning(client().send(*cut(whole, places))) == once
    assert meaning(client().send(*cut(whole, range(0, len(whole), 7)))) == once


# --- whatever comes -------------------------------------------------------------------------------


def test_the_codes_of_failures_are_documented() -> None:
    assert set(CLOSE_CODES) >= FAILURES


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.threat("E1")
def test_f64_random_bytes_are_accepted_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(400):
        documented(client().open().send(*(chance.randbytes(chance.randint(1, 40)) for _ in "123")))
        documented(client().send(chance.randbytes(chance.randint(1, 400)), b"\r\n\r\n"))


@pytest.mark.parametrize("seed", range(8))
def test_f64_a_good_stream_with_some_bytes_changed(seed: int) -> None:
    chance = random.Random(seed)
    good = b"".join(
        (
            text('{"method":"ping"}'),
            frame(TEXT, b"a" * 130, fin=False),
            frame(PING, b"p"),
            frame(CONT, "\u20ac".encode() * 3),
            frame(BINARY, b"\x00" * 20),
            close(1000, b"bye"),
        )
    )
    for _ in range(300):
        for start, one in ((request(), client()), (b"", client().open())):
            wrong = bytearray(start + good)
            for _ in range(chance.randint(1, 6)):
                wrong[chance.randrange(len(wrong))] = chance.randrange(256)
            documented(one.send(*cut(bytes(wrong), [chance.randrange(len(wrong))])))


# --- the handshake --------------------------------------------------------------------------------


def answer(*data: bytes) -> Accepted | Response:
    (event,) = client().send(*data).events
    assert isinstance(event, Accepted | Response)
    return event


def test_f28_a_request_is_accepted_byte_for_byte() -> None:
    accepted = answer(
        request(
            more=[
                ("Sec-WebSocket-Protocol", "x, tickgate.v1.json"),
                ("Sec-WebSocket-Extensions", "permessage-deflate"),
            ]
        )
    )
    assert accepted == Accepted(
        "/v1",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: Bz3qJYTGdOe8gUSpLosEdiLKDrk=\r\n"
        b"Sec-WebSocket-Protocol: tickgate.v1.json\r\n\r\n",
        "tickgate.v1.json",
    )


@pytest.mark.parametrize(
    ("data", "status", "result"),
    [
        (request("/v2"), 404, "not_found"),
        (request(without=["Upgrade"]), 426, "upgrade_required"),
        (request(without=["Sec-WebSocket-Key"]), 400, "bad_request"),
        (request(more=[("Origin", "http://evil.test")]), 403, "origin"),
        (request("/" + "x" * 9000), 414, "too_large"),
        (request(more=[("X", "x" * 9000)]), 431, "too_large"),
        (b"\x16\x03\x01\r\n\r\n", 400, "bad_request"),
        (request(more=[("Sec-WebSocket-Protocol", "mqtt")]), 400, "bad_request"),
    ],
)
def test_f05_requests_are_refused(data: bytes, status: int, result: str) -> None:
    refused = answer(data)
    assert isinstance(refused, Response)
    assert (refused.status, refused.result) == (status, result)


def test_f05_what_a_refusal_says_byte_for_byte() -> None:
    refused = answer(request(line="POST /v1 HTTP/1.1"))
    assert isinstance(refused, Response)
    assert refused.data() == (
        b"HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nAllow: GET\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 22\r\n\r\n"
        b"method POST: only GET\n"
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("X Y: z", "invalid HTTP header name: X Y"),
        ("X: \x1b[31m\xff", "invalid HTTP header value: \\x1b[31m\\xff"),
        ("x" * 8000, f"invalid HTTP header line: {'x' * 74}"),
    ],
)
def test_f05_what_is_no_request_is_told_so_that_it_obeys_no_terminal(line: str, told: str) -> None:
    refused = answer(request()[:-2] + line.encode("latin-1") + b"\r\n\r\n")
    assert isinstance(refused, Response)
    assert refused.text == f"did not receive a valid HTTP request: {told}"


@pytest.mark.parametrize("step", [1000, 1 << 20])
@pytest.mark.parametrize("beyond", [0, 1])
def test_f04_the_limit_of_a_request_is_exact(beyond: int, step: int) -> None:
    lines = [("X", "x" * 8000)] * 4
    left = HEAD_BYTES_MAX + beyond - len(request(more=[*lines, ("Y", "")]))
    whole = request(more=[*lines, ("Y", "y" * left)])
    assert len(whole) == HEAD_BYTES_MAX + beyond
    got = answer(*cut(whole, range(0, len(whole), step)))
    assert isinstance(got, Response) == bool(beyond)
    if isinstance(got, Response):
        assert (got.status, got.text) == (431, "a request of more than 32768 bytes")


ANNOUNCED = [
    [("Content-Length", "3")],
    [("content-length", "x")],
    [("Content-Length", "0"), ("Content-Length", "3")],
    [("Transfer-Encoding", "chunked"), ("X", "y")],
]


def test_a_request_may_be_as_long_as_the_listener_says() -> None:
    limits = LimitsOptions(handshake_bytes=1024)
    for beyond, kind in ((0, Request), (1, Response)):
        side = Sans(endpoint(limits)).side
        left = 1024 + beyond - len(request(more=[("Y", "")]))
        side.receive(request(more=[("Y", "y" * left)]))
        event = side.next_event(1)
        assert isinstance(event, kind)
    assert isinstance(event, Response)
    assert (event.status, event.text) == (431, "a request of more than 1024 bytes")


@pytest.mark.parametrize("more", ANNOUNCED)
@pytest.mark.parametrize("step", [1, 1 << 20])
def test_a_body_may_be_announced_where_no_websocket_is_asked_for(
    more: list[tuple[str, str]], step: int
) -> None:
    whole = request(line="GET /page HTTP/1.1", more=more) + b"abc"
    side = ServerSide(endpoint(bodies=True))
    events = []
    for piece in cut(whole, range(0, len(whole) - 3, step)):
        side.receive(piece)
        events.append(side.next_event(0))
    *nothing, told = events
    assert set(nothing) <= {None}
    assert isinstance(told, Request)
    assert told.headers.get_all("Content-Length") == [v for k, v in more if v == "0"]
    assert told.headers.get("X") == dict(more).get("X")
    page = Response(200, b"page")
    assert side.answer(page) is page
    side.receive(b"and more")
    assert side.next_event(0) is None


@pytest.mark.parametrize("more", ANNOUNCED)
@pytest.mark.parametrize("bodies", [False, True])
def test_a_websocket_has_no_body(more: list[tuple[str, str]], bodies: bool) -> None:
    (refused,) = Sans(endpoint(bodies=bodies)).send(request(more=more)).events
    assert isinstance(refused, Response)
    assert (refused.status, refused.result) == (400, "bad_request")


@pytest.mark.parametrize("bodies", [False, True])
def test_a_body_of_nothing_is_none(bodies: bool) -> None:
    one = Sans(endpoint(bodies=bodies)).send(request(more=[("Content-Length", " 0 ")]))
    assert isinstance(one.events[0], Accepted)


def test_f05_frames_behind_a_request_are_told_after_it_is_accepted() -> None:
    one = client().send(request() + text("{}") + frame(PING, b"p") + frame(TEXT, b"x")[:1])
    assert isinstance(one.events[0], Accepted)
    assert (one.messages, one.pongs, one.side.unfinished) == (["{}"], [b"p"], True)


def test_f05_what_follows_a_refused_request_is_discarded() -> None:
    one = client().send(request("/v2") + text("{}"), text("{}"))
    assert len(one.events) == 1


def test_limits_that_change_are_those_of_the_next_message() -> None:
    shared = endpoint(LIMITS)
    one = Sans(shared).open()
    shared.reconfigure([], LimitsOptions(message_bytes=400))
    assert one.send(text("x" * 390)).messages == [f"{'x' * 390}"]
    one.send(frame(TEXT, b"x" * 200, fin=False))
    shared.reconfigure(["https://a.test"], LIMITS)
    one.send(frame(CONT, b"x" * 150))
    assert not one.over, "it began before"
    one.send(text("x" * 301))
    assert one.closed[0] == 1009
    late = Sans(shared).send(request(more=[("Origin", "https://a.test")]))
    assert isinstance(late.events[0], Accepted)


def test_frames_wait_until_they_are_asked_for() -> None:
    one = Sans(endpoint()).open()
    one.side.receive(text("1") + text("2"))
    assert one.side.next_event(0) == "1"
    assert one.side.waiting
    one.side.receive(text("3") + frame(CLOSE))
    told = [one.side.next_event(0) for _ in range(4)]
    assert told[:2] == ["2", "3"]
    assert isinstance(told[2], End)
    assert told[3] is None
    assert not one.side.waiting
