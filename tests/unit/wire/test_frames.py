"""Rows 14 to 27 and 32 without a socket: frames that no client may send, and those that it may."""

import json
from collections.abc import Sequence

import pytest
from support.sans import SECOND, Sans, endpoint
from support.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, close, frame, text

from gateway.options import LimitsOptions
from gateway.wire.events import Answer, Control

LIMITS = LimitsOptions(message_bytes=16384, fragments_max=64, control_frames_per_s=100)
ASK = {"method": "ping", "req_id": 5}


def connected(*, binary: bool = False) -> Sans:
    return Sans(endpoint(LIMITS, binary=binary)).open()


def ends(code: int, *data: bytes) -> str:
    """Sends this; the client is ended with this code. The reason."""
    client = connected().send(b"".join(data))
    said, reason = client.closed
    assert said == code, reason
    return reason


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CONT, PING, PONG, CLOSE])
def test_f14_unmasked_frame(opcode: int) -> None:
    assert ends(1002, frame(opcode, b"{}", masked=False))


def test_f14_the_first_fault_is_the_one_that_counts() -> None:
    wrong = frame(BINARY, b"x") + frame(TEXT, b"x", masked=False) + close(1000)
    assert ends(1003, wrong)


def test_f14_what_came_before_the_fault_is_told() -> None:
    client = connected().send(text(ASK) + frame(PING) + frame(TEXT, b"x", masked=False))
    assert [json.loads(said) for said in client.messages] == [ASK]
    assert client.controls == [Control.PING]
    assert client.closed[0] == 1002


@pytest.mark.parametrize("opcode", [TEXT, PING, CLOSE])
@pytest.mark.parametrize("rsv", range(1, 8))
def test_f15_reserved_bits(opcode: int, rsv: int) -> None:
    assert ends(1002, frame(opcode, b"\x03\xe8", rsv=rsv))


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_f16_reserved_opcode(opcode: int) -> None:
    assert ends(1002, frame(opcode, b"x"))


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_f17_long_control_frame(opcode: int) -> None:
    assert ends(1002, frame(opcode, b"\x03\xe8" + b"x" * 124))


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_f17_fragmented_control_frame(opcode: int) -> None:
    assert ends(1002, frame(opcode, b"\x03\xe8", fin=False))


@pytest.mark.parametrize("fin", [True, False])
def test_f18_continuation_of_nothing(fin: bool) -> None:
    assert ends(1002, frame(CONT, b"x", fin=fin))


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_f18_new_message_inside_another(opcode: int) -> None:
    assert ends(1002, frame(TEXT, b"{", fin=False), frame(opcode, b"}"))


def test_f18_continuation_after_the_end() -> None:
    whole = frame(TEXT, b"[", fin=False) + frame(CONT, b"]")
    assert ends(1002, whole, frame(CONT, b"x"))


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize(
    "length", [1 << 63, (1 << 64) - 1, (1 << 63) + 5, 1 << 40, (1 << 63) - 1, 1 << 31, 1 << 32]
)
def test_f19_huge_length_is_refused_from_the_header(opcode: int, length: int) -> None:
    """CVE-2026-27889: a length with its top bit set."""
    assert ends(1009, frame(opcode, b"", length=length, width=8))


def test_f19_top_bit_in_a_control_frame() -> None:
    client = connected().send(frame(PING, b"", length=1 << 63, width=8))
    assert client.closed[0] in (1002, 1009)


@pytest.mark.parametrize("width", [2, 8])
def test_f20_longer_length_than_needed_is_read_as_what_it_says(width: int) -> None:
    assert connected().send(frame(TEXT, b"{}", width=width)).messages == ["{}"]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_f21_one_byte_too_large(opcode: int) -> None:
    assert ends(1009, frame(opcode, b" " * (LIMITS.message_bytes + 1)))


