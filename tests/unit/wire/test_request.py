"""What a request must say, check by check."""

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from gateway.dialects.tickgate import PATH, SCHEMA_PATH
from gateway.model.outcomes import HANDSHAKES
from gateway.options import LOOPBACK_ORIGINS
from gateway.wire.request import Origins, check, door_of, path_of
from gateway.wire.response import Response

GOOD = [
    ("Host", "gateway.test"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "AAECAwQFBgcICQoLDA0ODw=="),
    ("Sec-WebSocket-Version", "13"),
]


def refusal(
    path: str = "/v1",
    method: str = "GET",
    protocol: str = "HTTP/1.1",
    without: str = "",
    more: tuple[str, str] | None = None,
) -> Response | None:
    pairs = [(name, value) for name, value in GOOD if name != without]
    headers = Headers([*pairs, more] if more else pairs)
    return check(
        Request(path, headers, method, protocol), [PATH], Origins(LOOPBACK_ORIGINS), [SCHEMA_PATH]
    )


@pytest.mark.parametrize(
    "path",
    [
        *("/v1", "/v1?", "/v1?a=b", "/v1?/../x", "http://gateway.test/v1", "ws://[::1]:1/v1?a=b"),
        *(
            "HTTP://gateway.test/v1",
            "wss://gateway.test:443/v1",
            "/v1/schema.xml",
            "/v1/schema.xml?a",
        ),
    ],
)
def test_a_good_one_passes(path: str) -> None:
    assert refusal(path) is None


def test_f07_no_origin_passes_and_ours_does() -> None:
    assert refusal() is None
    assert refusal(more=("Origin", "http://localhost:3000")) is None


EVIL = ("Origin", "http://evil.test")
TABLE = [
    ("method", {"method": "POST"}, 405, "method"),
    ("method before all else", {"method": "POST", "path": "/", "without": "Host"}, 405, "method"),
    ("HTTP 1.0", {"protocol": "HTTP/1.0"}, 505, "version"),
    ("no host", {"without": "Host"}, 400, "bad_request"),
    ("empty host", {"without": "Host", "more": ("Host", "")}, 400, "bad_request"),
    ("two hosts", {"more": ("Host", "b")}, 400, "bad_request"),
    ("two versions", {"more": ("Sec-WebSocket-Version", "8")}, 400, "bad_request"),
    ("path", {"path": "/"}, 404, "not_found"),
    ("longer path", {"path": "/v11"}, 404, "not_found"),
    ("path with a slash", {"path": "/v1/"}, 404, "not_found"),
    ("another file", {"path": "/v1/schema.xmlx"}, 404, "not_found"),
    ("the schema, for another page", {"path": "/v1/schema.xml", "more": EVIL}, 403, "origin"),
    ("whole URI of another path", {"path": "http://gateway.test/v2"}, 404, "not_found"),
    ("whole URI without a path", {"path": "http://gateway.test"}, 404, "not_found"),
    ("whole URI with a user", {"path": "http://a@gateway.test/v1"}, 404, "not_found"),
    ("whole URI of another kind", {"path": "ftp://gateway.test/v1"}, 404, "not_found"),
    ("a URI without a host", {"path": "http:///v1"}, 404, "not_found"),
    ("a URI in the path", {"path": "/http://gateway.test/v1"}, 404, "not_found"),
    ("origin", {"more": ("Origin", "http://evil.test")}, 403, "origin"),
    ("null origin", {"more": ("Origin", "null")}, 403, "origin"),
    ("empty origin", {"more": ("Origin", "")}, 403, "origin"),
    (
        "old version",
        {"without": "Sec-WebSocket-Version", "more": ("Sec-WebSocket-Version", "8")},
        426,
        "upgrade_required",
    ),
]


@pytest.mark.parametrize(
    ("given", "status", "result"), [t[1:] for t in TABLE], ids=[t[0] for t in TABLE]
)
def test_refusals(given: dict[str, object], status: int, result: str) -> None:
    one = refusal(**given)  # type: ignore[arg-type]
    assert one is not None
    assert (one.status, one.result) == (status, result)
    assert one.result in HANDSHAKES
    assert one.text.isascii()


def test_what_the_library_refuses_well_is_left_to_it() -> None:
    for name in ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"):
        assert refusal(without=name) is None


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ("https://dash.example", '"https://dash.example" is not in listen.origins'),
        ("null", "listen.origins (pages opened from a file, and sandboxed ones, say null)"),
        ("x" * 5000, 'xxx" is not in listen.origins'),
        ("https://\u00e4.test", '"https://\\u00e4.test" is not in listen.origins'),
    ],
)
def test_a_refused_origin_is_named_and_how_to_allow_it(origin: str, words: str) -> None:
    one = refusal(more=("Origin", origin))
    assert one is not None
    assert words in one.text
    assert one.text.isascii()
    assert len(one.text) < 300


def test_refusals_say_what_would_be_accepted() -> None:
    post = refusal(method="POST")
    assert post is not None
    assert post.headers == (("Allow", "GET"),)
    old = refusal(without="Sec-WebSocket-Version", more=("Sec-WebSocket-Version", "0"))
    assert old is not None
    assert ("Sec-WebSocket-Version", "13") in old.headers


# --- origins --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "origin", "welcome"),
    [
        (["https://a.test"], "https://a.test", True),
        (["https://a.test"], "HTTPS://A.TEST", True),
        (["https://A.test"], "https://a.test", True),
        (["https://a.test"], "http://a.test", False),
        (["https://a.test"], "https://a.test:443", False),
        (["https://a.test"], "https://a.test.evil", False),
        (["https://a.test"], "https://evil.a.test", False),
        (["https://a.test"], "https://aatest", False),
        (["https://a.test:*"], "https://a.test", True),
        (["https://a.test:*"], "https://a.test:1", True),
        (["https://a.test:*"], "https://A.test:65535", True),
        (["https://a.test:*"], "https://a.test:", False),
        (["https://a.test:*"], "https://a.test:x", False),
        (["https://a.test:*"], "https://a.test:123456", False),
        (["https://a.test:*"], "https://a.test:80@evil", False),
        (["https://a.test:*"], "https://a.test:80\n", False),
        (["https://a.test:*"], "https://aXtest:80", False),
        (["https://a.test:*", "http://b.test:*"], "http://b.test:7", True),
        (["http://[::1]:*"], "http://[::1]:8080", True),
        (["http://[::1]:*"], "http://1:8080", False),
        (["*"], "null", True),
        (["null"], "null", True),
        ([], "http://localhost", False),
        ([], "", False),
        (list(LOOPBACK_ORIGINS), "http://127.0.0.1:3000", True),
        (list(LOOPBACK_ORIGINS), "http://127.0.0.10", False),
        (list(LOOPBACK_ORIGINS), "https://localhost:3000", True),
        (list(LOOPBACK_ORIGINS), "https://localhost.evil.com", False),
    ],
)
def test_f07_origins(allowed: list[str], origin: str, welcome: bool) -> None:
    assert (origin in Origins(allowed)) is welcome


@pytest.mark.parametrize(
    ("path", "door"),
    [
        ("/v1", "/v1"),
        ("/ws", "/ws"),
        ("/ws/", "/ws/*"),
        ("/ws/btcusdt@trade/ethusdt@trade", "/ws/*"),
        ("/stream/ws/1", "/stream/ws/*"),
        ("/stream/1", "/stream/*"),
        ("/", "/"),
        ("/x", None),
        ("/wsx", None),
        ("/v1/", None),
        ("/*", None),
    ],
)
def test_a_door_is_a_path_or_all_below_it(path: str, door: str | None) -> None:
    doors = ["/v1", "/ws", "/ws/*", "/stream/*", "/stream/ws/*", "/"]
    assert door_of(path, doors) == door


def test_the_path_is_what_stands_before_the_query() -> None:
    assert path_of("/stream?streams=a/b?c") == "/stream"
    assert path_of("http://gateway.test/ws/a?b") == "/ws/a"


def test_who_comes_to_no_door_is_told_all_of_them() -> None:
    headers = Headers(GOOD)
    refused = check(Request("/x", headers, "GET", "HTTP/1.1"), ["/v1", "/ws/*"], Origins([]))
    assert refused is not None
    assert refused.text == "the endpoint is /v1 or /ws/*"


def test_a_method_is_told_as_text_that_no_terminal_obeys() -> None:
    one = refusal(method="\x1b[2J" + "x" * 5000)
    assert one is not None
    assert one.text == "method \\x1b[2J" + "x" * 16 + ": only GET"


def test_a_protocol_is_told_as_text_that_no_terminal_obeys() -> None:
    one = refusal(protocol="HTTP/\x1b[2J" + "x" * 5000)
    assert one is not None
    assert one.text == "HTTP/\\x1b[2J" + "x" * 11 + ": only HTTP/1.1"