def test_f21_as_large_as_may_be() -> None:
    whole = b" " * LIMITS.message_bytes
    halves = frame(TEXT, whole[:8000], fin=False) + frame(CONT, whole[8000:])
    assert connected().send(frame(TEXT, whole), halves).messages == [whole.decode()] * 2


def test_f21_too_large_in_all() -> None:
    part = b" " * (LIMITS.message_bytes // 4)
    more = [frame(CONT, part, fin=False)] * 3
    assert ends(1009, frame(TEXT, part, fin=False), *more, frame(CONT, b" "))


def test_f21_refused_before_the_payload_comes() -> None:
    assert ends(1009, frame(TEXT, b"", length=LIMITS.message_bytes + 1, width=8))


def fragments(payloads: Sequence[bytes], opcode: int = TEXT) -> bytes:
    last = len(payloads) - 1
    return b"".join(
        frame(CONT if index else opcode, payload, fin=index == last)
        for index, payload in enumerate(payloads)
    )


@pytest.mark.parametrize("payload", [b" ", b""])
def test_f22_as_many_fragments_as_may_be(payload: bytes) -> None:
    client = connected().send(fragments([payload] * LIMITS.fragments_max))
    assert client.messages == [(payload * LIMITS.fragments_max).decode()]


@pytest.mark.parametrize("payload", [b" ", b""])
def test_f22_one_fragment_too_many(payload: bytes) -> None:
    assert "64" in ends(1009, fragments([payload] * (LIMITS.fragments_max + 1)))


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(frame(TEXT, b"{", fin=False), id="a fragment"),
        pytest.param(frame(TEXT, b"x" * 100)[:50], id="half a frame"),
        pytest.param(frame(TEXT, b"x")[:1], id="half a header"),
        pytest.param(frame(TEXT, b"x" * 200)[:3], id="half a length"),
        pytest.param(text(ASK) + frame(TEXT, b"{", fin=False), id="a message and a fragment"),
        pytest.param(text(ASK) + frame(TEXT, b"x")[:1], id="a message and half a header"),
        pytest.param(text(ASK) + frame(TEXT, b"x" * 9)[:8], id="a message and half a frame"),
        pytest.param(frame(PING) + frame(CLOSE, b"xx")[:3], id="a ping and half a close"),
    ],
)
def test_f23_the_rest_is_owed(start: bytes) -> None:
    client = connected().send(text(ASK))
    assert (client.side.unfinished, client.side.at_rest) == (False, True)
    client.send(start)
    assert (client.side.unfinished, client.side.at_rest) == (True, False)


BAD_UTF8 = [
    pytest.param([b"\xff"], id="no such byte"),
    pytest.param([b"{\xc0\xaf}"], id="overlong"),
    pytest.param([b"\xe0\x80\xaf"], id="overlong in three"),
    pytest.param([b"\xed\xa0\x80"], id="surrogate"),
    pytest.param([b"\xf4\x90\x80\x80"], id="beyond the last"),
    pytest.param([b"\xf8\x88\x80\x80\x80"], id="five bytes"),
    pytest.param([b"ok \xe2\x82"], id="cut at the end"),
    pytest.param([b"\xe2\x82", b"x"], id="cut at a fragment's end"),
    pytest.param([b"\xe2", b"\x82", b""], id="cut at the last fragment's end"),
    pytest.param([b"ok", b"\x80"], id="continuation of nothing"),
    pytest.param([b"\xce\xba\xed", b"\xa0\x80"], id="surrogate across fragments"),
]


@pytest.mark.parametrize("payloads", BAD_UTF8)
def test_f24_no_utf8(payloads: list[bytes]) -> None:
    assert "UTF-8" in ends(1007, fragments(payloads))


def test_f24_no_utf8_in_an_unfinished_message_fails_at_once() -> None:
    assert ends(1007, frame(TEXT, b"\xff", fin=False))


def test_f24_characters_may_be_cut_by_fragments() -> None:
    whole = "\u20ac\U0001f600"
    pieces = [bytes((byte,)) for byte in whole.encode()]
    assert connected().send(fragments(pieces)).messages == [whole]


@pytest.mark.parametrize(
    "code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
)
def test_f25_no_close_code(code: int) -> None:
    assert ends(1002, close(code))


def test_f25_half_a_close_code() -> None:
    assert ends(1002, frame(CLOSE, b"\x03"))


@pytest.mark.parametrize("reason", [b"\xff", b"\xe2\x82", b"\xed\xa0\x80"])
def test_f25_close_reason_that_is_no_utf8(reason: bytes) -> None:
    assert ends(1007, close(1000, reason))


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 3000, 3999, 4000, 4999])
def test_f25_a_good_close_is_echoed(code: int) -> None:
    assert ends(code, close(code, b"x" * 123)) == "x" * 123


def test_f25_close_without_a_code() -> None:
    assert ends(1005, close(None)) == ""


def test_f25_close_inside_a_message() -> None:
    client = connected().send(frame(TEXT, b"{", fin=False) + close(1000, b"done"))
    assert (client.messages, client.closed) == ([], (1000, "done"))
    assert ends(1002, frame(TEXT, b"{", fin=False), frame(CLOSE, b"\x03"))


def test_f26_data_after_close_is_ignored() -> None:
    client = connected().send(close(1000, b"done") + text(ASK), text("{"), close(1001))
    assert client.messages == []
    assert client.closed == (1000, "done")


def test_f27_a_ping_is_answered_with_its_payload() -> None:
    payloads = [b"", b"x", b"\x00\xff" * 62, b"y" * 125]
    assert connected().send(*(frame(PING, one) for one in payloads)).pongs == payloads


def test_f27_each_ping_is_answered_in_its_place() -> None:
    client = connected().send(frame(PING, b"a") + text(ASK) + frame(PING, b"b") + text(ASK))
    assert [type(event) for event in client.events] == [Control, Answer, str] * 2
    assert client.pongs == [b"a", b"b"]


def test_f27_the_pongs_of_pings_in_a_row_are_one_write() -> None:
    pings = [frame(PING, b"%d" % number) for number in range(10)]
    client = connected().send(b"".join(pings) + frame(PONG) + text(ASK) + frame(PING, b"z"))
    kinds = [type(event) for event in client.events]
    assert kinds == [Control] * 10 + [Answer, Control, str, Control, Answer]
    assert client.pongs == [*(b"%d" % number for number in range(10)), b"z"]


def test_f27_a_ping_before_a_fault_is_answered() -> None:
    client = connected().send(frame(PING, b"a") + frame(3) + frame(PING, b"b"))
    assert client.pongs == [b"a"]
    assert client.closed[0] == 1002


@pytest.mark.parametrize("opcode", [PING, PONG])
def test_f27_flood_of_control_frames(opcode: int) -> None:
    client, limit = connected(), LIMITS.control_frames_per_s
    client.send(*[frame(opcode, b"x")] * limit)
    assert not client.over
    client.now_ns += SECOND
    client.send(frame(opcode, b"x") * limit)
    assert not client.over
    client.send(frame(opcode, b"x") + text(ASK))
    assert client.closed == (4029, f"control frames: more than {limit} a second")
    assert len(client.controls) == 2 * limit + 1  # the last one is counted, too
    assert client.messages == []


@pytest.mark.parametrize("fin", [True, False])
def test_f32_binary_frame(fin: bool) -> None:
    assert "text" in ends(1003, frame(BINARY, b'{"method":"ping"}', fin=fin))


def test_binary_messages_are_told_where_they_are_taken() -> None:
    client = connected(binary=True).send(frame(BINARY, b"\xff"), text("{}"))
    client.send(fragments([b"\xfe", b"", b"\x00"], BINARY) + fragments([b"[", b"]"]))
    assert client.messages == [b"\xff", "{}", b"\xfe\x00", "[]"]
    assert client.send(fragments([b""] * 65, BINARY)).closed == (
        1009,
        "message of more than 64 fragments",
    )
